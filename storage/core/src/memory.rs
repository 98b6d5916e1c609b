//! The memory engine implements the engine interface on an ordered map, for tests of services. Nothing is durable.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use parking_lot::Mutex;
use promox_kernel::Timestamp;

use crate::{
    Database, Db, Direction, Engine, IdBlocks, Item, KeyRange, Reader, Space, StoreError, Tx, WorkOrder, Write,
    stamp_events, take_ids,
};

/// Maximum concurrent long reads, as on every engine.
const MAX_LONG_READS: usize = 2;

type Rows = OrdMap<(Space, Vec<u8>), Bytes>;

#[derive(Default)]
struct State {
    rows: Rows,
    positions: [i64; 2],
    last_commit: Timestamp,
    commits: u64,
    subscribers: Vec<flume::Sender<()>>,
    /// Each long read holds a clone, so that the reference count shows their number.
    long_reads: Arc<()>,
    ids: IdBlocks,
}

/// Stores the tables of both databases in memory.
#[derive(Default)]
pub struct MemoryEngine(Mutex<State>);

impl std::fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows in memory", self.0.lock().rows.len())
    }
}

impl MemoryEngine {
    /// Creates an empty store.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Returns one of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }
}

impl Engine for MemoryEngine {
    fn submit(&self, mut order: WorkOrder) {
        let mut state = self.0.lock();
        if let Err(error) = state.run(&mut order) {
            order.work.fail(error);
        }
        drop(state);
        order.work.answer();
    }

    fn snapshot(&self, _: Database) -> Box<dyn Reader> {
        Box::new(Snapshot(self.0.lock().rows.clone(), None))
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        let state = self.0.lock();
        let permit = state.long_reads.clone();
        if Arc::strong_count(&permit) > 1 + MAX_LONG_READS {
            return Err(StoreError::Busy);
        }
        Ok(Box::new(Snapshot(state.rows.clone(), Some(permit))))
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        let (sender, receiver) = flume::bounded(1);
        self.0.lock().subscribers.push(sender);
        receiver
    }

    fn last_commit(&self) -> Timestamp {
        self.0.lock().last_commit
    }

    fn commits(&self) -> Option<u64> {
        Some(self.0.lock().commits)
    }
}

impl State {
    fn run(&mut self, order: &mut WorkOrder) -> Result<(), StoreError> {
        let snapshot = Snapshot(self.rows.clone(), None);
        let batch = loop {
            let mut tx = Tx::new(&snapshot, order.database, order.stamp.clone()).with_ids(&self.ids);
            let commits = order.work.run(&mut tx);
            match tx.wants() {
                Some(wants) => self.take_ids(order.database, &wants.ids)?,
                None => break tx.finish().map(|batch| commits.then_some(batch))?,
            }
        };
        let Some(batch) = batch else { return Ok(()) };
        self.ids.give(&batch.ids);
        if let Some(last) = self.positions.get_mut(order.database as usize) {
            let emitted = !batch.events.is_empty();
            let events = stamp_events(order.database, last, batch.events);
            batch.writes.into_iter().chain(events).for_each(|write| apply(&mut self.rows, write));
            if emitted {
                self.subscribers.retain(|subscriber| {
                    !matches!(subscriber.try_send(()), Err(flume::TrySendError::Disconnected(())))
                });
            }
        }
        self.last_commit = self.last_commit.max(order.stamp.now);
        self.commits += 1;
        Ok(())
    }

    fn take_ids(&mut self, database: Database, wants: &[(Space, i64)]) -> Result<(), StoreError> {
        for (space, assigned) in wants {
            let snapshot = Snapshot(self.rows.clone(), None);
            let (block, writes) = take_ids(&snapshot, database, *space, *assigned)?;
            writes.into_iter().for_each(|write| apply(&mut self.rows, write));
            self.ids.add(*space, block);
        }
        Ok(())
    }
}

fn apply(rows: &mut Rows, write: Write) {
    match write.value {
        Some(value) => rows.insert((write.space, write.key), value),
        None => rows.remove(&(write.space, write.key)),
    };
}

/// A state, with the permit of a long read, which is released when the state is dropped.
struct Snapshot(Rows, #[expect(dead_code, reason = "held, never read")] Option<Arc<()>>);

impl Reader for Snapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(&(space, key.to_vec())).cloned())
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        let (start, end) = range.bytes();
        let from = (range.space, start);
        let until = match end {
            Some(end) => (range.space, end),
            None => (Space(range.space.0.saturating_add(1)), Vec::new()),
        };
        if from >= until {
            return Box::new(std::iter::empty());
        }
        let items = self.0.range(from..until).map(|((_, key), value)| Ok((key.clone(), value.clone())));
        match direction {
            Direction::Forward => Box::new(items),
            Direction::Backward => Box::new(items.rev()),
        }
    }
}
