//! The engine's handle: submits work, hands out snapshots, ends its threads when it is dropped.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flume::{Sender, TrySendError};
use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, Lane, Reader, Schema, StoreError, WorkOrder};

use crate::disk::DirLock;
use crate::journal::recover::{Recovered, recover};
use crate::journal::segment::StoreId;
use crate::journal::{Journal, Segments};
use crate::key::Key;
use crate::metrics::{Metrics, add, read};
use crate::open::{self, OpenError, Options};
use crate::shared::Shared;
use crate::table::Table;
use crate::view::{Published, Snapshot, View};
use crate::writer::{Lanes, Queued, Turn, Writer};

/// How long an idle thread sleeps before it looks at the clock.
const PATIENCE: Duration = Duration::from_millis(250);

/// Keeps the tables of both databases in a data directory.
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
    lanes: Option<(Sender<Option<Queued>>, Sender<Queued>)>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held until the threads have ended.
    _lock: DirLock,
}

impl std::fmt::Debug for EmbeddedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.shared.options)
    }
}

impl EmbeddedEngine {
    /// Opens a store: locks it, replays its journal, makes that safe, and starts its threads.
    pub fn open(options: Options, schema: Schema) -> Result<Arc<Self>, OpenError> {
        let (engine, mut writer) = Self::assemble(options, schema)?;
        let thread = thread::Builder::new().name("store-writer".to_owned());
        let running = thread.spawn(move || {
            loop {
                match writer.turn(PATIENCE) {
                    Turn::Ended => break,
                    Turn::Blocked => thread::sleep(Duration::from_millis(1)),
                    Turn::Worked | Turn::Idle => {}
                }
            }
        });
        let dir = engine.shared.options.dir.clone();
        engine.threads.lock().push(running.map_err(|error| OpenError::io(&dir, &error))?);
        Ok(engine)
    }

    /// Opens a store without threads: who calls steps its parts.
    pub fn assemble(options: Options, _schema: Schema) -> Result<(Arc<Self>, Writer), OpenError> {
        let (disk, dir) = (options.disk.clone(), options.dir.clone());
        let io = |error: std::io::Error| OpenError::io(&dir, &error);
        disk.create_dir(&dir.join(open::JOURNAL)).map_err(io)?;
        let lock = open::lock(&options)?;
        let (store, _new) = open::identity(&options)?;
        let (view, recovered) = replay(&options, &store)?;
        let segments = segments(&options, &recovered).map_err(io)?;
        let journal = Journal::resume(segments, store, recovered.tail).map_err(io)?;
        let (normal, normal_end) = flume::bounded(options.queue);
        let (bulk, bulk_end) = flume::bounded(options.queue);
        let (checkpointer, _) = flume::bounded(1);
        let (_, freeze_asked) = flume::bounded(1);
        let shared = Arc::new(Shared::new(options, Published::new(view)));
        let lanes = Lanes { normal: normal_end, bulk: bulk_end };
        let writer = Writer::new(shared.clone(), lanes, journal, checkpointer, freeze_asked);
        let engine = Self { shared, lanes: Some((normal, bulk)), threads: Mutex::default(), _lock: lock };
        Ok((Arc::new(engine), writer))
    }

    /// One of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// The engine's numbers of this moment.
    pub fn metrics(&self) -> Metrics {
        let (counters, view) = (&self.shared.counters, self.shared.published.load());
        let waiting = self.lanes.as_ref().map_or(0, |(normal, bulk)| normal.len() + bulk.len());
        let frozen = view.frozen.as_ref().map_or(0, |frozen| frozen.table.bytes);
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
            position: view.mark.position,
            read_only: self.shared.is_full(),
            ..Metrics::default()
        }
    }

    fn queue(&self, order: WorkOrder) -> Result<(), (WorkOrder, StoreError)> {
        if self.shared.is_stopped() {
            return Err((order, StoreError::Stopped));
        }
        let Some((normal, bulk)) = &self.lanes else { return Err((order, StoreError::Stopped)) };
        let lane = order.lane;
        let queued = Queued { order, since: self.shared.options.clock.now() };
        let refused = |error: StoreError| move |queued: Queued| (queued.order, error);
        if lane == Lane::Normal {
            return normal.try_send(Some(queued)).or_else(|error| match error {
                TrySendError::Full(Some(queued)) => Err(refused(StoreError::Busy)(queued)),
                TrySendError::Disconnected(Some(queued)) => Err(refused(StoreError::Stopped)(queued)),
                TrySendError::Full(None) | TrySendError::Disconnected(None) => Ok(()),
            });
        }
        bulk.try_send(queued).map_err(|error| match error {
            TrySendError::Full(queued) => refused(StoreError::Busy)(queued),
            TrySendError::Disconnected(queued) => refused(StoreError::Stopped)(queued),
        })?;
        // When the lane is full the writer is awake anyhow.
        let _ = normal.try_send(None);
        Ok(())
    }
}

/// The state that the journal gives.
fn replay(options: &Options, store: &StoreId) -> Result<(View, Recovered), OpenError> {
    let mut table = Table::default();
    let mut mark = crate::journal::frame::Mark::default();
    let journal = options.dir.join(open::JOURNAL);
    let recovered = recover(&*options.disk, &journal, store, mark.position, |frame| {
        for change in frame.changes() {
            let change = change.ok_or("a change does not decode")?;
            table.insert(Key::new(change.space, change.key), crate::journal::frame::owned(change.value));
        }
        mark = frame.mark;
        Ok(())
    })?;
    Ok((View { memory: table, frozen: None, mark }, recovered))
}

/// The segments after recovery: what waits for use is used again or removed.
fn segments(options: &Options, recovered: &Recovered) -> std::io::Result<Arc<Segments>> {
    let dir = options.dir.join(open::JOURNAL);
    remove_unfinished(options, &dir)?;
    let tail = recovered.tail.map_or(0, |tail| tail.number);
    for number in &recovered.spare {
        options.disk.remove(&crate::journal::segment::path(&dir, *number))?;
    }
    let last = recovered.spare.iter().copied().max().unwrap_or(0).max(tail);
    let segments = Segments::new(options.disk.clone(), dir, options.segment_bytes, recovered.sealed.clone(), last);
    if recovered.tail.is_none() {
        segments.prepare_first()?;
    }
    Ok(Arc::new(segments))
}

fn remove_unfinished(options: &Options, dir: &Path) -> std::io::Result<()> {
    let names = options.disk.list(dir)?;
    let unfinished = names.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "tmp"));
    for name in unfinished {
        options.disk.remove(&dir.join(name))?;
    }
    Ok(())
}

impl Engine for EmbeddedEngine {
    fn submit(&self, order: WorkOrder) {
        if let Err((mut order, error)) = self.queue(order) {
            if error == StoreError::Busy {
                add(&self.shared.counters.refused_busy, 1);
            }
            order.work.fail(error);
            order.work.answer();
        }
    }

    fn snapshot(&self) -> Box<dyn Reader> {
        Box::new(Snapshot(self.shared.published.load()))
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(self.snapshot())
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        self.shared.subscribe()
    }

    fn last_commit(&self) -> Timestamp {
        self.shared.published.load().mark.time
    }
}

impl Drop for EmbeddedEngine {
    /// What is queued is still done; then the threads end.
    fn drop(&mut self) {
        self.lanes = None;
        for thread in self.threads.get_mut().drain(..) {
            // The last handle may be dropped by a transaction, on the writer's own thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
