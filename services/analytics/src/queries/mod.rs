//! Reads: sums over periods, and customers' purchases.

pub(crate) mod gather;
pub(crate) mod segments;
pub(crate) mod sums;

use promox_kernel::Timestamp;
use promox_storage::{Scan, Tx};

use crate::records::{Entry, EntryKind};

/// The maximum number of entries examined by one read.
const ENTRIES_PER_READ: usize = 4_000;

/// The place where a read of entries begins: at an instant, or after an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryCursor {
    pub(crate) at: Timestamp,
    after: Option<(EntryKind, i64)>,
}

impl EntryCursor {
    /// Begins at an instant.
    pub(crate) fn at(at: Timestamp) -> Self {
        Self { at, after: None }
    }

    /// Begins after an entry.
    fn after(entry: &Entry) -> Self {
        Self { at: entry.at, after: Some((entry.kind, entry.subject)) }
    }

    /// The entries from here up to an instant, exclusive.
    fn entries<'s, 'a>(self, tx: &'s Tx<'a>, generation: u32, to: Timestamp) -> Scan<'s, 'a, Entry> {
        let scan = tx.scan::<Entry>().prefix(generation).before(to);
        match self.after {
            Some((kind, subject)) => scan.from((self.at, kind, subject.saturating_add(1))),
            None => scan.from(self.at),
        }
    }
}
