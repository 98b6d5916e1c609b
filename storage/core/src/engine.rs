//! The contract between transactions and engines: an engine reads, runs work in order, and applies one batch at the end.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use promox_kernel::Timestamp;

use crate::{Database, KeyRange, NewEvent, Reads, Report, Stamp, StoreError, Tx, Version, Wants};

/// The number of a table or an index: its keys lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

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

/// One consistent state of the store, as far as it is at hand.
///
/// A reader never waits. What a remote engine has not fetched yet is [`StoreError::Unfetched`]: the engine fetches what the
/// transaction ran into ([`Tx::wants`]), and the closure runs again.
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

    /// The version of a key that is there, on an engine that checks at the commit what a transaction read.
    fn version(&self, space: Space, key: &[u8]) -> Option<Version> {
        let _ = (space, key);
        None
    }

    /// This state, or a newer one that is durable, in which `wants` is at hand beside what was before. A reader that has
    /// everything at hand is never asked.
    fn fetch(self: Box<Self>, wants: Wants) -> Fetching {
        drop(wants);
        Box::pin(std::future::ready(Err(StoreError::Unfetched)))
    }
}

/// A state that is being fetched.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Box<dyn Reader>, StoreError>> + Send>>;

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

/// A key that must be free when the transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The table or the unique index.
    pub space: Space,
    /// The key.
    pub key: Vec<u8>,
    /// Its name, for [`StoreError::Duplicate`].
    pub name: &'static str,
}

/// What a transaction changes, in key order, and the events it tells.
#[derive(Debug, Default)]
pub struct Batch {
    /// Row and index changes.
    pub writes: Vec<Write>,
    /// Events, in the order they were told; the engine gives them their positions.
    pub events: Vec<NewEvent>,
    /// How many ids of which tables it has given out.
    pub ids: Vec<(Space, i64)>,
    /// Keys that the write itself checks, if the engine asked for that ([`Tx::claiming`]).
    pub claims: Vec<Claim>,
    /// What was read, if the engine asked for that ([`Tx::logging`]).
    pub reads: Reads,
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
    /// Replaces the result by the statement that it was not run: an earlier link of its chain has refused or failed.
    fn skip(&mut self);
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

    /// Queues the links of a chain. Each runs on what those before it left, and after one that refused or failed the rest are
    /// skipped; all are answered, in their order. An engine that can do no better than to run them in turn gives them back, and
    /// [`Chain`](crate::Chain) does that.
    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        Err(links)
    }

    /// The newest durable state, as far as it is at hand. Cheap; do not keep it long.
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
