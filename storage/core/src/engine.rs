//! The contract between transactions and engines: an engine serves reads, runs transactions in order, and applies each
//! one's batch of changes at its end.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use promox_kernel::Timestamp;

use crate::{Database, KeyRange, NewEvent, Reads, Report, Stamp, StoreError, Tx, Version, Wants};

/// The number of a table or an index. All its keys are adjacent in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending by key bytes.
    Forward,
    /// Descending by key bytes.
    Backward,
}

/// A key without its space, and its value.
pub type Item = (Vec<u8>, Bytes);

/// One consistent state of the store, as far as it has been fetched.
///
/// A reader never waits. A read that a remote engine cannot serve yet fails with [`StoreError::Unfetched`]; the engine
/// then fetches what the transaction lacked ([`Tx::wants`]) and runs the closure again.
pub trait Reader: Send {
    /// Returns the value of a key, or `None` if it is absent.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Returns the values of several keys, in order. On a remote store this is one round trip.
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    /// Returns the items of a range, which are read lazily.
    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a>;

    /// Returns the number of items of a space if the engine knows it without reading them, else `None`. It is for
    /// displaying progress.
    fn count(&self, space: Space) -> Option<u64> {
        let _ = space;
        None
    }

    /// Returns the version of an existing key on an engine that validates reads at the commit, else `None`.
    fn version(&self, space: Space, key: &[u8]) -> Option<Version> {
        let _ = (space, key);
        None
    }

    /// Whether this state is at least as new as the newest one at the time when it was taken. If not, what was computed
    /// from it is dropped, and [`fetch`](Self::fetch) is called, even if nothing is wanted.
    fn is_current(&self) -> bool {
        true
    }

    /// Returns this state, or a newer durable one, with `wants` fetched in addition. It is never called on a reader
    /// that has the whole state.
    fn fetch(self: Box<Self>, wants: Wants) -> Fetching {
        drop(wants);
        Box::pin(std::future::ready(Err(StoreError::Unfetched)))
    }
}

/// A state that is being fetched.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Box<dyn Reader>, StoreError>> + Send>>;

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The space.
    pub space: Space,
    /// The key without its space.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Bytes>,
}

/// A key that must be free when the transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The table or the unique index.
    pub space: Space,
    /// The key.
    pub key: Vec<u8>,
    /// The name of the table or index, for [`StoreError::Duplicate`].
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
    /// Keys that the commit must check to be free, if the engine asked for that ([`Tx::claiming`]).
    pub claims: Vec<Claim>,
    /// The read log, if the engine asked for one ([`Tx::logging`]).
    pub reads: Reads,
}

/// The priority of a transaction. Bulk work gets at most a quarter of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Work that a caller waits for.
    Normal,
    /// Imports, backfills, and consumers.
    Bulk,
}

/// A transaction as an engine runs it: the closure may run any number of times, and its result is sent once.
pub trait Work: Send {
    /// Runs the closure. Returns whether its changes are to be committed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Replaces the result with an error of the store.
    fn fail(&mut self, error: StoreError);
    /// Marks the transaction as skipped, because an earlier link of its chain was refused or failed.
    fn skip(&mut self);
    /// Sends the result to its receiver. Called once, when the group is durable.
    fn answer(self: Box<Self>);
}

/// A transaction in an engine's queue.
pub struct WorkOrder {
    /// The database whose events and sequences the transaction uses.
    pub database: Database,
    /// The lane in which it waits.
    pub lane: Lane,
    /// The time and trace of the request.
    pub stamp: Stamp,
    /// Contended keys, sorted. Engines with locks run transactions with a common key one after the other.
    pub locks: Vec<Vec<u8>>,
    /// The transaction.
    pub work: Box<dyn Work>,
}

impl fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.database, self.lane)
    }
}

/// A storage engine for the tables of both databases.
pub trait Engine: Send + Sync + 'static {
    /// Queues a transaction. Its result is always sent: once it is durable, or with an error.
    fn submit(&self, order: WorkOrder);

    /// Queues the links of a chain. Each link runs on the state that earlier ones left. After one that is refused or
    /// fails, the rest are skipped. The results are sent in order. An engine without support for chains returns the
    /// links as the error, and [`Chain`](crate::Chain) runs them one by one.
    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        Err(links)
    }

    /// Returns the newest durable state of a database, as far as it has been fetched. This is cheap, but the state must
    /// be dropped soon. An engine that keeps both databases together may return the state of both.
    fn snapshot(&self, database: Database) -> Box<dyn Reader>;

    /// Returns a state that may be held for minutes, for backup, export and verify. At most two exist at a time; a
    /// third call fails with [`StoreError::Busy`].
    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Returns a receiver that is signalled after each commit with events. At most one signal is pending.
    fn subscribe(&self) -> flume::Receiver<()>;

    /// Returns the time of the newest commit. The clock must not fall behind it.
    fn last_commit(&self) -> Timestamp;

    /// Returns the position of the newest durable event of a database, if the engine knows it without a read.
    fn last_event(&self, database: Database) -> Option<i64> {
        let _ = database;
        None
    }

    /// Returns a number that grows with each commit, before readers see its changes in a [`snapshot`](Self::snapshot) or
    /// together with them, if the engine counts commits.
    fn commits(&self) -> Option<u64> {
        None
    }

    /// Checks the data that the engine stores besides the rows, such as its journal.
    fn audit(&self, report: &mut Report) -> Result<(), StoreError> {
        let _ = report;
        Ok(())
    }
}
