//! Recovery from a damaged journal when the checkpoint is intact.

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
    /// The last group in it.
    pub group: u64,
    /// The time of the latest transaction in it.
    pub time: Timestamp,
}

/// The position of a closed store's checkpoint. With `discard`, a new journal starts after it and changes acknowledged
/// later are lost. After a clean stop there are none.
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
    // There are no readers to wait for: a full disk is an error here.
    room.close();
    let file = CheckpointFile::open(disk, path, store, schema, options.page_bytes, room)?;
    let mark = file.base().map_err(|error| file.failure(&error))?.reached.mark;
    if discard {
        // A power cut between these steps leaves a store that is refused, and the reset can be repeated.
        journal::remove(disk, &dir.join(JOURNAL)).map_err(io)?;
        journal::begin(disk, &dir.join(JOURNAL), &store, options.segment_bytes).map_err(io)?;
        disk.sync_dir(dir).map_err(io)?;
        file.end_load(mark)?;
    }
    Ok(CheckpointEnd { group: mark.position, time: mark.time })
}
