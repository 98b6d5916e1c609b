//! The writer runs the queued transactions as a group, appends one frame to the journal, syncs it once, publishes the
//! new state, and then sends the results.

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

/// Maximum transactions per group.
const MAX_GROUP: usize = 1_024;
/// Maximum transactions of the bulk lane per group.
const MAX_BULK: usize = MAX_GROUP / 4;
/// The length of the frame at which a group is closed, in bytes.
const ENOUGH: usize = 4 << 20;
/// The bytes of the frame after which a group takes no more bulk work, so that normal work does not wait for it.
const ENOUGH_BULK: usize = 256 << 10;
/// The maximum time that a transaction waits. After it the transaction is refused, since its client has probably gone.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The maximum time that a transaction of the bulk lane waits. It is longer, because bulk work yields to the normal
/// lane.
const MAX_BULK_WAIT: Duration = Duration::from_secs(20);
/// Bulk work waits this long after the last work of the normal lane for the next, to share its sync: what follows an
/// order's events then costs no sync while orders come one after the other.
const LINGER: Duration = Duration::from_millis(2);
/// The bytes of journal since the last checkpoint beyond which the writer waits, as a multiple of `checkpoint_bytes`.
const BACKLOG: u64 = 4;

/// A queued transaction or chain, with its arrival time.
pub(crate) struct Queued {
    pub(crate) order: WorkOrder,
    /// The remaining links, if `order` is the first link of a chain.
    pub(crate) rest: Vec<WorkOrder>,
    pub(crate) since: Timestamp,
}

impl Queued {
    /// Fails the transaction, and skips the remaining links of a chain. Returns them, so that their results are sent.
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

/// The queues of the two lanes.
pub(crate) struct Lanes {
    /// The normal lane. `None` only wakes the writer, because there is work in the bulk lane.
    pub(crate) normal: Receiver<Option<Queued>>,
    pub(crate) bulk: Receiver<Queued>,
    /// When the normal lane had work last.
    pub(crate) last_normal: Option<Instant>,
}

/// The result of one step of the writer or the checkpointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It did some work, and there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
    /// It is waiting for the checkpointer.
    Blocked,
    /// The engine is closed and nothing is left to do.
    Ended,
}

/// Makes groups durable, one per turn. A thread calls [`Writer::turn`] in a loop, or a simulator steps it.
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
        let working = Working { table, reached: view.reached, frame, placed: Vec::new(), ids: IdBlocks::default() };
        drop(view);
        let frozen_at = shared.options.clock.now();
        let since_frozen = working.table.bytes as u64;
        Self { shared, lanes, journal, working, since_frozen, frozen_at, checkpointer, freeze_asked }
    }

    /// Waits up to `patience` for work, makes one group durable and sends its results.
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

    /// Whether the writer must wait, because the checkpointer is too far behind. On a full disk it does not wait, since
    /// the checkpointer may never catch up, but refuses work instead. It does not wait while closing either.
    fn is_ahead(&self) -> bool {
        let backlog = self.shared.options.checkpoint_bytes.saturating_mul(BACKLOG);
        let ahead = self.since_frozen >= backlog || self.is_heavy();
        ahead && !self.shared.room.is_full() && !self.shared.room.is_closing()
    }

    /// Whether the growing table has used its half of the memory.
    fn is_heavy(&self) -> bool {
        self.working.table.bytes >= self.shared.options.table_bytes / 2
    }

    /// Fills a group with the transactions that are queued now. Later ones go into the next group.
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

    /// Runs a transaction or a chain, unless the disk is full or it has waited for longer than `max_wait`.
    fn run(&mut self, queued: Queued, max_wait: Duration, view: &View, group: &mut Group) {
        if self.shared.room.is_full() {
            add(&self.shared.counters.refused_full, 1);
            group.answers.extend(queued.refused(StoreError::Full));
        } else if self.shared.options.clock.now().since(queued.since) > max_wait {
            add(&self.shared.counters.refused_busy, 1);
            group.answers.extend(queued.refused(StoreError::Busy));
        } else {
            self.working.run_all(queued.order, queued.rest, view, group);
        }
    }

    /// Makes the group durable and visible, and then sends all results. Refusals are also held back until then, because
    /// they may depend on rows of the same group.
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

    /// Appends the group to the journal and publishes it. If that fails, sends the error to the group and returns
    /// `false`.
    fn append(&mut self, group: &mut Group) -> bool {
        self.working.reached.mark.position += 1;
        self.working.frame.pack();
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
        self.count(started.elapsed());
        self.publish();
        self.working.frame.clear();
        true
    }

    fn count(&mut self, took: Duration) {
        let frame = &self.working.frame;
        self.since_frozen += frame.len() as u64;
        let counters = &self.shared.counters;
        add(&counters.groups, 1);
        add(&counters.journal_bytes, frame.packed_len() as u64);
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

    /// Hands the memory table to the checkpointer if it is large or old enough, or if that was requested.
    fn freeze_if_due(&mut self) {
        let options = &self.shared.options;
        let requested = !self.freeze_asked.is_empty();
        let large = self.since_frozen >= options.checkpoint_bytes || self.is_heavy();
        let old = || options.clock.now().since(self.frozen_at) >= options.checkpoint_every;
        if !(requested || large || old()) || self.shared.published.load().frozen.is_some() {
            return;
        }
        let _ = self.freeze_asked.try_recv();
        self.frozen_at = options.clock.now();
        self.since_frozen = 0;
        if self.working.table.is_empty() {
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

    /// Fails the next waiting transactions, after the engine has stopped.
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
    /// Waits for work. Returns the first transaction of the normal lane, or `None` if only the bulk lane may have work.
    /// If no work came, the error is whether the engine is closed.
    fn wait(&mut self, patience: Duration) -> Result<Option<Queued>, bool> {
        let first = if self.bulk.is_empty() { self.wait_for_any(patience)? } else { self.next() };
        // Without patience, as in simulations, work runs as it comes.
        let first = if first.is_none() && !patience.is_zero() { self.linger() } else { first };
        if first.is_some() {
            self.last_normal = Some(Instant::now());
        }
        Ok(first)
    }

    fn wait_for_any(&self, patience: Duration) -> Result<Option<Queued>, bool> {
        let item = match self.normal.try_recv() {
            Ok(item) => return Ok(item),
            Err(TryRecvError::Empty) if patience.is_zero() => return Err(false),
            Err(TryRecvError::Disconnected) => return Err(true),
            Err(TryRecvError::Empty) => self.normal.recv_timeout(patience),
        };
        item.map_err(|error| error == RecvTimeoutError::Disconnected)
    }

    /// Waits a moment for work of the normal lane, while only the bulk lane has some.
    fn linger(&self) -> Option<Queued> {
        let until = self.last_normal? + LINGER;
        while self.bulk.len() < MAX_BULK
            && let Ok(next) = self.normal.recv_deadline(until)
        {
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Takes the next transaction of the normal lane.
    fn next(&self) -> Option<Queued> {
        self.normal.try_recv().ok().flatten()
    }
}
