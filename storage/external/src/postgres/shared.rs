//! What the threads of one database share: the newest known state, the commits that led to it, and who waits for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use promox_storage::{Database, IndexDef, Schema, Space, StoreError, TableDef};

use super::connection::{Connection, Failure, ServerError};
use super::options::PostgresOptions;
use super::state::{Changed, Commit, CommitLog, State};

/// How long a reader waits for this node's own writer to publish a commit that the reader has already seen.
const MAX_PUBLISH_WAIT: Duration = Duration::from_secs(5);

/// Where a space is: in which table, and in which of its indexes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) table: &'static TableDef,
    /// `None` for the rows themselves.
    pub(super) index: Option<&'static IndexDef>,
}

/// The newest state that the node knows, and how it got there.
#[derive(Default)]
pub(super) struct Current {
    pub(super) state: State,
    pub(super) log: CommitLog,
    /// How often the state was emptied because it was too large.
    pub(super) emptied: u64,
}

/// A commit as the server lists it.
pub(super) struct Listed {
    pub(super) node: i64,
    pub(super) commit: Commit,
}

/// One database, as all its threads see it.
pub(super) struct Shared {
    pub(super) options: PostgresOptions,
    pub(super) database: Database,
    places: BTreeMap<Space, Place>,
    current: Mutex<Current>,
    moved: Condvar,
    /// The node's number.
    pub(super) node: i64,
    /// The node's epoch. A commit with an older one is refused, so that nothing is committed late.
    pub(super) epoch: AtomicI64,
    /// Whether other nodes use the database.
    pub(super) others: AtomicBool,
    /// The time of the newest commit, in microseconds.
    pub(super) last_commit: AtomicI64,
    stopped: AtomicBool,
    subscribers: Mutex<Vec<flume::Sender<()>>>,
    pub(super) counters: Counters,
    /// What the server said last about itself, and when.
    pub(super) health: Mutex<Option<(Instant, Health)>>,
}

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its version.
    pub version: String,
    /// How long it took to answer.
    pub round_trip: Duration,
    /// Whether commits wait for a standby, so that they survive the loss of the server. False if the user may not see
    /// it, which takes the role `pg_read_all_stats`.
    pub synchronous_standby: bool,
    /// The number of nodes that use the database.
    pub nodes: i64,
}

/// Counters for the node's metrics.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) groups: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) round_trips: AtomicU64,
    pub(super) reruns: AtomicU64,
    pub(super) refused_busy: AtomicU64,
    pub(super) reconnects: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Shared {
    pub(super) fn new(options: PostgresOptions, database: Database, schema: &Schema, at: Registered) -> Self {
        let mut places = BTreeMap::new();
        for table in schema.tables_of(database) {
            places.insert(table.space, Place { table, index: None });
            for index in table.indexes {
                places.insert(index.space, Place { table, index: Some(index) });
            }
        }
        let state = State::at(at.position, at.last_event);
        Self {
            options,
            database,
            places,
            current: Mutex::new(Current { state, ..Current::default() }),
            moved: Condvar::new(),
            node: at.node,
            epoch: AtomicI64::new(at.epoch),
            others: AtomicBool::new(true),
            last_commit: AtomicI64::new(at.last_commit),
            stopped: AtomicBool::new(false),
            subscribers: Mutex::default(),
            counters: Counters::default(),
            health: Mutex::default(),
        }
    }

    pub(super) fn place(&self, space: Space) -> Result<Place, StoreError> {
        let missing = || StoreError::Io(format!("{} has no table or index {}", self.database.sql_name(), space.0));
        self.places.get(&space).copied().ok_or_else(missing)
    }

    /// Opens a connection for transactions.
    pub(super) fn connect(&self) -> Result<Connection, Failure> {
        let options = &self.options;
        Connection::open(options, options.database(self.database), SESSION, options.statement_timeout)
    }

    /// Returns the newest known state.
    pub(super) fn state(&self) -> State {
        self.current.lock().state.clone()
    }

    /// Returns the newest known state, and how often it was emptied.
    pub(super) fn state_and_generation(&self) -> (State, u64) {
        let current = self.current.lock();
        (current.state.clone(), current.emptied)
    }

    /// Publishes a commit of this node with the values that it has written.
    pub(super) fn publish(&self, written: Vec<(Space, Vec<u8>, Option<Bytes>)>, commit: Commit) {
        let mut current = self.current.lock();
        for (space, key, value) in written {
            current.state.put(space, key, value);
        }
        (current.state.position, current.state.last_event) = (commit.position, commit.last_event);
        current.log.push(commit);
        self.limit(&mut current);
        self.moved.notify_all();
    }

    /// Adds what was read at `fetched.position`, after following the commits that the server listed with it. Returns
    /// the newest state, and brings `fetched` to it.
    pub(super) fn add(&self, listed: Vec<Listed>, fetched: &mut State) -> Result<(State, u64), StoreError> {
        let mut current = self.follow(listed)?;
        current.log.bring(fetched);
        current.state.merge(fetched);
        self.limit(&mut current);
        Ok((current.state.clone(), current.emptied))
    }

    /// Follows commits of other nodes that the server listed. Those of this node are published by its writer.
    fn follow(&self, listed: Vec<Listed>) -> Result<parking_lot::MutexGuard<'_, Current>, StoreError> {
        let until = Instant::now() + MAX_PUBLISH_WAIT;
        let mut current = self.current.lock();
        let mut moved = false;
        for Listed { node, commit } in listed {
            while node == self.node && current.state.position < commit.position {
                if self.is_stopped() || self.moved.wait_until(&mut current, until).timed_out() {
                    return Err(StoreError::Busy);
                }
            }
            if commit.position == current.state.position + 1 {
                moved |= commit.last_event > current.state.last_event;
                current.state.follow(&commit);
                current.log.push(commit);
            } else if commit.position > current.state.position {
                current.state.clear();
                (current.state.position, current.state.last_event) = (commit.position, commit.last_event);
                // Commits in between are no longer listed, so nothing from before can follow.
                current.log = CommitLog::default();
                current.log.push(Commit { changed: Changed::Anything, ..commit });
                moved = true;
            }
        }
        if moved {
            self.notify();
        }
        self.moved.notify_all();
        Ok(current)
    }

    /// Brings what was read at an earlier position to the newest one, and adds it to a state at that position.
    pub(super) fn bring(&self, state: &mut State) {
        self.current.lock().log.bring(state);
    }

    fn limit(&self, current: &mut Current) {
        if current.state.bytes > self.options.cache_bytes {
            current.state.clear();
            current.emptied += 1;
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Stops the engine, because another node has taken over.
    pub(super) fn stop_for_other(&self) {
        tracing::error!(database = %self.database.sql_name(), "another node has taken over");
        self.stop();
        (self.options.on_stop)();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.moved.notify_all();
    }

    pub(super) fn subscribe(&self, sender: flume::Sender<()>) {
        self.subscribers.lock().push(sender);
    }

    /// Signals all subscribers.
    pub(super) fn notify(&self) {
        let is_disconnected =
            |sender: &flume::Sender<()>| matches!(sender.try_send(()), Err(flume::TrySendError::Disconnected(())));
        self.subscribers.lock().retain(|sender| !is_disconnected(sender));
    }
}

/// What the server said when the node registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registered {
    pub(super) node: i64,
    pub(super) epoch: i64,
    pub(super) position: i64,
    pub(super) last_event: i64,
    pub(super) last_commit: i64,
}

/// The settings of the sessions that run transactions. Plans are made once and use indexes only: a plan that was made
/// while a table was empty would read it whole.
const SESSION: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
    ("synchronous_commit", "on"),
    ("lock_timeout", "3000"),
    ("idle_in_transaction_session_timeout", "2000"),
];

/// Converts a failure that a caller cannot repair.
pub(super) fn store_error(failure: &Failure) -> StoreError {
    match failure {
        Failure::Lost(_) => StoreError::Busy,
        Failure::Refused(ServerError { code, .. }) => match code.as_str() {
            // The server is starting or stopping, has no connection left, or cancelled the statement.
            "57P01" | "57P02" | "57P03" | "53300" | "57014" | "55P03" | "40001" | "40P01" => StoreError::Busy,
            "53100" => StoreError::Full,
            _ => StoreError::Io(failure.to_string()),
        },
    }
}
