//! Restore: creates a store from the stream of a backup. The store gets its identity only after everything has been
//! verified.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use promox_storage::{Report, Schema};

use super::Copied;
use super::read::Source;
use crate::base::{CheckpointFile, Room};
use crate::directory::{self, DirectoryState, NewStore};
use crate::journal::segment::StoreId;
use crate::open::{self, OpenError, Options};
use crate::table::Table;
use crate::view::Layers;

/// Creates a store in an empty directory from a backup, which is read from `input`. `file` is its path, for error
/// messages. Every checksum, row and index entry is verified before the store can be opened. Calls `progress` after
/// each block.
pub fn restore(
    options: &Options,
    schema: &Schema,
    file: &Path,
    input: &mut dyn Read,
    mut progress: impl FnMut(Copied),
) -> Result<Copied, OpenError> {
    let io = |error: io::Error| OpenError::io(&options.dir, &error);
    check_empty(options)?;
    let _lock = open::lock(options)?;
    check_empty(options)?;
    let new_store = NewStore::restore(options).map_err(io)?;
    let mut source = Source::new(input, file);
    match fill(options, schema, &new_store.checkpoint(), &mut source, &mut progress) {
        Ok(store) => new_store.finish(&store, options.segment_bytes).map_err(io)?,
        Err(error) => {
            // Files that cannot be removed now are removed by the next restore.
            let _ = new_store.abort();
            return Err(error);
        }
    }
    Ok(source.copied)
}

/// Fails unless the directory is empty, apart from what an interrupted first start or restore left.
fn check_empty(options: &Options) -> Result<(), OpenError> {
    let dir = &options.dir;
    match directory::inspect_on(&*options.disk, dir)? {
        DirectoryState::Store => {
            Err(OpenError::io(dir, &io::Error::other("it already contains a store; restore into an empty directory")))
        }
        DirectoryState::UnfinishedRestore => Ok(()),
        other => other.check(dir),
    }
}

/// Writes and verifies the checkpoint file at `path`. Returns the identity of the new store.
fn fill(
    options: &Options,
    schema: &Schema,
    path: &Path,
    source: &mut Source<'_>,
    progress: &mut impl FnMut(Copied),
) -> Result<StoreId, OpenError> {
    let header = source.header()?;
    let store = options.entropy.bytes();
    let cache = options.page_bytes + options.table_bytes;
    let room = Arc::new(Room::default());
    // A store that is being restored serves no readers, so a full disk is an error and not waited for.
    room.close();
    let file = CheckpointFile::create(&*options.disk, path.to_owned(), store, schema, cache, room)?;
    file.begin_load(&header.names)?;
    while let Some(items) = source.items()? {
        file.load(&items)?;
        progress(source.copied);
    }
    file.end_load(header.mark)?;
    check_tables(&file, schema, source)?;
    Ok(store)
}

/// Checks all rows and index entries.
fn check_tables(file: &CheckpointFile, schema: &Schema, source: &Source<'_>) -> Result<(), OpenError> {
    let base = file.base().map_err(|error| file.failure(&error))?;
    let memory = Table::default();
    let reader = Layers { memory: &memory, frozen: None, base: &base };
    let missing = file.missing_indexes(schema)?;
    for table in schema.tables() {
        // An index that the backup does not have yet is built when the store is opened.
        if missing.iter().any(|(of, _)| of.space == table.space) {
            continue;
        }
        let mut report = Report::default();
        report.check_table(&reader, table).map_err(|error| source.damaged(&error.to_string()))?;
        if let Some(finding) = report.finish().0.first() {
            return Err(source.damaged(&format!("{}: {}", finding.invariant, finding.detail)));
        }
    }
    Ok(())
}
