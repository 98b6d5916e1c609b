//! Chains with operations as links. Links on an engine of this process are handed to it in one call, the others are
//! called one by one, and the caller gets the same outcomes either way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

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

/// Reads a count, as an operation that is not a transaction.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Look {
    id: i64,
}
operation! { Look => Total, "counts.look", internal, "Reads a count." }

/// Never replies.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Wait {}
operation! { Wait => (), "counts.wait", internal, "Waits." }

struct Counts {
    db: Db,
}

impl Transact<Add> for Counts {
    async fn transaction(&self, cx: &Cx, op: Add) -> Result<Transaction<Total>, Error> {
        assert!(cx.claim.is_none(), "a called operation does not get the caller's idempotency key");
        if op.by == 0 {
            return Err(Error::field("/by", "must not be 0"));
        }
        Ok(self.db.transaction(move |tx| {
            let value = tx.get::<Count>(&op.id)?.map_or(0, |row| row.value) + op.by;
            if value < 0 {
                return Err(Error::conflict("BELOW_ZERO", "The count would be below zero."));
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

/// A memory engine that records how many links it is handed in each call.
struct RecordingEngine {
    engine: Arc<MemoryEngine>,
    /// The number of links of each call.
    chains: Mutex<Vec<usize>>,
}

impl Engine for RecordingEngine {
    fn submit(&self, order: WorkOrder) {
        self.engine.submit(order);
    }
    fn submit_chain(&self, links: Vec<WorkOrder>) -> Result<(), Vec<WorkOrder>> {
        self.chains.lock().push(links.len());
        self.engine.submit_chain(links)
    }
    fn snapshot(&self, database: Database) -> Box<dyn Reader> {
        self.engine.snapshot(database)
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

struct TestNode {
    node: Arc<Node>,
    engine: Arc<RecordingEngine>,
    db: Db,
}

impl TestNode {
    fn new(calls: Calls) -> Self {
        let engine = Arc::new(RecordingEngine { engine: MemoryEngine::new(), chains: Mutex::default() });
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

    /// Creates a link of the caller's own service.
    fn own(&self, id: i64) -> Transaction<i64> {
        self.db.transaction(move |tx| Ok(tx.put(&Count { id, value: id }).map(|()| id)?))
    }

    async fn run(&self, build: impl Fn(&Self, &mut Chain<i64>)) -> Vec<Option<Result<i64, String>>> {
        let mut chain = Chain::default();
        build(self, &mut chain);
        results(chain.run(&self.cx(Duration::from_secs(60))).await)
    }

    async fn counts(&self) -> Vec<(i64, i64)> {
        let rows: Result<Vec<Count>, StoreError> = self.db.read(|tx| tx.scan::<Count>().collect(99)).await;
        rows.unwrap().into_iter().map(|row| (row.id, row.value)).collect()
    }
}

/// Returns each link's value, or its refusal code, or `None` if it was skipped.
fn results(outcomes: Vec<Outcome<i64>>) -> Vec<Option<Result<i64, String>>> {
    let result = |outcome| match outcome {
        Outcome::Done(value) => Some(Ok(value)),
        Outcome::Refused(error) => Some(Err(Error::code(&error).to_owned())),
        Outcome::Skipped => None,
    };
    outcomes.into_iter().map(result).collect()
}

fn add(chain: &mut Chain<i64>, id: i64, by: i64) {
    chain.then_call(Add { id, by }, |total| total.value);
}

fn look(chain: &mut Chain<i64>, id: i64) {
    chain.then_call(Look { id }, |total| total.value);
}

/// Builds a chain.
type Build = fn(&TestNode, &mut Chain<i64>);

const CHAINS: [Build; 6] = [
    |test, chain| {
        chain.then(test.own(7));
        add(chain, 1, 5);
        add(chain, 1, 5);
        chain.then(test.own(8));
    },
    |test, chain| {
        add(chain, 1, 1);
        look(chain, 1);
        chain.then(test.own(7));
        add(chain, 7, 1);
    },
    // Refused in a transaction, before its transaction, and by a service that is called.
    |_, chain| [5, -6, 1].into_iter().for_each(|by| add(chain, 1, by)),
    |_, chain| [5, 0, 1].into_iter().for_each(|by| add(chain, 1, by)),
    |test, chain| {
        add(chain, 1, 1);
        look(chain, 9);
        chain.then(test.own(7));
    },
    |test, chain| (0..20).for_each(|id| chain.then(test.own(id))),
];

#[tokio::test]
async fn local_links_and_calls_have_the_same_outcomes() {
    for (number, build) in CHAINS.into_iter().enumerate() {
        let [here, elsewhere] = [Calls::Direct, Calls::Encoded].map(TestNode::new);
        let outcomes = here.run(build).await;
        assert_eq!(outcomes, elsewhere.run(build).await, "chain {number}");
        assert_eq!(here.counts().await, elsewhere.counts().await, "chain {number}");
    }
}

#[tokio::test]
async fn links_on_one_engine_are_handed_over_in_one_call() {
    let handed = [vec![4], vec![1, 2], vec![3], vec![1], vec![1], vec![16, 4]];
    for (build, handed) in CHAINS.into_iter().zip(handed) {
        let test = TestNode::new(Calls::Direct);
        test.run(build).await;
        assert_eq!(*test.engine.chains.lock(), handed);
    }
    let test = TestNode::new(Calls::Encoded);
    test.run(CHAINS[0]).await;
    assert_eq!(*test.engine.chains.lock(), [1, 1], "links of other nodes are called");
}

#[tokio::test]
async fn links_on_different_engines_run_in_order() {
    let [one, two] = [Calls::Direct, Calls::Direct].map(TestNode::new);
    let mut chain = Chain::default();
    for test in [&one, &one, &two, &one] {
        chain.then(test.db.transaction(|tx| {
            let value = tx.get::<Count>(&1)?.map_or(0, |row| row.value) + 1;
            tx.put(&Count { id: 1, value })?;
            Ok(value)
        }));
    }
    let outcomes = results(chain.run(&one.cx(Duration::from_secs(60))).await);
    assert_eq!(outcomes, [1, 2, 1, 3].map(|value| Some(Ok(value))));
    assert_eq!((one.engine.chains.lock().clone(), two.engine.chains.lock().clone()), (vec![2, 1], vec![1]));
}

#[tokio::test]
async fn a_deadline_ends_a_chain() {
    for calls in [Calls::Direct, Calls::Encoded] {
        let test = TestNode::new(calls);
        let mut chain = Chain::default();
        chain.then(test.own(1));
        chain.then_call(Wait {}, |()| 0);
        chain.then(test.own(2));
        let outcomes = results(chain.run(&test.cx(Duration::from_millis(20))).await);
        assert_eq!(outcomes, [Some(Ok(1)), Some(Err("DEADLINE_EXCEEDED".to_owned())), None]);
        assert_eq!(test.counts().await, [(1, 1)]);
    }
}
