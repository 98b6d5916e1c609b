//! The writer: takes queued transactions, runs them, appends one frame, syncs once, publishes, then replies to all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, TryRecvError};
use promox_kernel::Timestamp;
use promox_storage::{IdBlocks, StoreError, Work, WorkOrder};

use crate::group::{Group, Working};
use crate::journal::frame::FrameBuffer;
use crate::journal::{AppendError, Journal};
use crate::metrics::{add, micros, set};
use crate::shared::Shared;
use crate::stop::Stop;
use crate::table::Table;
use crate::view::{Frozen, View};

/// Transactions of one group at most.
const MAX_GROUP: usize = 1_024;
/// Of these, transactions of the bulk lane.
const MAX_BULK: usize = MAX_GROUP / 4;
/// A group is closed when its frame has this length.
const ENOUGH: usize = 4 << 20;
/// A group takes no more bulk work when it has added this much, so that others do not wait for it.
const ENOUGH_BULK: usize = 256 << 10;
/// Work that waited longer is refused: its client has likely gone.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The same limit for bulk work, which yields to the normal lane.
const MAX_BULK_WAIT: Duration = Duration::from_secs(20);
/// Memory waiting for the checkpointer, in checkpoints' worth of journal, beyond which the writer waits.
const BACKLOG: u64 = 4;

/// Work with its arrival time.
pub(crate) struct Queued {
    pub(crate) order: WorkOrder,
    /// The other links, if `order` is the first of a chain.
    pub(crate) rest: Vec<WorkOrder>,
    pub(crate) since: Timestamp,
}

impl Queued {
    /// Has its transaction fail, and skips the other links of a chain; what is to be answered.
    pub(crate) fn refused(self, error: StoreError) -> impl Iterator<Item = Box<dyn Work>> {
        let (mut first, rest) = (self.order.work, self.rest.into_iter().map(|order| order.work));
        first.fail(error);
        let skipped = rest.map(|mut work| {
            work.skip();
            work
        });
        std::iter::once(first).chain(skipped)
    }
}

/// The two lanes.
pub(crate) struct Lanes {
    /// `None` only wakes the writer: there is work in the bulk lane.
    pub(crate) normal: Receiver<Option<Queued>>,
    pub(crate) bulk: Receiver<Queued>,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It did something; there may be more work.
    Worked,
    /// There was nothing to do.
    Idle,
    /// It is waiting for the checkpointer.
    Blocked,
    /// The engine is closed and nothing is left to do.
    Ended,
}

/// Makes groups durable, one per turn. A thread loops over it, or a simulator steps it.
pub struct Writer {
    shared: Arc<Shared>,
    lanes: Lanes,
    journal: Journal,
    working: Working,
    /// Journal bytes since the memory table was last frozen.
    since_frozen: u64,
    frozen_at: Timestamp,
    checkpointer: flume::Sender<()>,
    freeze_asked: Receiver<()>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a writer at group {}", self.working.reached.mark.position)
    }
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lanes: Lanes,
        journal: Journal,
        checkpointer: flume::Sender<()>,
        freeze_asked: Receiver<()>,
    ) -> Self {
        let view = shared.published.load();
        let (table, frame) = (view.memory.clone(), FrameBuffer::new());
        let working = Working { table, reached: view.reached, frame, ends: Vec::new(), ids: IdBlocks::default() };
        drop(view);
        let frozen_at = shared.options.clock.now();
        let since_frozen = working.table.bytes as u64;
        Self { shared, lanes, journal, working, since_frozen, frozen_at, checkpointer, freeze_asked }
    }

    /// Makes one group durable and replies to it; waits up to `patience` for work.
    pub fn turn(&mut self, patience: Duration) -> Turn {
        if self.shared.is_stopped() {
            return self.refuse(patience);
        }
        self.freeze_if_due();
        if self.is_ahead() {
            return Turn::Blocked;
        }
        let first = match self.lanes.wait(patience) {
            Ok(first) => first,
            Err(ended) => return if ended { Turn::Ended } else { Turn::Idle },
        };
        let view = self.shared.published.load();
        let mut group = Group::default();
        self.fill(first, &view, &mut group);
        drop(view);
        self.commit(group);
        Turn::Worked
    }

    /// Whether the checkpointer is too far behind. On a full disk it may stay behind, so then work is taken and refused
    /// instead of waiting; the same while closing.
    fn is_ahead(&self) -> bool {
        let backlog = self.shared.options.checkpoint_bytes.saturating_mul(BACKLOG);
        let ahead = self.since_frozen >= backlog || self.is_heavy();
        ahead && !self.shared.room.is_full() && !self.shared.room.is_closing()
    }

    /// Whether the growing table has used its half of the memory.
    fn is_heavy(&self) -> bool {
        self.working.table.bytes >= self.shared.options.table_bytes / 2
    }

    /// Takes what is queued now; later work goes into the next group.
    fn fill(&mut self, mut first: Option<Queued>, view: &View, group: &mut Group) {
        let waiting = self.lanes.normal.len() + usize::from(first.is_some());
        for _ in 0..waiting.clamp(1, MAX_GROUP) {
            let next = match first.take() {
                Some(first) => Some(first),
                None => match self.lanes.normal.try_recv() {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            if let Some(next) = next {
                self.run(next, MAX_WAIT, view, group);
            }
            if self.working.frame.len() >= ENOUGH {
                break;
            }
        }
        let enough = self.working.frame.len() + ENOUGH_BULK;
        for _ in 0..MAX_BULK {
            if self.working.frame.len() >= enough || group.answers.len() >= MAX_GROUP {
                break;
            }
            let Ok(next) = self.lanes.bulk.try_recv() else { break };
            self.run(next, MAX_BULK_WAIT, view, group);
        }
    }

    fn run(&mut self, queued: Queued, most_wait: Duration, view: &View, group: &mut Group) {
        if self.shared.room.is_full() {
            add(&self.shared.counters.refused_full, 1);
            group.answers.extend(queued.refused(StoreError::Full));
        } else if self.shared.options.clock.now().since(queued.since) > most_wait {
            add(&self.shared.counters.refused_busy, 1);
            group.answers.extend(queued.refused(StoreError::Busy));
        } else {
            self.working.run_all(queued.order, queued.rest, view, group);
        }
    }

    /// Makes the group durable and visible, then replies, to refused transactions too: their refusals may depend on
    /// rows of the same group.
    fn commit(&mut self, mut group: Group) {
        let transactions = group.answers.len() as u64;
        if !self.working.frame.is_empty() && !self.append(&mut group) {
            return;
        }
        let counters = &self.shared.counters;
        add(&counters.transactions, transactions);
        set(&counters.last_group, transactions);
        group.answer();
        if group.emitted {
            self.shared.notify();
        }
    }

    fn append(&mut self, group: &mut Group) -> bool {
        self.working.reached.mark.position += 1;
        let len = self.working.frame.len() as u64;
        let started = Instant::now();
        match self.journal.append(self.working.reached.mark, &mut self.working.frame) {
            Ok(location) => self.working.reached.location = location,
            Err(AppendError::Full) => {
                self.shared.room.set_full(true);
                let view = self.shared.published.load();
                self.working.reset(&view);
                group.fail(&StoreError::Full);
                return false;
            }
            Err(AppendError::Failed(error)) => {
                self.shared.mark_stopped();
                group.fail(&StoreError::Stopped);
                self.shared.stop(&Stop::io("the journal could not be written", error));
                return false;
            }
        }
        self.count(len, started.elapsed());
        self.publish();
        self.working.frame.clear();
        true
    }

    fn count(&mut self, len: u64, took: Duration) {
        self.since_frozen += len;
        let counters = &self.shared.counters;
        add(&counters.groups, 1);
        add(&counters.journal_bytes, len);
        add(&counters.sync_micros, micros(took));
        set(&counters.last_sync_micros, micros(took));
        set(&counters.position, self.working.reached.mark.position);
    }

    fn publish(&self) {
        let (memory, reached) = (self.working.table.clone(), self.working.reached);
        self.shared.published.change(|view| View {
            memory,
            reached,
            frozen: view.frozen.clone(),
            base: view.base.clone(),
        });
    }

    /// Hands the memory table to the checkpointer when it is large or old enough, or on request.
    fn freeze_if_due(&mut self) {
        let options = &self.shared.options;
        let asked = !self.freeze_asked.is_empty();
        let large = self.since_frozen >= options.checkpoint_bytes || self.is_heavy();
        let old = || options.clock.now().since(self.frozen_at) >= options.checkpoint_every;
        if !(asked || large || old()) || self.shared.published.load().frozen.is_some() {
            return;
        }
        let _ = self.freeze_asked.try_recv();
        self.frozen_at = options.clock.now();
        self.since_frozen = 0;
        if self.working.table.rows.is_empty() {
            return;
        }
        let table = std::mem::take(&mut self.working.table);
        let frozen = Arc::new(Frozen { table, reached: self.working.reached });
        self.shared.published.change(|view| View {
            memory: Table::default(),
            frozen: Some(frozen),
            base: view.base.clone(),
            reached: view.reached,
        });
        let _ = self.checkpointer.try_send(());
    }

    /// After a failed write: fails everything that waits.
    fn refuse(&mut self, patience: Duration) -> Turn {
        match self.lanes.wait(patience) {
            Ok(first) => {
                let bulk = self.lanes.bulk.try_recv().ok();
                for queued in first.into_iter().chain(bulk) {
                    queued.refused(StoreError::Stopped).for_each(Work::answer);
                }
                Turn::Worked
            }
            Err(true) => Turn::Ended,
            Err(false) => Turn::Idle,
        }
    }
}

impl Lanes {
    /// Waits for work: the first of the normal lane, or nothing when only the bulk lane has some. `Err` when none came:
    /// whether the engine is closed.
    fn wait(&self, patience: Duration) -> Result<Option<Queued>, bool> {
        if !self.bulk.is_empty() {
            return Ok(self.next());
        }
        let item = match self.normal.try_recv() {
            Ok(item) => return Ok(item),
            Err(TryRecvError::Empty) if patience.is_zero() => return Err(false),
            Err(TryRecvError::Disconnected) => return Err(true),
            Err(TryRecvError::Empty) => self.normal.recv_timeout(patience),
        };
        item.map_err(|error| error == RecvTimeoutError::Disconnected)
    }

    /// The next work of the normal lane.
    fn next(&self) -> Option<Queued> {
        self.normal.try_recv().ok().flatten()
    }
}
