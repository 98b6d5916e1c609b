//! The way on for a store whose journal is damaged and whose checkpoint is not.

use std::io;
use std::sync::Arc;

use promox_kernel::Timestamp;
use promox_storage::Schema;

use crate::base::{self, CheckpointFile, Room};
use crate::directory::{self, Holds, JOURNAL};
use crate::journal;
use crate::open::{self, OpenError, Options};

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// Its last group.
    pub group: u64,
    /// The time of the newest transaction in it.
    pub time: Timestamp,
}

/// How far the checkpoint of a closed store goes. With `discard` the store goes on from there: its journal begins anew, and what
/// was acknowledged after the checkpoint is lost. After a clean stop that is nothing.
pub fn reset_journal(options: &Options, schema: &Schema, discard: bool) -> Result<CheckpointEnd, OpenError> {
    let (disk, dir) = (&*options.disk, &options.dir);
    let io = |error: io::Error| OpenError::io(dir, &error);
    match directory::looked(disk, dir)? {
        Holds::Store => {}
        other => {
            other.check(dir)?;
            return Err(OpenError::NoStore { dir: dir.clone(), what: "name its directory with --data-dir".to_owned() });
        }
    }
    let _lock = open::lock(options)?;
    let store = directory::read_identity(disk, dir)?;
    let (path, room) = (dir.join(base::FILE), Arc::new(Room::default()));
    // Nobody reads meanwhile: a full disk is an error here, not something to wait out.
    room.close();
    let file = CheckpointFile::open(disk, path, store, schema, options.page_bytes, room)?;
    let mark = file.base().map_err(|error| file.failure(&error))?.reach.mark;
    if discard {
        // A cut between these leaves a store that is refused, and this can be done again.
        journal::remove(disk, &dir.join(JOURNAL)).map_err(io)?;
        journal::begin(disk, &dir.join(JOURNAL), &store, options.segment_bytes).map_err(io)?;
        disk.sync_dir(dir).map_err(io)?;
        file.end_load(mark)?;
    }
    Ok(CheckpointEnd { group: mark.position, time: mark.time })
}
