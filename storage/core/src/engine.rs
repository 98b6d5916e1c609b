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

/// One consistent state of the store, as far as it has been fetched.
///
/// A reader never waits. What a remote engine has not
/// fetched is [`StoreError::Unfetched`]: the engine fetches what the transaction lacked ([`Tx::wants`]), and the
/// closure runs again.
pub trait Reader: Send {
    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The values of several keys, in order; one round trip if the store is remote.
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    /// The items of a range, read lazily.
    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a>;

    /// The version of an existing key, on an engine that validates reads at the commit.
    fn version(&self, space: Space, key: &[u8]) -> Option<Version> {
        let _ = (space, key);
        None
    }

    /// This state, or a newer durable one, with `wants` fetched in addition. Never called on a reader that has
    /// everything.
    fn fetch(self: Box<Self>, wants: Wants) -> Fetching {
        drop(wants);
        Box::pin(std::future::ready(Err(StoreError::Unfetched)))
    }
}

/// A state that is being fetched.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Box<dyn Reader>, StoreError>> + Send>>;

/// One change: a value, or `None` for a removal.
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

/// The changes of a transaction in key order, and its events.
#[derive(Debug, Default)]
pub struct Batch {
    /// Row and index changes.
    pub writes: Vec<Write>,
    /// Events, in the order in which they were emitted; the engine assigns their positions.
    pub events: Vec<NewEvent>,
    /// The number of ids assigned, by table.
    pub ids: Vec<(Space, i64)>,
    /// Keys that the write itself checks, if the engine asked for that ([`Tx::claiming`]).
    pub claims: Vec<Claim>,
    /// What was read, if the engine asked for that ([`Tx::logging`]).
    pub reads: Reads,
}

/// Priorities: bulk work gets at most a quarter of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A caller waits for it.
    Normal,
    /// Imports, back-fills, consumers that are far behind.
    Bulk,
}

/// A transaction as an engine runs it: any number of times, with one reply.
pub trait Work: Send {
    /// Runs the closure. Returns whether its changes are to be committed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Replaces the result by an error of the store.
    fn fail(&mut self, error: StoreError);
    /// Marks it as skipped: an earlier link of its chain was refused or has failed.
    fn skip(&mut self);
    /// Sends the result to its receiver. Called once, when the group is durable.
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
    /// Contended keys, sorted, for engines with locks.
    pub locks: Vec<Vec<u8>>,
    /// What to do.
    pub work: Box<dyn Work>,
}

impl fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.database, self.lane)
    }
}

/// A storage engine for the tables of both databases.
pub trait Engine: Send + Sync + 'static {
    /// Queues work. It is always answered: with its result once that is durable, or with an error.
    fn submit(&self, order: WorkOrder);

    /// Queues the links of a chain. Each runs on the state that earlier ones left; after a refused or failed one the
    /// rest are skipped; all are answered in order. An engine without support for chains returns the links, and
    /// [`Chain`](crate::Chain) runs them one by one.
    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        Err(links)
    }

    /// The newest durable state, as far as it has been fetched. Cheap; do not keep it long.
    fn snapshot(&self) -> Box<dyn Reader>;

    /// A state that may be held for minutes (backup, export, verify): at most two at a time, else [`StoreError::Busy`].
    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Signals, at most one pending, after each commit with events.
    fn subscribe(&self) -> flume::Receiver<()>;

    /// The time of the newest commit, which the clock must not fall behind.
    fn last_commit(&self) -> Timestamp;

    /// Checks the data that the engine keeps besides the rows that it reads.
    fn audit(&self, report: &mut Report) -> Result<(), StoreError> {
        let _ = report;
        Ok(())
    }
}
