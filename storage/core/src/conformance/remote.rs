//! A simulated remote engine in memory, which implements the engine interface as an engine over a network does.
//!
//! A node has no rows of its own. What a closure needs is fetched from one state of the store, and the closure runs
//! again. A transaction commits if its reads are still valid, otherwise it runs again on a newer state. The commit
//! checks the keys that must be free. Each node reserves its own blocks of ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use parking_lot::Mutex;
use promox_kernel::Timestamp;

use crate::{
    Batch, Database, Db, Direction, Engine, Fetching, IdBlocks, Item, KeyRange, Reader, ScanRead, Schema, Space,
    StoreError, Tx, Version, Wants, WorkOrder, Write, stamp_events, take_ids,
};

/// Maximum fetches of single keys and ranges per closure. Later fetches bring whole tables, since a closure that reads
/// thousands of rows would otherwise run thousands of times.
const MAX_SINGLE_FETCHES: usize = 32;
/// Maximum runs of a transaction on newer states before it is refused.
const MAX_RUNS: usize = 16;

type Rows = OrdMap<(Space, Vec<u8>), (Bytes, Version)>;

/// The state that all nodes share.
#[derive(Default)]
struct Server {
    rows: Rows,
    commits: Version,
    positions: [i64; 2],
    last_commit: Timestamp,
    subscribers: Vec<flume::Sender<()>>,
    long_reads: Arc<()>,
}

/// A hook that runs between a closure and its commit.
type BeforeCommit = Box<dyn FnOnce() + Send>;

/// A node of a remote store.
pub struct RemoteEngine {
    server: Arc<Mutex<Server>>,
    /// The table of each index. A fetch of index entries also fetches their rows.
    tables: Arc<BTreeMap<Space, Space>>,
    ids: Mutex<IdBlocks>,
    before_commit: Mutex<Option<BeforeCommit>>,
    /// Whether a commit validates reads. If not, histories are not serializable.
    validates_reads: bool,
}

impl std::fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a node of a store with {} rows", self.server.lock().rows.len())
    }
}

impl RemoteEngine {
    /// Creates an empty store with these tables, and returns its first node.
    pub fn new(schema: &Schema) -> Arc<Self> {
        let indexes =
            schema.tables().iter().flat_map(|table| table.indexes.iter().map(|index| (index.space, table.space)));
        Arc::new(Self {
            server: Arc::default(),
            tables: Arc::new(indexes.collect()),
            ids: Mutex::default(),
            before_commit: Mutex::default(),
            validates_reads: true,
        })
    }

    /// Returns another node of the same store. A node that does not validate reads serves as a control in tests,
    /// because its histories are not serializable.
    pub fn node(&self, validates_reads: bool) -> Arc<Self> {
        Arc::new(Self {
            server: self.server.clone(),
            tables: self.tables.clone(),
            ids: Mutex::default(),
            before_commit: Mutex::default(),
            validates_reads,
        })
    }

    /// Returns one of its databases.
    pub fn database(self: &Arc<Self>, database: Database) -> Db {
        Db::new(self.clone(), database)
    }

    /// Sets a hook that runs once, between the next closure and its commit.
    pub fn before_commit(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_commit.lock() = Some(Box::new(hook));
    }

    fn state(&self) -> State {
        let rows = self.server.lock().rows.clone();
        let (keys, ranges, whole) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        State { rows, tables: self.tables.clone(), keys, ranges, whole, fetches: 0 }
    }

    fn run(&self, order: &mut WorkOrder) -> Result<(), StoreError> {
        for _ in 0..MAX_RUNS {
            let Some(batch) = self.run_once(order)? else { return Ok(()) };
            if let Some(hook) = self.before_commit.lock().take() {
                hook();
            }
            if self.commit(order, batch)? {
                return Ok(());
            }
        }
        Err(StoreError::Conflict)
    }

    /// Runs the closure on one state until everything that it needs is fetched. Returns its batch, or `None` if it
    /// refused.
    fn run_once(&self, order: &mut WorkOrder) -> Result<Option<Batch>, StoreError> {
        let mut state = self.state();
        loop {
            let wants = {
                let ids = self.ids.lock();
                let mut tx = Tx::new(&state, order.database, order.stamp.clone()).with_ids(&ids).logging().claiming();
                let commits = order.work.run(&mut tx);
                match tx.wants() {
                    Some(wants) => wants,
                    None => return tx.finish().map(|batch| commits.then_some(batch)),
                }
            };
            for (space, assigned) in &wants.ids {
                self.take_ids(order.database, *space, *assigned)?;
            }
            state.add_fetched(wants);
        }
    }

    /// Reserves a block of ids, in a commit of its own.
    fn take_ids(&self, database: Database, space: Space, assigned: i64) -> Result<(), StoreError> {
        let mut server = self.server.lock();
        let (block, writes) = take_ids(&CompleteState(server.rows.clone(), None), database, space, assigned)?;
        server.apply(writes);
        self.ids.lock().add(space, block);
        Ok(())
    }

    /// Commits a batch if its reads are still valid. Returns whether it did.
    fn commit(&self, order: &WorkOrder, batch: Batch) -> Result<bool, StoreError> {
        let mut server = self.server.lock();
        if self.validates_reads && !server.is_valid(&batch) {
            return Ok(false);
        }
        if let Some(taken) =
            batch.claims.into_iter().find(|claim| server.rows.contains_key(&(claim.space, claim.key.clone())))
        {
            return Err(StoreError::Duplicate { index: taken.name });
        }
        self.ids.lock().give(&batch.ids);
        let emitted = !batch.events.is_empty();
        let mut last = server.positions[order.database as usize];
        let events = stamp_events(order.database, &mut last, batch.events);
        server.positions[order.database as usize] = last;
        server.apply(batch.writes.into_iter().chain(events));
        server.last_commit = server.last_commit.max(order.stamp.now);
        if emitted {
            server
                .subscribers
                .retain(|subscriber| !matches!(subscriber.try_send(()), Err(flume::TrySendError::Disconnected(()))));
        }
        Ok(true)
    }
}

impl Server {
    fn apply(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.commits += 1;
        for write in writes {
            match write.value {
                Some(value) => self.rows.insert((write.space, write.key), (value, self.commits)),
                None => self.rows.remove(&(write.space, write.key)),
            };
        }
    }

    /// Whether everything that a transaction read is unchanged.
    fn is_valid(&self, batch: &Batch) -> bool {
        let version = |space: Space, key: &[u8]| self.rows.get(&(space, key.to_vec())).map(|(_, version)| *version);
        let scan_is_valid = |read: &ScanRead| {
            let now = items(&self.rows, &read.range, read.direction).map(|(key, _, version)| (key, Some(version)));
            let limit = if read.whole { usize::MAX } else { read.found.len() };
            now.take(limit).eq(read.found.iter().cloned())
        };
        batch.reads.keys.iter().all(|(space, key, read)| version(*space, key) == *read)
            && batch.reads.scans.iter().all(scan_is_valid)
    }
}

/// Returns the items of a range.
fn items<'a>(
    rows: &'a Rows,
    range: &KeyRange,
    direction: Direction,
) -> Box<dyn Iterator<Item = (Vec<u8>, Bytes, Version)> + 'a> {
    let (start, end) = range.bytes();
    let from = (range.space, start);
    let until = end.map_or_else(|| (Space(range.space.0.saturating_add(1)), Vec::new()), |end| (range.space, end));
    if from >= until {
        return Box::new(std::iter::empty());
    }
    let found = rows.range(from..until).map(|((_, key), (value, version))| (key.clone(), value.clone(), *version));
    match direction {
        Direction::Forward => Box::new(found),
        Direction::Backward => Box::new(found.rev()),
    }
}

impl Engine for RemoteEngine {
    fn submit(&self, mut order: WorkOrder) {
        if let Err(error) = self.run(&mut order) {
            order.work.fail(error);
        }
        order.work.answer();
    }

    fn snapshot(&self, _: Database) -> Box<dyn Reader> {
        Box::new(self.state())
    }

    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        let server = self.server.lock();
        let permit = server.long_reads.clone();
        // The server has a reference too, and so does this function.
        if Arc::strong_count(&permit) > 3 {
            return Err(StoreError::Busy);
        }
        Ok(Box::new(CompleteState(server.rows.clone(), Some(permit))))
    }

    fn subscribe(&self) -> flume::Receiver<()> {
        let (sender, receiver) = flume::bounded(1);
        self.server.lock().subscribers.push(sender);
        receiver
    }

    fn last_commit(&self) -> Timestamp {
        self.server.lock().last_commit
    }
}

/// A state of the store, of which only the part that a node has fetched can be read.
struct State {
    rows: Rows,
    tables: Arc<BTreeMap<Space, Space>>,
    keys: BTreeSet<(Space, Vec<u8>)>,
    ranges: Vec<KeyRange>,
    /// Tables and indexes that were fetched completely.
    whole: BTreeSet<Space>,
    fetches: usize,
}

impl State {
    fn add_fetched(&mut self, wants: Wants) {
        self.fetches += 1;
        if self.fetches > MAX_SINGLE_FETCHES {
            let spaces = wants.keys.iter().map(|(space, _)| *space);
            for space in spaces.chain(wants.ranges.iter().map(|(range, _)| range.space)) {
                self.whole.extend(self.tables.get(&space).copied());
                self.whole.insert(space);
            }
        }
        for (space, key) in wants.keys {
            if let Some((value, _)) = self.rows.get(&(space, key.clone())) {
                let value = value.to_vec();
                self.add_fetched_row(space, value);
            }
            self.keys.insert((space, key));
        }
        for (range, direction) in wants.ranges {
            let found: Vec<_> = items(&self.rows, &range, direction).collect();
            for (key, value, _) in found {
                self.add_fetched_row(range.space, value.to_vec());
                self.keys.insert((range.space, key));
            }
            self.ranges.push(range);
        }
    }

    /// If `space` is an index, marks the row with this key as fetched.
    fn add_fetched_row(&mut self, space: Space, key: Vec<u8>) {
        if let Some(table) = self.tables.get(&space) {
            self.keys.insert((*table, key));
        }
    }
}

impl Reader for State {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let key = (space, key.to_vec());
        if !self.whole.contains(&space) && !self.keys.contains(&key) {
            return Err(StoreError::Unfetched);
        }
        Ok(self.rows.get(&key).map(|(value, _)| value.clone()))
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        if !self.whole.contains(&range.space) && !self.ranges.contains(range) {
            return Box::new(std::iter::once(Err(StoreError::Unfetched)));
        }
        Box::new(items(&self.rows, range, direction).map(|(key, value, _)| Ok((key, value))))
    }

    fn version(&self, space: Space, key: &[u8]) -> Option<Version> {
        self.rows.get(&(space, key.to_vec())).map(|(_, version)| *version)
    }

    fn fetch(mut self: Box<Self>, wants: Wants) -> Fetching {
        Box::pin(async move {
            self.add_fetched(wants);
            Ok::<Box<dyn Reader>, _>(self)
        })
    }
}

/// A state that can be read completely, with the permit of a long read.
struct CompleteState(Rows, #[expect(dead_code, reason = "held, never read")] Option<Arc<()>>);

impl Reader for CompleteState {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(&(space, key.to_vec())).map(|(value, _)| value.clone()))
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        Box::new(items(&self.0, range, direction).map(|(key, value, _)| Ok((key, value))))
    }
}
