//! A memory engine whose writes can be refused or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, MemoryEngine, Reader, StoreError, Tx, Work, WorkOrder};

use crate::saga::{Fault, Faults};

/// A memory engine that can refuse writes, as a busy store does, or lose them, as a crash of the process does.
#[derive(Default)]
pub struct TestEngine {
    memory: MemoryEngine,
    refuses_all: AtomicBool,
    faults: Arc<Faults>,
    /// Work of a crashed process, whose reply nobody receives.
    lost: Mutex<Vec<Box<dyn Work>>>,
}

impl std::fmt::Debug for TestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a memory engine with {:?}", self.faults)
    }
}

impl TestEngine {
    /// An empty store whose writes fail by this plan.
    pub(crate) fn failing(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { faults, ..Self::default() })
    }

    /// A database of the engine.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// Starts or stops refusing all writes.
    pub fn refuse_writes(&self, refuse: bool) {
        self.refuses_all.store(refuse, SeqCst);
    }

    /// Refuses the `nth` write from now, 1 for the next one.
    pub fn refuse_write(&self, nth: u32) {
        self.faults.plan_write(nth, Fault::FailsBefore);
    }
}

/// Work that is done, but whose reply is withheld.
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
                let (done, withheld) = flume::bounded(1);
                order.work = Box::new(Unanswered { work: order.work, done });
                self.memory.submit(order);
                self.lost.lock().extend(withheld.try_iter());
            }
            Some(Fault::FailsBefore | Fault::FailsAfter | Fault::Refused) => {
                order.work.fail(StoreError::Busy);
                order.work.answer();
            }
        }
    }

    fn snapshot(&self, database: Database) -> Box<dyn Reader> {
        self.memory.snapshot(database)
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
