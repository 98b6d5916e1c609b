//! The memory engine, with writes that can be refused or lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, MemoryEngine, Reader, StoreError, WorkOrder};

/// The memory engine; a test can have it refuse writes as a busy store does, or lose them as a process that ends does.
#[derive(Debug, Default)]
pub struct TestEngine {
    memory: MemoryEngine,
    refuses_all: AtomicBool,
    refuses_nth: AtomicU32,
    /// How many more writes are done before nothing is answered any more.
    ends_after: Mutex<Option<u32>>,
    /// Writes that nobody hears of again.
    lost: Mutex<Vec<WorkOrder>>,
}

impl TestEngine {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Arc::default()
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
        self.refuses_nth.store(nth, SeqCst);
    }

    /// Does so many more writes, and answers none after them, as if the process had ended.
    pub fn end_after(&self, writes: u32) {
        *self.ends_after.lock() = Some(writes);
    }

    /// Answers again, as after the next start of the process.
    pub fn start_again(&self) {
        *self.ends_after.lock() = None;
    }
}

impl Engine for TestEngine {
    fn submit(&self, mut order: WorkOrder) {
        match &mut *self.ends_after.lock() {
            Some(0) => return self.lost.lock().push(order),
            Some(left) => *left -= 1,
            None => {}
        }
        let left = self.refuses_nth.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) || self.refuses_all.load(SeqCst) {
            order.work.fail(StoreError::Busy);
            return order.work.answer();
        }
        self.memory.submit(order);
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
