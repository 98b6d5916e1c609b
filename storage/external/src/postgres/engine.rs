//! The handle of the engine. It queues transactions, returns states, and ends the engine's threads when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flume::{Sender, TrySendError};
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, Lane, Reader, Schema, StoreError, WorkOrder};

use super::connection::Connection;
use super::fetch::Plan;
use super::long_read::LongRead;
use super::options::PostgresOptions;
use super::reader::{self, ReadRequest, View};
use super::server::{self, PostgresError};
use super::shared::{Health, Shared, count};
use super::state::State;
use super::writer::{Lanes, Queued, Writer};

/// The number of transactions that may wait in a lane.
const QUEUE: usize = 8_192;
/// The number of reads that may wait.
const READ_QUEUE: usize = 8_192;
/// Maximum concurrent long reads.
const MAX_LONG_READS: usize = 2;
/// How often a node says that it is alive.
const RENEWAL: Duration = Duration::from_secs(1);
/// How long a node that must be the only one waits for another to end.
const MAX_CLAIM: Duration = Duration::from_secs(3);
/// The pause between attempts to become the only node.
const CLAIM_PAUSE: Duration = Duration::from_millis(20);
/// How long ago a server must have answered to count as reachable.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// How often a node asks for commits of others.
const POLL: Duration = Duration::from_millis(100);

/// The senders of one database.
struct Queues {
    normal: Sender<Option<Queued>>,
    bulk: Sender<Queued>,
    reads: Sender<ReadRequest>,
}

/// The engine that stores the tables of both databases on a PostgreSQL server.
pub struct PostgresEngine {
    databases: Vec<Arc<Shared>>,
    queues: Vec<Queues>,
    /// Ends the threads that renew the registration.
    ending: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// Each long read holds a clone, so that the reference count shows their number.
    long_reads: Arc<()>,
}

impl fmt::Debug for PostgresEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an engine on PostgreSQL")
    }
}

impl PostgresEngine {
    /// Connects to the server, creates missing tables, registers the node, and starts the engine's threads.
    pub fn open(options: &PostgresOptions, schema: &Schema) -> Result<Arc<Self>, PostgresError> {
        let (ending, ended) = flume::bounded(0);
        let mut engine = Self {
            databases: Vec::new(),
            queues: Vec::new(),
            ending: Some(ending),
            threads: Vec::new(),
            long_reads: Arc::default(),
        };
        for database in Database::ALL {
            let registered = server::prepare(options, database, schema)?;
            let shared = Arc::new(Shared::new(options.clone(), database, schema, registered));
            let (normal, normal_receiver) = flume::bounded(QUEUE);
            let (bulk, bulk_receiver) = flume::bounded(QUEUE);
            let (reads, read_receiver) = flume::bounded(READ_QUEUE);
            let writer = Writer::new(shared.clone(), Lanes { normal: normal_receiver, bulk: bulk_receiver });
            let name = database.name();
            engine.spawn(format!("{name}-writer"), move || writer.run())?;
            for _ in 0..options.readers.max(1) {
                let (shared, receiver) = (shared.clone(), read_receiver.clone());
                engine.spawn(format!("{name}-reader"), move || reader::serve(&shared, &receiver))?;
            }
            let (renewed, ended, connection) = (shared.clone(), ended.clone(), claim(&shared)?);
            engine.spawn(format!("{name}-node"), move || stay_registered(&renewed, connection, &ended))?;
            engine.databases.push(shared);
            engine.queues.push(Queues { normal, bulk, reads });
        }
        Ok(Arc::new(engine))
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), PostgresError> {
        let spawned = thread::Builder::new().name(name).spawn(work);
        let failed = |error: std::io::Error| PostgresError::Unreachable {
            server: "of this node".to_owned(),
            why: format!("a thread could not be started: {error}"),
        };
        self.threads.push(spawned.map_err(failed)?);
        Ok(())
    }

    /// Returns one of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// Returns the current metrics of both databases.
    pub fn metrics(&self) -> Metrics {
        let sum = |counter: fn(&Shared) -> u64| self.databases.iter().map(|shared| counter(shared)).sum();
        let waiting = |queues: &Queues| (queues.normal.len() + queues.bulk.len()) as u64;
        Metrics {
            queue_depth: self.queues.iter().map(waiting).sum(),
            groups: sum(|shared| shared.counters.groups.load(Ordering::Relaxed)),
            transactions: sum(|shared| shared.counters.transactions.load(Ordering::Relaxed)),
            round_trips: sum(|shared| shared.counters.round_trips.load(Ordering::Relaxed)),
            reruns: sum(|shared| shared.counters.reruns.load(Ordering::Relaxed)),
            refused_busy: sum(|shared| shared.counters.refused_busy.load(Ordering::Relaxed)),
            reconnects: sum(|shared| shared.counters.reconnects.load(Ordering::Relaxed)),
            cached_bytes: sum(|shared| shared.state().bytes as u64),
        }
    }

    /// Returns what the servers of both databases said last about themselves. The error says that one cannot be reached.
    pub fn health(&self) -> Result<Health, String> {
        let mut healths = Vec::new();
        for shared in &self.databases {
            let health = shared.health.lock().clone().filter(|(at, _)| at.elapsed() < MAX_SILENCE);
            let silent = || format!("the PostgreSQL server {} does not answer", shared.options.address);
            healths.push(health.ok_or_else(silent)?.1);
        }
        let slowest = healths.into_iter().max_by_key(|health| health.round_trip);
        slowest.ok_or_else(|| "the store is closed".to_owned())
    }

    fn queue(&self, order: WorkOrder) -> Option<(WorkOrder, StoreError)> {
        let at = order.database as usize;
        let (Some(queues), Some(shared)) = (self.queues.get(at), self.databases.get(at)) else {
            return Some((order, StoreError::Stopped));
        };
        let (lane, since) = (order.lane, shared.options.clock.now());
        let queued = Queued { order, since };
        if lane == Lane::Normal {
            return match queues.normal.try_send(Some(queued)) {
                Err(TrySendError::Full(Some(queued))) => Some((queued.order, StoreError::Busy)),
                Err(TrySendError::Disconnected(Some(queued))) => Some((queued.order, StoreError::Stopped)),
                Ok(()) | Err(_) => None,
            };
        }
        match queues.bulk.try_send(queued) {
            Err(TrySendError::Full(queued)) => return Some((queued.order, StoreError::Busy)),
            Err(TrySendError::Disconnected(queued)) => return Some((queued.order, StoreError::Stopped)),
            Ok(()) => {}
        }
        // Wakes the writer. If the normal lane is full, it is awake already.
        let _ = queues.normal.try_send(None);
        None
    }
}

/// What the engine has done, over both databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Transactions waiting in the queue.
    pub queue_depth: u64,
    /// Groups committed since the start.
    pub groups: u64,
    /// Transactions answered since the start.
    pub transactions: u64,
    /// Round trips to the server since the start.
    pub round_trips: u64,
    /// Transactions that ran again because another node had committed.
    pub reruns: u64,
    /// Transactions refused because they waited too long or the queue was full.
    pub refused_busy: u64,
    /// Attempts to connect again.
    pub reconnects: u64,
    /// Bytes of rows in memory.
    pub cached_bytes: u64,
}

/// Connects for the renewals of the registration, and makes the node the only one if it has to be.
fn claim(shared: &Shared) -> Result<Connection, PostgresError> {
    let name = shared.options.database(shared.database);
    let failed = |failure| server::schema_error(name, &failure);
    let mut connection = shared.connect().map_err(failed)?;
    if !shared.options.exclusive {
        return Ok(connection);
    }
    let until = Instant::now() + MAX_CLAIM;
    loop {
        match server::claim(shared, &mut connection).map_err(failed)? {
            None => return Ok(connection),
            // The server may not have noticed yet that a killed node is gone.
            Some(_) if Instant::now() < until => thread::sleep(CLAIM_PAUSE),
            Some(node) => {
                let _ = server::deregister(shared, &mut connection);
                return Err(PostgresError::InUse { database: name.to_owned(), node });
            }
        }
    }
}

/// Renews the node's registration and follows the commits of others, until the engine ends.
fn stay_registered(shared: &Shared, connection: Connection, ended: &flume::Receiver<()>) {
    let (mut connection, mut renewed) = (Some(connection), None::<Instant>);
    loop {
        let due = renewed.is_none_or(|renewed| renewed.elapsed() >= RENEWAL);
        if let Err(error) = renew_or_poll(shared, &mut connection, due) {
            tracing::debug!(%error, "the node's registration could not be renewed");
            connection = None;
        } else if due {
            renewed = Some(Instant::now());
        }
        let pause = if shared.others.load(Ordering::Relaxed) { POLL } else { RENEWAL };
        if ended.recv_timeout(pause) == Err(flume::RecvTimeoutError::Disconnected) {
            break;
        }
    }
    if let Some(connection) = &mut connection {
        let _ = server::deregister(shared, connection);
    }
}

/// Connects again after the connection was lost. A node that must be the only one stops if another has taken over.
fn connect_again(shared: &Shared) -> Result<Connection, super::connection::Failure> {
    let mut connection = shared.connect()?;
    if shared.options.exclusive && !shared.is_stopped() && server::claim(shared, &mut connection)?.is_some() {
        shared.stop_for_other();
    }
    Ok(connection)
}

fn renew_or_poll(shared: &Shared, connection: &mut Option<Connection>, due: bool) -> Result<(), StoreError> {
    let failed = |failure| super::shared::store_error(&failure);
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connect_again(shared).map_err(failed)?),
    };
    if due {
        let others = server::renew(shared, connection).map_err(failed)?;
        shared.others.store(others, Ordering::Relaxed);
        server::prune_commits(connection).map_err(failed)?;
    }
    if shared.others.load(Ordering::Relaxed) {
        let since = shared.state().position;
        let fetched = Plan::default().run(connection, shared, since);
        let (listed, _) = fetched.map_err(super::fetch::FetchError::into_store_error)?;
        shared.add(listed, &mut State::at(since, 0))?;
    }
    Ok(())
}

impl Engine for PostgresEngine {
    fn submit(&self, order: WorkOrder) {
        if let Some((mut order, error)) = self.queue(order) {
            if let Some(shared) = self.databases.get(order.database as usize).filter(|_| error == StoreError::Busy) {
                count(&shared.counters.refused_busy, 1);
            }
            order.work.fail(error);
            order.work.answer();
        }
    }

    fn snapshot(&self, database: Database) -> Box<dyn Reader> {
        match (self.databases.get(database as usize), self.queues.get(database as usize)) {
            (Some(shared), Some(queues)) => Box::new(View::new(shared.clone(), queues.reads.clone())),
            _ => Box::new(Closed),
        }
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        let permit = self.long_reads.clone();
        if Arc::strong_count(&permit) > 1 + MAX_LONG_READS {
            return Err(StoreError::Busy);
        }
        Ok(Box::new(LongRead::begin(&self.databases, permit)?))
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        let (sender, receiver) = flume::bounded(1);
        self.databases.iter().for_each(|shared| shared.subscribe(sender.clone()));
        receiver
    }

    fn last_commit(&self) -> Timestamp {
        let times = self.databases.iter().map(|shared| shared.last_commit.load(Ordering::Relaxed));
        Timestamp(times.max().unwrap_or(0))
    }
}

/// The state of an engine that has no databases.
struct Closed;

impl Reader for Closed {
    fn get(&self, _: promox_storage::Space, _: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        Err(StoreError::Stopped)
    }

    fn scan<'a>(
        &'a self,
        _: &promox_storage::KeyRange,
        _: promox_storage::Direction,
    ) -> Box<dyn Iterator<Item = Result<promox_storage::Item, StoreError>> + 'a> {
        Box::new(std::iter::once(Err(StoreError::Stopped)))
    }
}

impl Drop for PostgresEngine {
    /// Waits until the queued transactions are finished and the threads have ended.
    fn drop(&mut self) {
        self.queues.clear();
        self.ending = None;
        let current = thread::current().id();
        // A transaction may drop the last handle on the writer's own thread, which cannot wait for itself.
        if self.threads.iter().any(|thread| thread.thread().id() == current) {
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.databases.iter().for_each(|shared| shared.stop());
    }
}
