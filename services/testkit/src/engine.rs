//! The memory engine, with writes that can be refused or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, MemoryEngine, Reader, StoreError, Tx, Work, WorkOrder};

use crate::saga::{Fault, Faults};

/// The memory engine; a test can have it refuse writes as a busy store does, or lose them as a process that ends does.
#[derive(Default)]
pub struct TestEngine {
    memory: MemoryEngine,
    refuses_all: AtomicBool,
    faults: Arc<Faults>,
    /// Work whose reply nobody receives: its process has ended.
    lost: Mutex<Vec<Box<dyn Work>>>,
}

impl std::fmt::Debug for TestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a memory engine with {:?}", self.faults)
    }
}

impl TestEngine {
    /// An empty store whose writes go wrong by this plan.
    pub(crate) fn failing(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { faults, ..Self::default() })
    }

    /// One of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// Refuses all writes, or takes them again.
    pub fn refuse_writes(&self, refuse: bool) {
        self.refuses_all.store(refuse, SeqCst);
    }

    /// Refuses one write: the `nth` from now, 1 for the next.
    pub fn refuse_write(&self, nth: u32) {
        self.faults.plan_write(nth, Fault::FailsBefore);
    }
}

/// Work that is carried out and whose reply is kept back.
struct Unanswered {
    work: Box<dyn Work>,
    done: flume::Sender<Box<dyn Work>>,
}

impl Work for Unanswered {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.work.run(tx)
    }
    fn fail(&mut self, error: StoreError) {
        self.work.fail(error);
    }
    fn skip(&mut self) {
        self.work.skip();
    }
    fn answer(self: Box<Self>) {
        let Self { work, done } = *self;
        let _ = done.send(work);
    }
}

impl Engine for TestEngine {
    fn submit(&self, mut order: WorkOrder) {
        let fault = if self.refuses_all.load(SeqCst) { Some(Fault::FailsBefore) } else { self.faults.of_write() };
        match fault {
            None => self.memory.submit(order),
            Some(Fault::CrashesBefore) => self.lost.lock().push(order.work),
            Some(Fault::CrashesAfter) => {
                let (done, kept_back) = flume::bounded(1);
                order.work = Box::new(Unanswered { work: order.work, done });
                self.memory.submit(order);
                self.lost.lock().extend(kept_back.try_iter());
            }
            Some(Fault::FailsBefore | Fault::FailsAfter | Fault::Refused) => {
                order.work.fail(StoreError::Busy);
                order.work.answer();
            }
        }
    }

    fn snapshot(&self) -> Box<dyn Reader> {
        self.memory.snapshot()
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.memory.long_read()
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        self.memory.subscribe()
    }

    fn last_commit(&self) -> Timestamp {
        self.memory.last_commit()
    }
}
