//! The memory engine, with writes that can be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use promox_kernel::Timestamp;
use promox_storage::{Database, Db, Engine, MemoryEngine, Reader, StoreError, WorkOrder};

/// The memory engine; a test can have it refuse writes as a busy store does.
#[derive(Debug, Default)]
pub struct TestEngine {
    memory: MemoryEngine,
    refuses_all: AtomicBool,
    refuses_nth: AtomicU32,
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
}

impl Engine for TestEngine {
    fn submit(&self, mut order: WorkOrder) {
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
