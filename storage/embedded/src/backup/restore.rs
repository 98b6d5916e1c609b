//! Restore: a store from a backup's stream. It gets its name when all of it has been checked, and not before.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use promox_storage::{Report, Schema};

use super::Copied;
use super::read::Source;
use crate::base::{self, CheckpointFile, Room};
use crate::journal;
use crate::journal::segment::StoreId;
use crate::open::{self, OpenError, Options};
use crate::table::Rows;
use crate::view::Layers;

/// Makes a store in an empty directory from the backup in `file`, read through `input`. Every checksum, every row and
/// every index entry is checked before the store can be opened; `progress` is told how far it is now and then.
pub fn restore(
    options: &Options,
    schema: &Schema,
    file: &Path,
    input: &mut dyn Read,
    mut progress: impl FnMut(Copied),
) -> Result<Copied, OpenError> {
    let (disk, dir) = (&options.disk, &options.dir);
    let io = |error: io::Error| OpenError::io(dir, &error);
    disk.create_dir(&dir.join(open::JOURNAL)).map_err(io)?;
    let _lock = open::lock(options)?;
    let made = dir.join(base::FILE).with_extension("new");
    check_empty(options, &made).map_err(io)?;
    let mut source = Source::new(input, file);
    let (store, position) = fill(options, schema, &made, &mut source, &mut progress).inspect_err(|_| {
        // What is half made is nobody's; if it cannot be removed the next restore will.
        let _ = disk.remove(&made);
    })?;
    journal::begin(&**disk, &dir.join(open::JOURNAL), &store, position + 1).map_err(io)?;
    disk.rename(&made, &dir.join(base::FILE)).and_then(|()| disk.sync_dir(dir)).map_err(io)?;
    open::write_identity(&**disk, dir, store).map_err(io)?;
    Ok(source.copied)
}

fn check_empty(options: &Options, made: &Path) -> io::Result<()> {
    let (disk, dir) = (&options.disk, &options.dir);
    if disk.exists(&dir.join(open::IDENTITY))? {
        return Err(io::Error::other("there is a store already; restore into an empty directory"));
    }
    // What an earlier restore left that was cut off.
    for left in [made, &dir.join(base::FILE)] {
        if disk.exists(left)? {
            disk.remove(left)?;
        }
    }
    Ok(())
}

/// Writes and checks the checkpoint file; the name of the new store, and how far it goes.
fn fill(
    options: &Options,
    schema: &Schema,
    made: &Path,
    source: &mut Source<'_>,
    progress: &mut impl FnMut(Copied),
) -> Result<(StoreId, u64), OpenError> {
    let header = source.header()?;
    let store = options.entropy.bytes();
    let cache = options.page_bytes + options.table_bytes;
    let room = Arc::new(Room::default());
    // Nobody reads meanwhile: a full disk is an error here, not something to wait out.
    room.close();
    let file = CheckpointFile::create(&*options.disk, made.to_owned(), store, schema, cache, room)?;
    file.begin_load(&header.names)?;
    while let Some(items) = source.items()? {
        file.load(&items)?;
        progress(source.copied);
    }
    file.end_load(header.mark)?;
    check_tables(&file, schema, source)?;
    Ok((store, header.mark.position))
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
