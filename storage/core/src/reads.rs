//! What a transaction read, for engines that check at the commit that it still holds.

use std::cell::RefCell;

use crate::{Direction, Item, KeyRange, Reader, Space, StoreError};

/// The version of a row or an index entry. An engine gives a key another one whenever it changes.
pub type Version = u64;

/// What a transaction read below its own changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Keys, each with the version that was found; `None` for a key that was absent.
    pub keys: Vec<(Space, Vec<u8>, Option<Version>)>,
    /// Scans.
    pub scans: Vec<ScanRead>,
}

/// A scan as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRead {
    /// The range.
    pub range: KeyRange,
    /// The direction.
    pub direction: Direction,
    /// The keys that were found, with their versions, in the scan's order.
    pub found: Vec<(Vec<u8>, Option<Version>)>,
    /// Whether it was read to its end. Otherwise nothing beyond the last key that was found was seen.
    pub whole: bool,
}

/// What a transaction ran into that is not at hand: its engine gets it and runs the transaction again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Keys of rows and index entries.
    pub keys: Vec<(Space, Vec<u8>)>,
    /// Ranges.
    pub ranges: Vec<(KeyRange, Direction)>,
    /// Tables whose ids have run out, and how many of them the transaction had given out until then.
    pub ids: Vec<(Space, i64)>,
}

impl Wants {
    /// Whether nothing was missing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty() && self.ids.is_empty()
    }
}

type Items<'a> = Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a>;

/// A scan that notes what it comes to.
struct Noted<'a> {
    items: Items<'a>,
    log: &'a RefCell<Reads>,
    reader: &'a dyn Reader,
    space: Space,
    /// Which of the log's scans it is.
    at: usize,
}

/// Has a scan note in `log` what it comes to.
pub(crate) fn noted<'a>(
    items: Items<'a>,
    log: &'a RefCell<Reads>,
    reader: &'a dyn Reader,
    range: &KeyRange,
    direction: Direction,
) -> Items<'a> {
    let mut reads = log.borrow_mut();
    let at = reads.scans.len();
    reads.scans.push(ScanRead { range: range.clone(), direction, found: Vec::new(), whole: false });
    Box::new(Noted { items, log, reader, space: range.space, at })
}

impl Iterator for Noted<'_> {
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
