//! The contract between transactions and engines: an engine reads, runs work in order, and applies one batch at the end.

use std::fmt;

use bytes::Bytes;
use promox_kernel::Timestamp;

use crate::{Database, NewEvent, Report, Stamp, StoreError, Tx};

/// The number of a table or an index: its keys lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

/// Keys of one space: from `start`, up to but not including `end`, which is open when `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The space.
    pub space: Space,
    /// The first key.
    pub start: Vec<u8>,
    /// The first key after the range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key of a space.
    pub fn all(space: Space) -> Self {
        Self { space, start: Vec::new(), end: None }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(space: Space, prefix: Vec<u8>) -> Self {
        let end = next_prefix(&prefix);
        Self { space, start: prefix, end }
    }

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The first key after all that begin with `prefix`.
fn next_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending by key bytes.
    Forward,
    /// Descending.
    Backward,
}

/// A key without its space, and its value.
pub type Item = (Vec<u8>, Bytes);

/// One consistent state of the store.
pub trait Reader: Send {
    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The values of several keys, in their order; one round trip where the store is remote.
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    /// The items of a range, read as they are asked for.
    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a>;
}

/// One change: a value, or `None` for gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The space.
    pub space: Space,
    /// The key without its space.
    pub key: Vec<u8>,
    /// The new value.
    pub value: Option<Bytes>,
}

/// What a transaction changes, in key order, and the events it tells.
#[derive(Debug, Default)]
pub struct Batch {
    /// Row and index changes.
    pub writes: Vec<Write>,
    /// Events, in the order they were told; the engine gives them their positions.
    pub events: Vec<NewEvent>,
}

/// Who goes first: bulk work gets at most a quarter of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for it.
    Normal,
    /// Imports, back-fills, consumers far behind.
    Bulk,
}

/// A transaction as an engine runs it: any number of times, then answers once.
pub trait Work: Send {
    /// Runs the closure; whether its changes are to be committed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Replaces the result by an error of the store.
    fn fail(&mut self, error: StoreError);
    /// Gives the result to who waits. Called once, when the group is durable.
    fn answer(self: Box<Self>);
}

/// Work in an engine's queue.
pub struct WorkOrder {
    /// The database whose events and sequences it uses.
    pub database: Database,
    /// Its lane.
    pub lane: Lane,
    /// The time and trace of the request.
    pub stamp: Stamp,
    /// Keys that are known to be hot, for engines that lock; sorted.
    pub locks: Vec<Vec<u8>>,
    /// What to do.
    pub work: Box<dyn Work>,
}

impl fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.database, self.lane)
    }
}

/// An engine keeps the tables of both databases.
pub trait Engine: Send + Sync + 'static {
    /// Queues work. It is always answered: with its result once that is durable, or with an error.
    fn submit(&self, order: WorkOrder);

    /// The newest durable state. Cheap; do not keep it long.
    fn snapshot(&self) -> Box<dyn Reader>;

    /// A state that may be held for minutes (backup, export, verify): at most two at a time, else [`StoreError::Busy`].
    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Signals, at most one waiting, after each commit that told events.
    fn subscribe(&self) -> flume::Receiver<()>;

    /// The time of the newest commit, which the clock must not fall behind.
    fn last_commit(&self) -> Timestamp;

    /// Checks what the engine keeps beside the rows that it reads.
    fn audit(&self, report: &mut Report) -> Result<(), StoreError> {
        let _ = report;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(KeyRange::prefix(Space(1), vec![1, 0xFF]).end, Some(vec![2]));
        assert_eq!(KeyRange::prefix(Space(1), vec![0xFF, 0xFF]).end, None);
        assert_eq!(KeyRange::prefix(Space(1), Vec::new()).end, None);
    }
}
