//! Restore: a store from a backup's stream. It gets its identity only when everything has been verified.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use promox_storage::{Report, Schema};

use super::Copied;
use super::read::Source;
use crate::base::{CheckpointFile, Room};
use crate::directory::{self, DirectoryState, NewStore};
use crate::journal::segment::StoreId;
use crate::key::Rows;
use crate::open::{self, OpenError, Options};
use crate::view::Layers;

/// Creates a store in an empty directory from the backup in `file`, read through `input`. Every checksum, row and index
/// entry is verified before the store can be opened; reports to `progress` regularly.
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
    let making = NewStore::restore(options).map_err(io)?;
    let mut source = Source::new(input, file);
    match fill(options, schema, &making.checkpoint(), &mut source, &mut progress) {
        Ok(store) => making.finish(&store, options.segment_bytes).map_err(io)?,
        Err(error) => {
            // If it cannot be removed, the next restore will do it.
            let _ = making.give_up();
            return Err(error);
        }
    }
    Ok(source.copied)
}

/// Leftovers of an interrupted first start or restore do not count.
fn check_empty(options: &Options) -> Result<(), OpenError> {
    let dir = &options.dir;
    match directory::inspect_on(&*options.disk, dir)? {
        DirectoryState::Store => {
            Err(OpenError::io(dir, &io::Error::other("there is a store already; restore into an empty directory")))
        }
        DirectoryState::UnfinishedRestore => Ok(()),
        other => other.check(dir),
    }
}

/// Writes and verifies the checkpoint file; returns the identity of the new store.
fn fill(
    options: &Options,
    schema: &Schema,
    made: &Path,
    source: &mut Source<'_>,
    progress: &mut impl FnMut(Copied),
) -> Result<StoreId, OpenError> {
    let header = source.header()?;
    let store = options.entropy.bytes();
    let cache = options.page_bytes + options.table_bytes;
    let room = Arc::new(Room::default());
    // There are no readers to wait for: a full disk is an error here.
    room.close();
    let file = CheckpointFile::create(&*options.disk, made.to_owned(), store, schema, cache, room)?;
    file.begin_load(&header.names)?;
    while let Some(items) = source.items()? {
        file.load(&items)?;
        progress(source.copied);
    }
    file.end_load(header.mark)?;
    check_tables(&file, schema, source)?;
    Ok(store)
}

fn check_tables(file: &CheckpointFile, schema: &Schema, source: &Source<'_>) -> Result<(), OpenError> {
    let base = file.base().map_err(|error| file.failure(&error))?;
    let memory = Rows::new();
    let reader = Layers { memory: &memory, frozen: None, base: &base };
    let missing = file.missing_indexes(schema)?;
    for table in schema.tables() {
        // An index that is newer than the backup is built when the store is opened.
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
