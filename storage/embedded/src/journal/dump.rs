//! The journal as text, for troubleshooting.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use promox_kernel::hex;

use super::frame::Frame;
use super::recover::{oldest, recover};
use crate::directory::{self, JOURNAL};
use crate::disk::Disk;
use crate::open::OpenError;

/// Writes each group and each change of the journal in a data directory to `out`, one per line.
pub fn dump_journal(disk: &dyn Disk, dir: &Path, out: &mut dyn Write) -> Result<(), OpenError> {
    let store = directory::read_identity(disk, dir)?;
    let journal = dir.join(JOURNAL);
    // The dump begins at the oldest segment, to include groups that the checkpoint already contains.
    let from = oldest(disk, &journal, &store)?;
    let mut failed = None;
    recover(disk, &journal, &store, from, |frame| {
        if let Err(error) = out.write_all(lines(frame).as_bytes()) {
            failed.get_or_insert(error);
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), |error| Err(OpenError::io(dir, &error)))
}

fn lines(frame: &Frame<'_>) -> String {
    let mark = frame.mark;
    let mut text = format!("group {} at {}, events to {:?}\n", mark.position, mark.time, mark.outbox);
    for change in frame.changes() {
        let _ = match change {
            None => writeln!(text, "  a change that does not decode"),
            Some(change) => match change.value {
                Some(value) => writeln!(text, "  {} {} = {}", change.space.0, hex(change.key), hex(value)),
                None => writeln!(text, "  {} {} removed", change.space.0, hex(change.key)),
            },
        };
    }
    text
}
