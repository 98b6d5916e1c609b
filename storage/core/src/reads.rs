//! The read log of a transaction, for engines that validate reads at the commit.

use std::cell::RefCell;

use crate::{Direction, Item, KeyRange, Reader, Space, StoreError};

/// The version of a row or an index entry. An engine assigns a new one whenever the value changes.
pub type Version = u64;

/// What a transaction read from the store, apart from its own changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Keys with the version that was found, or `None` for an absent key.
    pub keys: Vec<(Space, Vec<u8>, Option<Version>)>,
    /// The scans.
    pub scans: Vec<ScanRead>,
}

/// The part of a scan that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRead {
    /// The range.
    pub range: KeyRange,
    /// The direction.
    pub direction: Direction,
    /// The keys found, with their versions, in the order of the scan.
    pub found: Vec<(Vec<u8>, Option<Version>)>,
    /// Whether the range was read to its end. If not, nothing beyond the last key was seen.
    pub whole: bool,
}

/// Data that a transaction needs and that has not been fetched. Its engine fetches it and runs the transaction again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Keys of rows and index entries.
    pub keys: Vec<(Space, Vec<u8>)>,
    /// Ranges.
    pub ranges: Vec<(KeyRange, Direction)>,
    /// Tables whose reserved ids have run out, with the number that the transaction had assigned until then.
    pub ids: Vec<(Space, i64)>,
}

impl Wants {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty() && self.ids.is_empty()
    }
}

type Items<'a> = Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a>;

/// A scan that logs what it reads.
struct LoggedScan<'a> {
    items: Items<'a>,
    log: &'a RefCell<Reads>,
    reader: &'a dyn Reader,
    space: Space,
    /// Its index among the log's scans.
    at: usize,
}

/// Wraps a scan so that it logs what it reads in `log`.
pub(crate) fn logged<'a>(
    items: Items<'a>,
    log: &'a RefCell<Reads>,
    reader: &'a dyn Reader,
    range: &KeyRange,
    direction: Direction,
) -> Items<'a> {
    let mut reads = log.borrow_mut();
    let at = reads.scans.len();
    reads.scans.push(ScanRead { range: range.clone(), direction, found: Vec::new(), whole: false });
    Box::new(LoggedScan { items, log, reader, space: range.space, at })
}

impl Iterator for LoggedScan<'_> {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.items.next();
        if let Some(scan) = self.log.borrow_mut().scans.get_mut(self.at) {
            match &next {
                Some(Ok((key, _))) => scan.found.push((key.clone(), self.reader.version(self.space, key))),
                Some(Err(_)) => {}
                None => scan.whole = true,
            }
        }
        next
    }
}
