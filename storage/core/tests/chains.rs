//! Operations as links: what runs on the engine of this process is handed to it in one call, all else is called in turn, and who runs
//! the chain gets the same outcomes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Calls, Clock, Cx, Entropy, Error, Handle, Node, Registry, Timestamp, operation, register};
use promox_storage::{
    Chain, Database, Db, Engine, MemoryEngine, Outcome, Reader, StoreError, Transact, Transaction, WorkOrder, record,
    register_transactions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

record! {
    /// A count.
    struct Count in Ecommerce.counts = 900, key(id: i64) {
        value: i64,
    }
}

/// Adds to a count.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Add {
    id: i64,
    by: i64,
}
operation! { Add => Total, "counts.add", internal, "Adds to a count." }

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Total {
    value: i64,
}
promox_kernel::json_reply!(Total);

/// Reads a count, in more steps than a transaction.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Look {
    id: i64,
}
operation! { Look => Total, "counts.look", internal, "Reads a count." }

/// Never answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Wait {}
operation! { Wait => (), "counts.wait", internal, "Waits." }

struct Counts {
    db: Db,
}

impl Transact<Add> for Counts {
    async fn transaction(&self, cx: &Cx, op: Add) -> Result<Transaction<Total>, Error> {
        assert!(cx.claim.is_none(), "a key belongs to the first operation");
        if op.by == 0 {
            return Err(Error::field("/by", "nothing to add"));
        }
        Ok(self.db.transaction(move |tx| {
            let value = tx.get::<Count>(&op.id)?.map_or(0, |row| row.value) + op.by;
            if value < 0 {
                return Err(Error::conflict("BELOW_ZERO", "There is not as much."));
            }
            tx.put(&Count { id: op.id, value })?;
            Ok(Total { value })
        }))
    }
}

impl Handle<Look> for Counts {
    async fn handle(&self, _: &Cx, op: Look) -> Result<Total, Error> {
        let row: Result<_, StoreError> = self.db.read(|tx| tx.get::<Count>(&op.id)).await;
        let row = row?;
        Ok(Total { value: row.ok_or_else(|| Error::not_found("count"))?.value })
    }
}

impl Handle<Wait> for Counts {
    async fn handle(&self, _: &Cx, _: Wait) -> Result<(), Error> {
        std::future::pending().await
    }
}

/// The memory engine, and how many links it was handed in one call.
struct Handed {
    engine: Arc<MemoryEngine>,
    chains: Mutex<Vec<usize>>,
}

impl Engine for Handed {
    fn submit(&self, order: WorkOrder) {
        self.engine.submit(order);
    }
    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        self.chains.lock().push(links.len());
        self.engine.submit_chain(links)
    }
    fn snapshot(&self) -> Box<dyn Reader> {
        self.engine.snapshot()
    }
    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.engine.long_read()
    }
    fn subscribe(&self) -> flume::Receiver<()> {
        self.engine.subscribe()
    }
    fn last_commit(&self) -> Timestamp {
        self.engine.last_commit()
    }
}

struct World {
    node: Arc<Node>,
    engine: Arc<Handed>,
    db: Db,
}

impl World {
    fn new(calls: Calls) -> Self {
        let engine = Arc::new(Handed { engine: MemoryEngine::new(), chains: Mutex::default() });
        let db = Db::new(engine.clone(), Database::Ecommerce);
        let counts = &Arc::new(Counts { db: db.clone() });
        let mut registry = Registry::default();
        let registry_ref = &mut registry;
        register_transactions!(registry_ref, counts; Add);
        register!(registry_ref, counts; Look, Wait);
        let node = Node::calling(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1), calls);
        node.install(registry);
        Self { node, engine, db }
    }

    fn cx(&self, limit: Duration) -> Cx {
        Cx::system(&self.node, "test", limit)
    }

    /// A link of the caller's own.
    fn own(&self, id: i64) -> Transaction<i64> {
        self.db.transaction(move |tx| Ok(tx.put(&Count { id, value: id }).map(|()| id)?))
    }

    async fn run(&self, build: impl Fn(&Self, &mut Chain<i64>)) -> Vec<Option<Result<i64, String>>> {
        let mut chain = Chain::default();
        build(self, &mut chain);
        plain(chain.run(&self.cx(Duration::from_secs(60))).await)
    }

    async fn counts(&self) -> Vec<(i64, i64)> {
        let rows: Result<Vec<Count>, StoreError> = self.db.read(|tx| tx.scan::<Count>().collect(99)).await;
        rows.unwrap().into_iter().map(|row| (row.id, row.value)).collect()
    }
}

fn plain(outcomes: Vec<Outcome<i64>>) -> Vec<Option<Result<i64, String>>> {
    let plain = |outcome| match outcome {
        Outcome::Done(value) => Some(Ok(value)),
        Outcome::Refused(error) => Some(Err(Error::code(&error).to_owned())),
        Outcome::Skipped => None,
    };
    outcomes.into_iter().map(plain).collect()
}

fn add(chain: &mut Chain<i64>, id: i64, by: i64) {
    chain.then_call(Add { id, by }, |total| total.value);
}

fn look(chain: &mut Chain<i64>, id: i64) {
    chain.then_call(Look { id }, |total| total.value);
}

/// Builds a chain.
type Build = fn(&World, &mut Chain<i64>);

const CHAINS: [Build; 6] = [
    |world, chain| {
        chain.then(world.own(7));
        add(chain, 1, 5);
        add(chain, 1, 5);
        chain.then(world.own(8));
    },
    |world, chain| {
        add(chain, 1, 1);
        look(chain, 1);
        chain.then(world.own(7));
        add(chain, 7, 1);
    },
    // Refused in its transaction, before it, and by a service that is called.
    |_, chain| [5, -6, 1].into_iter().for_each(|by| add(chain, 1, by)),
    |_, chain| [5, 0, 1].into_iter().for_each(|by| add(chain, 1, by)),
    |world, chain| {
        add(chain, 1, 1);
        look(chain, 9);
        chain.then(world.own(7));
    },
    |world, chain| (0..20).for_each(|id| chain.then(world.own(id))),
];

#[tokio::test]
async fn calls_and_links_come_to_the_same() {
    for (number, build) in CHAINS.into_iter().enumerate() {
        let [here, elsewhere] = [Calls::Direct, Calls::Encoded].map(World::new);
        let outcomes = here.run(build).await;
        assert_eq!(outcomes, elsewhere.run(build).await, "chain {number}");
        assert_eq!(here.counts().await, elsewhere.counts().await, "chain {number}");
    }
}

#[tokio::test]
async fn what_shares_an_engine_is_handed_over_in_one_call() {
    let handed = [vec![4], vec![1, 2], vec![3], vec![1], vec![1], vec![16, 4]];
    for (build, handed) in CHAINS.into_iter().zip(handed) {
        let world = World::new(Calls::Direct);
        world.run(build).await;
        assert_eq!(*world.engine.chains.lock(), handed);
    }
    let world = World::new(Calls::Encoded);
    world.run(CHAINS[0]).await;
    assert_eq!(*world.engine.chains.lock(), [1, 1], "other nodes' links are called");
}

#[tokio::test]
async fn other_engines_get_their_links_after_those_before_them() {
    let [one, two] = [Calls::Direct, Calls::Direct].map(World::new);
    let mut chain = Chain::default();
    for world in [&one, &one, &two, &one] {
        chain.then(world.db.transaction(|tx| {
            let value = tx.get::<Count>(&1)?.map_or(0, |row| row.value) + 1;
            tx.put(&Count { id: 1, value })?;
            Ok(value)
        }));
    }
    let outcomes = plain(chain.run(&one.cx(Duration::from_secs(60))).await);
    assert_eq!(outcomes, [1, 2, 1, 3].map(|value| Some(Ok(value))));
    assert_eq!((one.engine.chains.lock().clone(), two.engine.chains.lock().clone()), (vec![2, 1], vec![1]));
}

#[tokio::test]
async fn a_deadline_ends_a_chain() {
    for calls in [Calls::Direct, Calls::Encoded] {
        let world = World::new(calls);
        let mut chain = Chain::default();
        chain.then(world.own(1));
        chain.then_call(Wait {}, |()| 0);
        chain.then(world.own(2));
        let outcomes = plain(chain.run(&world.cx(Duration::from_millis(20))).await);
        assert_eq!(outcomes, [Some(Ok(1)), Some(Err("DEADLINE_EXCEEDED".to_owned())), None]);
        assert_eq!(world.counts().await, [(1, 1)]);
    }
}
