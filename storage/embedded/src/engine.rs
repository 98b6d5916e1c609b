//! The handle of an engine. It queues transactions, returns snapshots, and ends the engine's threads when it is
//! dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flume::{Sender, TrySendError};
use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, Lane, Reader, Report, StoreError, Work, WorkOrder};

use crate::base::{Base, Names};
use crate::checkpoint::Checkpointer;
use crate::directory::JOURNAL;
use crate::disk::DirLock;
use crate::journal;
use crate::journal::frame::Mark;
use crate::long_read::{LongRead, Slices, SteppedRead};
use crate::metrics::{Metrics, add, read};
use crate::open::OpenError;
use crate::shared::Shared;
use crate::stop::Stop;
use crate::table::Table;
use crate::view::Snapshot;
use crate::writer::{Queued, Turn, Writer};

/// How long an idle thread waits for work before it checks the clock.
const PATIENCE: Duration = Duration::from_millis(250);
/// Maximum concurrent long reads.
const MAX_LONG_READS: usize = 2;
/// The time limit of a long read. While it runs, the checkpoint file cannot reuse pages.
const LONG_READ_LIMIT: Duration = Duration::from_mins(30);
/// The maximum wait for the checkpoint that a long read starts from.
const MAX_CHECKPOINT_WAIT: Duration = Duration::from_secs(30);

/// The senders of the two lanes: normal and bulk.
pub(crate) type Senders = (Sender<Option<Queued>>, Sender<Queued>);

/// An engine without threads, whose writer and checkpointer are stepped by the caller.
#[derive(Debug)]
pub struct Assembled {
    /// The engine.
    pub engine: Arc<EmbeddedEngine>,
    /// The part that makes groups durable.
    pub writer: Writer,
    /// The part that writes checkpoints.
    pub checkpointer: Checkpointer,
}

/// The embedded engine, which stores the tables of both databases in a data directory.
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
    lanes: Option<Senders>,
    /// Requests that the writer hand its table to the checkpointer.
    freeze: Sender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Each long read holds a clone, so that the reference count shows their number.
    long_reads: Arc<()>,
    /// Whether the engine has threads. If not, the caller steps its parts.
    threaded: AtomicBool,
    /// The lock of the directory. Each thread has a clone, so it is held until the last one has ended.
    lock: Arc<DirLock>,
}

impl std::fmt::Debug for EmbeddedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.shared.options)
    }
}

impl EmbeddedEngine {
    pub(crate) fn new(shared: Arc<Shared>, lanes: Senders, freeze: Sender<()>, lock: DirLock) -> Self {
        let threads = Mutex::default();
        let (lanes, long_reads, threaded) = (Some(lanes), Arc::new(()), AtomicBool::new(false));
        Self { shared, lanes, freeze, threads, long_reads, threaded, lock: Arc::new(lock) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts the threads that run the writer and the checkpointer.
    pub(crate) fn run(&self, mut writer: Writer, mut checkpointer: Checkpointer) -> Result<(), OpenError> {
        self.spawn("store-writer", move |patience| writer.turn(patience))?;
        self.spawn("store-checkpointer", move |patience| checkpointer.turn(patience))?;
        self.threaded.store(true, Ordering::Release);
        Ok(())
    }

    fn spawn(&self, name: &str, mut turn: impl FnMut(Duration) -> Turn + Send + 'static) -> Result<(), OpenError> {
        let (lock, shared) = (self.lock.clone(), self.shared.clone());
        let work = move || {
            let turns = || {
                loop {
                    match turn(PATIENCE) {
                        Turn::Ended => break,
                        Turn::Blocked => thread::sleep(Duration::from_millis(1)),
                        Turn::Worked | Turn::Idle => {}
                    }
                }
            };
            if catch_unwind(AssertUnwindSafe(turns)).is_err() {
                shared.stop(&Stop::io(
                    "a thread of the store has failed",
                    "it panicked; see the log before this message",
                ));
            }
            // Files must be closed before the lock is released.
            drop(turn);
            drop(lock);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.lock().push(thread.map_err(|error| OpenError::io(&self.shared.options.dir, &error))?);
        Ok(())
    }

    /// Returns one of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// Returns the current metrics.
    pub fn metrics(&self) -> Metrics {
        let (counters, view) = (&self.shared.counters, self.shared.published.load());
        let waiting = self.lanes.as_ref().map_or(0, |(normal, bulk)| normal.len() + bulk.len());
        let frozen = view.frozen.as_ref().map_or(0, |frozen| frozen.table.bytes);
        let checkpointed_at = Timestamp(read(&counters.checkpointed_at).cast_signed());
        Metrics {
            queue_depth: waiting as u64,
            groups: read(&counters.groups),
            transactions: read(&counters.transactions),
            last_group: read(&counters.last_group),
            sync_total: Duration::from_micros(read(&counters.sync_micros)),
            last_sync: Duration::from_micros(read(&counters.last_sync_micros)),
            journal_bytes: read(&counters.journal_bytes),
            memory_table_bytes: (view.memory.bytes + frozen) as u64,
            refused_busy: read(&counters.refused_busy),
            refused_full: read(&counters.refused_full),
            position: view.reached.mark.position,
            read_only: self.shared.room.is_full(),
            applied_position: view.base.reached.mark.position,
            checkpoints: read(&counters.checkpoints),
            last_checkpoint: Duration::from_micros(read(&counters.last_checkpoint_micros)),
            checkpoint_age: self.shared.options.clock.now().since(checkpointed_at),
        }
    }

    /// Returns the number of rows and index entries in the latest checkpoint, without reading them.
    pub fn entries(&self) -> Option<u64> {
        let base = self.shared.published.load().base.clone();
        base.names().all().map(|(space, _)| base.count(space)).sum()
    }

    /// Returns a long read, its position, and the names of its spaces.
    pub(crate) fn long_read_with_mark(&self) -> Result<(Box<dyn Reader>, Mark, Arc<Names>), StoreError> {
        let permit = self.long_reads.clone();
        if Arc::strong_count(&permit) > 1 + MAX_LONG_READS {
            return Err(StoreError::Busy);
        }
        if !self.threaded.load(Ordering::Acquire) {
            let view = self.shared.published.load_full();
            let (mark, names) = (view.reached.mark, view.base.names());
            return Ok((Box::new(SteppedRead { view, _permit: permit }), mark, names));
        }
        let base = self.checkpoint()?;
        let (mark, names, until) = (base.reached.mark, base.names(), Instant::now() + LONG_READ_LIMIT);
        let slices = Slices::new(self.shared.clone());
        Ok((Box::new(LongRead { base, empty: Table::default(), until, slices, _permit: permit }), mark, names))
    }

    /// Moves everything that is committed now into the checkpoint file, and returns the checkpoint.
    pub(crate) fn checkpoint(&self) -> Result<Arc<Base>, StoreError> {
        let started = Instant::now();
        let target = self.shared.published.load().reached.mark.position;
        loop {
            let base = self.shared.published.load().base.clone();
            if base.reached.mark.position >= target {
                return Ok(base);
            }
            if self.shared.is_stopped() {
                return Err(StoreError::Stopped);
            }
            if started.elapsed() > MAX_CHECKPOINT_WAIT {
                return Err(if self.shared.room.is_full() { StoreError::Full } else { StoreError::Busy });
            }
            let _ = self.freeze.try_send(());
            if let Some((normal, _)) = &self.lanes {
                let _ = normal.try_send(None);
            }
            let (lock, woken) = &self.shared.checkpointed;
            woken.wait_for(&mut lock.lock(), Duration::from_millis(10));
        }
    }

    /// Queues a transaction or a chain. If it cannot be queued, returns it with the reason.
    fn queue(&self, queued: Queued) -> Option<(Queued, StoreError)> {
        if self.shared.is_stopped() {
            return Some((queued, StoreError::Stopped));
        }
        let Some((normal, bulk)) = &self.lanes else { return Some((queued, StoreError::Stopped)) };
        if queued.order.lane == Lane::Normal {
            return match normal.try_send(Some(queued)) {
                Err(TrySendError::Full(Some(queued))) => Some((queued, StoreError::Busy)),
                Err(TrySendError::Disconnected(Some(queued))) => Some((queued, StoreError::Stopped)),
                Ok(()) | Err(_) => None,
            };
        }
        match bulk.try_send(queued) {
            Err(TrySendError::Full(queued)) => return Some((queued, StoreError::Busy)),
            Err(TrySendError::Disconnected(queued)) => return Some((queued, StoreError::Stopped)),
            Ok(()) => {}
        }
        // Wakes the writer. If the normal lane is full, it is awake already.
        let _ = normal.try_send(None);
        None
    }

    /// Queues a transaction, with the remaining links if it is the first of a chain. If that fails, sends the error.
    fn enqueue(&self, order: WorkOrder, rest: Vec<WorkOrder>) {
        let queued = Queued { order, rest, since: self.shared.options.clock.now() };
        if let Some((queued, error)) = self.queue(queued) {
            if error == StoreError::Busy {
                add(&self.shared.counters.refused_busy, 1);
            }
            queued.refused(error).for_each(Work::answer);
        }
    }
}

impl Engine for EmbeddedEngine {
    fn submit(&self, order: WorkOrder) {
        self.enqueue(order, Vec::new());
    }

    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        if !self.shared.options.group_chains {
            return Err(links);
        }
        let mut links = links.into_iter();
        if let Some(first) = links.next() {
            self.enqueue(first, links.collect());
        }
        Ok(())
    }

    fn snapshot(&self, _: Database) -> Box<dyn Reader> {
        Box::new(Snapshot(self.shared.published.load()))
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.long_read_with_mark().map(|(reader, _, _)| reader)
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        self.shared.subscribe()
    }

    fn last_commit(&self) -> Timestamp {
        self.shared.published.load().reached.mark.time
    }

    fn last_event(&self, database: Database) -> Option<i64> {
        self.shared.published.load().reached.mark.outbox.get(database as usize).copied()
    }

    fn commits(&self) -> Option<u64> {
        Some(self.shared.published.load().reached.mark.position)
    }

    /// Reads the journal again, from the checkpoint to the last group that was committed when this was called.
    fn audit(&self, report: &mut Report) -> Result<(), StoreError> {
        let (options, mut view) = (&self.shared.options, self.shared.published.load_full());
        loop {
            let (from, until) = (view.base.reached, view.reached.mark.position);
            let dir = options.dir.join(JOURNAL);
            let read = journal::recover::reread(&*options.disk, &dir, &self.shared.store, from, until);
            view = self.shared.published.load_full();
            // After a checkpoint that finished in the meantime, the journal begins elsewhere, so it is read again.
            if read.is_ok() || view.base.reached == from {
                let invariant = "every group that was committed is in the checkpoint or the journal";
                report
                    .check(invariant, read.is_ok(), || read.err().map_or_else(String::new, |error| error.to_string()));
                return Ok(());
            }
        }
    }
}

impl Drop for EmbeddedEngine {
    /// Waits until the queued transactions are finished and the threads have ended.
    fn drop(&mut self) {
        self.lanes = None;
        self.shared.room.close();
        let threads = std::mem::take(self.threads.get_mut());
        // A transaction may drop the last handle on the writer's own thread, which cannot wait for itself.
        if threads.iter().any(|thread| thread.thread().id() == thread::current().id()) {
            return;
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}
