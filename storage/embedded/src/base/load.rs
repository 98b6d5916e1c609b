//! Loads a stream of sorted items into a new checkpoint file, which has a temporary name until it is complete.

use promox_storage::Space;

use super::{CheckpointFile, catalogue, check_known, definition, sealed};
use crate::backup::Item;
use crate::journal::frame::Mark;
use crate::journal::{FrameLocation, JournalPosition};
use crate::open::OpenError;

impl CheckpointFile {
    /// Records the names of the spaces to load. Fails if this version does not know all of them.
    pub(crate) fn begin_load(&self, names: &[(Space, String)]) -> Result<(), OpenError> {
        check_known(&names.iter().cloned().collect(), &self.names)?;
        let names: Vec<(Space, &str)> = names.iter().map(|(space, name)| (*space, name.as_str())).collect();
        self.write_names(&names, true).map_err(|error| self.failure(&error))
    }

    /// Writes a block of items.
    pub(crate) fn load(&self, items: &[Item]) -> Result<(), OpenError> {
        self.load_items(items).map_err(|error| self.failure(&error))
    }

    fn load_items(&self, items: &[Item]) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        for run in items.chunk_by(|one, next| one.0 == next.0) {
            let Some((space, _, _)) = run.first() else { continue };
            let mut table = transaction.open_table(definition(&self.names.of(*space)))?;
            let mut entry = Vec::new();
            for (space, key, value) in run {
                if self.names.is_index(*space) {
                    sealed(*space, key, value, &mut entry);
                    table.insert(key.as_slice(), entry.as_slice())?;
                } else {
                    table.insert(key.as_slice(), value.as_slice())?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// Records the position of the loaded items. The journal begins after it.
    pub(crate) fn end_load(&self, mark: Mark) -> Result<(), OpenError> {
        let reached = JournalPosition { mark, location: FrameLocation::BEGIN };
        let end = || -> Result<(), redb::Error> {
            let transaction = self.begin()?;
            catalogue::write_position(&transaction, reached, &self.store)?;
            Ok(transaction.commit()?)
        };
        end().map_err(|error| self.failure(&error))
    }
}
