//! The metadata in the checkpoint file: its position, the identity of its store, and the names of its tables and
//! indexes.

use std::collections::BTreeMap;

use promox_kernel::Timestamp;
use promox_storage::{Schema, Space};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use super::{Bytewise, CheckpointFile, sealed, unsealed};
use crate::journal::frame::Mark;
use crate::journal::segment::StoreId;
use crate::journal::{FrameLocation, JournalPosition};
use crate::open::OpenError;

/// Maps the big-endian number of a space to its name and a checksum.
pub(super) const CATALOGUE: Bytewise = Bytewise::new("catalogue");
/// The space number in the checksums of the catalog. No table has this number.
const CATALOGUE_SPACE: Space = Space(0);
/// Maps `mark` to the position, time, outbox positions, segment and offset of the last group, the identity of the
/// store, and a checksum.
const META: Bytewise = Bytewise::new("meta");
const MARK: &[u8] = b"mark";
/// The length of the value of `mark` without its checksum, in bytes.
const MARK_LEN: usize = 64;

/// The names of the spaces.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<(Space, String)>,
    kinds: Vec<Option<(String, bool)>>,
}

impl Names {
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        let names = schema.space_names();
        let mut kinds = Vec::new();
        for (space, name) in &names {
            let at = usize::from(space.0);
            kinds.resize(kinds.len().max(at + 1), None);
            if let Some(place) = kinds.get_mut(at) {
                *place = Some((name.clone(), schema.table(*space).is_none()));
            }
        }
        Self { names, kinds }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Space, &str)> {
        self.names.iter().map(|(space, name)| (*space, name.as_str()))
    }

    fn known(&self, space: Space) -> Option<&String> {
        self.kinds.get(usize::from(space.0)).and_then(Option::as_ref).map(|(name, _)| name)
    }

    /// Returns the name of a space, or its number if it is unknown.
    pub(crate) fn of(&self, space: Space) -> String {
        self.known(space).cloned().unwrap_or_else(|| format!("space {}", space.0))
    }

    /// Whether a space holds index entries, whose values carry no checksum of their own.
    pub(crate) fn is_index(&self, space: Space) -> bool {
        self.kinds.get(usize::from(space.0)).and_then(Option::as_ref).is_some_and(|(_, index)| *index)
    }
}

impl CheckpointFile {
    /// Checks that the file belongs to this store and that this version knows all its spaces, and records the names of
    /// new ones.
    pub(super) fn catalogue(&self, schema: &Schema) -> Result<(), OpenError> {
        let stored = self.stored_names().map_err(|error| self.failure(&error))?;
        let transaction = self.database.begin_read().map_err(|error| self.failure(&error.into()))?;
        let (_, owner) = read_both(&transaction).map_err(|error| self.failure(&error))?;
        drop(transaction);
        if owner.is_some_and(|owner| owner != self.store) {
            return Err(super::damaged(&self.path, "it belongs to another store"));
        }
        check_known(&stored, &self.names)?;
        // The name of a new index of an existing table is recorded when the index has been built.
        let later = self.missing_indexes(schema)?;
        let is_later = |space: Space| later.iter().any(|(_, index)| index.space == space);
        let new = self.names.all().filter(|(space, _)| !stored.contains_key(space) && !is_later(*space));
        let new: Vec<(Space, &str)> = new.collect();
        if new.is_empty() && owner.is_some() {
            return Ok(());
        }
        self.write_names(&new, owner.is_none()).map_err(|error| self.failure(&error))
    }

    /// Returns the names that the file contains.
    pub(super) fn stored_names(&self) -> Result<BTreeMap<Space, String>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(CATALOGUE) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = BTreeMap::new();
        for item in table.iter()? {
            let (space, name) = item?;
            let (space, name) = (space.value(), name.value());
            let broken = || redb::Error::Corrupted("a name in the catalog fails its checksum".to_owned());
            let intact = unsealed(CATALOGUE_SPACE, space, name).ok_or_else(broken)?;
            let number = space.try_into().map(u16::from_be_bytes).map_err(|_| broken())?;
            names.insert(Space(number), String::from_utf8_lossy(intact).into_owned());
        }
        Ok(names)
    }

    /// Records names. In a new file, also records the identity of the store and an empty position.
    pub(super) fn write_names(&self, names: &[(Space, &str)], first: bool) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(CATALOGUE)?;
            for (space, name) in names {
                write_name(&mut table, *space, name)?;
            }
        }
        if first {
            write_position(
                &transaction,
                JournalPosition { mark: Mark::default(), location: FrameLocation::BEGIN },
                &self.store,
            )?;
        }
        Ok(transaction.commit()?)
    }
}

/// Records a name with its checksum.
pub(super) fn write_name(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    space: Space,
    name: &str,
) -> Result<(), redb::Error> {
    let (number, mut value) = (space.0.to_be_bytes(), Vec::new());
    sealed(CATALOGUE_SPACE, &number, name.as_bytes(), &mut value);
    table.insert(&number[..], value.as_slice())?;
    Ok(())
}

/// Fails if the file has a space that this version does not know or knows by another name, so that a newer version
/// wrote it.
pub(super) fn check_known(stored: &BTreeMap<Space, String>, names: &Names) -> Result<(), OpenError> {
    let Some((space, name)) = stored.iter().find(|(space, name)| names.known(**space) != Some(name)) else {
        return Ok(());
    };
    let supported =
        names.known(*space).map_or("no table with that number".to_owned(), |known| format!("it as {known}"));
    Err(OpenError::TooNew { found: format!("{name} with the number {}", space.0), supported })
}

/// Returns the position of the checkpoint. In a new file it is the start of the journal.
pub(super) fn read_position(transaction: &ReadTransaction) -> Result<JournalPosition, redb::Error> {
    Ok(read_both(transaction)?.0)
}

/// Returns the position of the checkpoint, and the identity of the store unless the file is new.
fn read_both(transaction: &ReadTransaction) -> Result<(JournalPosition, Option<StoreId>), redb::Error> {
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok((JournalPosition::default(), None)),
        Err(error) => return Err(error.into()),
    };
    let Some(value) = table.get(MARK)? else { return Ok((JournalPosition::default(), None)) };
    let (reached, store) =
        decode(value.value()).ok_or_else(|| redb::Error::Corrupted("the mark fails its checksum".to_owned()))?;
    Ok((reached, Some(store)))
}

/// Records the position of the checkpoint.
pub(super) fn write_position(
    transaction: &WriteTransaction,
    reached: JournalPosition,
    store: &StoreId,
) -> Result<(), redb::Error> {
    let JournalPosition { mark, location } = reached;
    let mut value = Vec::with_capacity(MARK_LEN + 4);
    value.extend_from_slice(&mark.position.to_le_bytes());
    value.extend_from_slice(&mark.time.0.to_le_bytes());
    mark.outbox.iter().for_each(|position| value.extend_from_slice(&position.to_le_bytes()));
    value.extend_from_slice(&location.segment.to_le_bytes());
    value.extend_from_slice(&location.offset.to_le_bytes());
    value.extend_from_slice(store);
    value.extend_from_slice(&crc32c::crc32c(&value).to_le_bytes());
    transaction.open_table(META)?.insert(MARK, value.as_slice())?;
    Ok(())
}

fn decode(value: &[u8]) -> Option<(JournalPosition, StoreId)> {
    let (content, crc) = value.split_last_chunk()?;
    if content.len() != MARK_LEN || crc32c::crc32c(content).to_le_bytes() != *crc {
        return None;
    }
    let number = |at: usize| Some(i64::from_le_bytes(content.get(at..at + 8)?.try_into().ok()?));
    let mark =
        Mark { position: number(0)?.cast_unsigned(), time: Timestamp(number(8)?), outbox: [number(16)?, number(24)?] };
    let location = FrameLocation { segment: number(32)?.cast_unsigned(), offset: number(40)?.cast_unsigned() };
    Some((JournalPosition { mark, location }, content.get(48..)?.try_into().ok()?))
}
