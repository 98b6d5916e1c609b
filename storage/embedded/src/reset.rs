//! Recovery from a damaged journal with an intact checkpoint.

use std::io;
use std::sync::Arc;

use promox_kernel::Timestamp;
use promox_storage::Schema;

use crate::base::{self, CheckpointFile, Room};
use crate::directory::{self, DirectoryState, JOURNAL};
use crate::journal;
use crate::open::{self, OpenError, Options};

/// The position of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// The number of the last group that it contains.
    pub group: u64,
    /// The time of the latest transaction that it contains.
    pub time: Timestamp,
}

/// Returns the position of the checkpoint of a closed store. With `discard`, also replaces the journal by an empty one
/// that starts after it, which loses all changes that were acknowledged later. After a clean stop there are none.
pub fn reset_journal(options: &Options, schema: &Schema, discard: bool) -> Result<CheckpointEnd, OpenError> {
    let (disk, dir) = (&*options.disk, &options.dir);
    let io = |error: io::Error| OpenError::io(dir, &error);
    match directory::inspect_on(disk, dir)? {
        DirectoryState::Store => {}
        other => {
            other.check(dir)?;
            return Err(OpenError::NoStore { dir: dir.clone(), what: "name its directory with --data-dir".to_owned() });
        }
    }
    let _lock = open::lock(options)?;
    let store = directory::read_identity(disk, dir)?;
    let (path, room) = (dir.join(base::FILE), Arc::new(Room::default()));
    // A closed store serves no readers, so a full disk is an error and not waited for.
    room.close();
    let file = CheckpointFile::open(disk, path, store, schema, options.page_bytes, room)?;
    let mark = file.base().map_err(|error| file.failure(&error))?.reached.mark;
    if discard {
        // A power cut between these steps leaves a store that cannot be opened, but the reset can be repeated.
        journal::remove(disk, &dir.join(JOURNAL)).map_err(io)?;
        journal::begin(disk, &dir.join(JOURNAL), &store, options.segment_bytes).map_err(io)?;
        disk.sync_dir(dir).map_err(io)?;
        file.end_load(mark)?;
    }
    Ok(CheckpointEnd { group: mark.position, time: mark.time })
}
