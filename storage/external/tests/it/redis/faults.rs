//! Servers and nodes that fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use promox_external::redis::{RedisGates, RedisProblem};
use promox_kernel::{Entropy, UserId};
use promox_storage::{GateCounts, GateEngine, GateKey, GateLoad, GateRefusal, GateUnits, TakeResult};

use super::server::Server;
use super::shop::{Bought, Shop, gates};

const SALE: GateKey = GateKey { kind: "flash sale", id: 7 };
const SOLD_OUT: TakeResult = TakeResult::Refused(GateRefusal::SoldOut { left: 0 });
/// The deadline of a call to a server that hangs.
const DEADLINE: Duration = Duration::from_millis(200);
/// The time that a busy machine may need on top of a deadline.
const SLACK: Duration = Duration::from_secs(2);

fn units(user: i64, quantity: u32) -> GateUnits {
    GateUnits { group: SALE, gate: 0, user: UserId(user), quantity }
}

async fn load(node: &dyn GateEngine, left: i64) {
    let mark = node.mark().await;
    assert!(node.install(SALE, vec![GateCounts { left, limit: None, users: Vec::new() }], mark).await);
}

/// Takes units as soon as the server is used again.
async fn take_when_reachable(node: &dyn GateEngine, units: GateUnits) -> TakeResult {
    for _ in 0..2_000_000 {
        match node.take(units).await {
            TakeResult::Unreachable => tokio::task::yield_now().await,
            other => return other,
        }
    }
    TakeResult::Unreachable
}

fn hasty(server: &Server) -> Arc<dyn GateEngine> {
    Arc::new(RedisGates::new(server.connect_within(DEADLINE), Entropy::system()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_sells_on_while_the_server_is_killed_and_started_again() {
    let mut server = Server::start();
    let engines = [hasty(&server), hasty(&server)];
    let shop = Shop::open(60, None, engines.clone());
    assert_eq!(shop.buy(0, 1).await, Bought::Sold);
    server.kill();
    for user in 2..40 {
        assert_eq!(shop.buy(0, user).await, Bought::Sold, "the rows decide");
    }
    server.start_again();
    for engine in &engines {
        assert_ne!(take_when_reachable(&**engine, units(0, 0)).await, TakeResult::Unreachable);
    }
    let bought = shop.rush(100, 100).await;
    assert_eq!((shop.sold(), bought.iter().filter(|result| **result == Bought::Sold).count()), (60, 21));
}

#[tokio::test]
async fn counters_of_the_past_are_dropped_when_a_server_restores_a_snapshot() {
    let mut server = Server::with(&["--save", "", "--dbfilename", "dump.rdb"]);
    let node = gates(&server);
    load(&*node, 1).await;
    let from = taken(&*node, units(1, 1)).await;
    node.keep(units(1, 1), Some(from)).await;
    server.run_plain("SAVE");
    let doubt = node.doubt().await;
    node.settle(doubt, vec![units(1, 1)]).await;
    server.kill();
    server.start_again();
    let left: String = server.run(::redis::cmd("HGET").arg("promox:gate:{promox}:flash sale:7").arg("left 0"));
    assert_eq!(left, "0", "the snapshot lacks the unit that was returned");
    assert_eq!(take_when_reachable(&*node, units(2, 1)).await, TakeResult::Absent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_one_deadline() {
    let server = Server::start();
    let node: Arc<dyn GateEngine> = Arc::new(
        RedisGates::new(server.connect_within(DEADLINE), Entropy::system()).settle_within(Duration::from_millis(500)),
    );
    let shop = Shop::open(20, None, [node.clone(), node.clone()]);
    assert_eq!(shop.buy(0, 0).await, Bought::Sold);
    assert!(matches!(take_when_reachable(&*node, units(0, 0)).await, TakeResult::Taken(_)));
    let loads = shop.loads.load(Ordering::Relaxed);
    server.signal("STOP");
    let start = Instant::now();
    assert_eq!(node.take(units(1, 1)).await, TakeResult::Unreachable);
    let first = start.elapsed();
    assert!(first >= DEADLINE && first < DEADLINE + SLACK, "{first:?}");
    let start = Instant::now();
    for user in 1..15 {
        assert_eq!(shop.buy(0, user).await, Bought::Sold, "the rows decide");
    }
    let others = start.elapsed();
    assert!(others < DEADLINE * 10, "28 calls fail at once, but for one after each pause: {others:?}");
    assert_eq!(shop.loads.load(Ordering::Relaxed), loads, "no counters are loaded in vain");
    server.signal("CONT");
    assert_ne!(take_when_reachable(&*node, units(0, 0)).await, TakeResult::Unreachable);
    // The server has carried out the calls that were given up. The units that they took are returned.
    server.pass(Duration::from_millis(600)).await;
    let bought = shop.rush(30, 30).await;
    assert_eq!((shop.sold(), bought.iter().filter(|result| **result == Bought::Sold).count()), (20, 5));
}

/// Takes a unit that must be left.
async fn taken(node: &dyn GateEngine, units: GateUnits) -> GateLoad {
    match node.take(units).await {
        TakeResult::Taken(from) => from,
        other => panic!("{other:?}"),
    }
}

/// A node ends with units that it has not settled. Returns what another node is told after half a second.
async fn after_a_node_with_open_units(settle_within: Duration) -> TakeResult {
    let server = Server::start();
    let node = || RedisGates::new(server.connect(), Entropy::system()).settle_within(settle_within);
    let (lost, other) = (node(), node());
    load(&lost, 2).await;
    // One of two passes of a user is settled.
    let from = taken(&lost, units(1, 1)).await;
    taken(&lost, units(1, 1)).await;
    lost.keep(units(1, 1), Some(from)).await;
    drop(lost);
    assert_eq!(other.take(units(3, 1)).await, SOLD_OUT);
    server.pass(Duration::from_millis(500)).await;
    other.take(units(3, 1)).await
}

#[tokio::test]
async fn units_that_a_lost_node_has_not_settled_are_offered_again() {
    assert_eq!(after_a_node_with_open_units(Duration::from_millis(400)).await, TakeResult::Absent);
    assert_eq!(after_a_node_with_open_units(Duration::from_mins(5)).await, SOLD_OUT, "not before their deadline");
}

#[tokio::test]
async fn the_deadline_of_units_does_not_concern_a_later_load() {
    let server = Server::start();
    let node = RedisGates::new(server.connect(), Entropy::system()).settle_within(Duration::from_millis(200));
    load(&node, 1).await;
    taken(&node, units(1, 1)).await;
    node.forget(SALE).await;
    load(&node, 0).await;
    server.pass(Duration::from_millis(300)).await;
    assert_eq!(node.take(units(2, 1)).await, SOLD_OUT);
}

#[tokio::test]
async fn settled_units_have_no_deadline() {
    let server = Server::start();
    let node = RedisGates::new(server.connect(), Entropy::system()).settle_within(Duration::from_millis(200));
    load(&node, 3).await;
    // Two passes of one user are open at once.
    let loads = [taken(&node, units(1, 1)).await, taken(&node, units(1, 1)).await];
    node.keep(units(1, 1), Some(loads[0])).await;
    node.release(units(1, 1), loads[1]).await;
    let doubt = node.doubt().await;
    node.settle(doubt, Vec::new()).await;
    server.pass(Duration::from_millis(300)).await;
    assert_eq!(node.take(units(2, 3)).await, TakeResult::Refused(GateRefusal::SoldOut { left: 2 }));
    let doubt = node.doubt().await;
    node.abandon_doubt(doubt);
    assert_eq!(node.take(units(2, 1)).await, TakeResult::Absent);
    let open: u32 = server.run(::redis::cmd("ZCARD").arg("promox:gate:{promox}:open"));
    assert_eq!(open, 0);
}

/// A node ends with a transaction in doubt. Returns what another node is told after half a second, and whether a load
/// that began in the meantime is installed.
async fn after_a_node_in_doubt(settle_within: Duration) -> (TakeResult, bool) {
    let server = Server::start();
    let node = || RedisGates::new(server.connect(), Entropy::system()).settle_within(settle_within);
    let (lost, other) = (node(), node());
    load(&other, 0).await;
    lost.doubt().await;
    drop(lost);
    let mark = other.mark().await;
    assert_eq!(other.take(units(1, 1)).await, SOLD_OUT);
    server.pass(Duration::from_millis(500)).await;
    let result = other.take(units(1, 1)).await;
    other.forget(SALE).await;
    (result, other.install(SALE, vec![GateCounts { left: 0, limit: None, users: Vec::new() }], mark).await)
}

#[tokio::test]
async fn a_transaction_that_a_lost_node_has_not_settled_drops_all_counters() {
    assert_eq!(after_a_node_in_doubt(Duration::from_millis(400)).await, (TakeResult::Absent, false));
    assert_eq!(after_a_node_in_doubt(Duration::from_mins(5)).await, (SOLD_OUT, true), "not before its deadline");
}

/// Makes calls at a node while the server does not reply, so that none is sent. Returns what the node and another one
/// are told when it replies again.
async fn after_calls_in_vain(calls: impl AsyncFnOnce(&dyn GateEngine)) -> [TakeResult; 2] {
    let server = Server::start();
    let (node, other) = (hasty(&server), gates(&server));
    load(&*other, 0).await;
    assert_eq!(take_when_reachable(&*node, units(1, 1)).await, SOLD_OUT);
    server.signal("STOP");
    let mut tries = 0;
    while tries < 3 {
        let start = Instant::now();
        assert_eq!(node.take(units(1, 0)).await, TakeResult::Unreachable);
        tries += u32::from(start.elapsed() >= DEADLINE);
    }
    // A pause of 400 ms has begun.
    calls(&*node).await;
    server.signal("CONT");
    assert_eq!(other.take(units(1, 1)).await, SOLD_OUT, "the server does not know");
    [take_when_reachable(&*node, units(1, 1)).await, other.take(units(1, 1)).await]
}

#[tokio::test]
async fn what_was_returned_while_the_server_could_not_be_reached_is_made_up_for() {
    let told = after_calls_in_vain(async |node| {
        let doubt = node.doubt().await;
        node.settle(doubt, vec![units(1, 1)]).await;
    });
    assert_eq!(told.await, [TakeResult::Absent; 2]);
    let told = after_calls_in_vain(async |node| node.forget(SALE).await);
    assert_eq!(told.await, [TakeResult::Absent; 2]);
    let told = after_calls_in_vain(async |node| {
        let mark = node.mark().await;
        assert!(node.install(SALE, Vec::new(), mark).await, "the load is not repeated in vain");
    });
    assert_eq!(told.await, [SOLD_OUT; 2], "nothing was missed");
}

#[tokio::test]
async fn counters_are_kept_when_a_server_only_lost_its_scripts() {
    let server = Server::start();
    let node = gates(&server);
    load(&*node, 0).await;
    server.run::<()>(::redis::cmd("SCRIPT").arg("FLUSH"));
    assert_eq!(node.take(units(1, 1)).await, SOLD_OUT);
}

/// A provider's address leads to another server after a failover, but old connections lead to the replica.
#[tokio::test]
async fn a_connection_to_a_server_that_became_a_replica_is_replaced() {
    let server = Server::start();
    let node = gates(&server);
    load(&*node, 0).await;
    let connections = || {
        let list: String = server.run(::redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal"));
        let ids = list.lines().filter(|line| !line.contains("cmd=client")).filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = connections();
    assert_eq!(before.len(), 1);
    server.run::<()>(::redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1"));
    let doubt = node.doubt().await;
    node.settle(doubt, Vec::new()).await;
    server.run::<()>(::redis::cmd("REPLICAOF").arg("NO").arg("ONE"));
    assert_eq!(take_when_reachable(&*node, units(1, 1)).await, TakeResult::Absent, "the settlement was refused");
    let after = connections();
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
}

#[tokio::test]
async fn the_health_tells_a_server_that_is_down_from_one_that_replies() {
    let mut server = Server::start();
    let redis = server.connect();
    let health = redis.health().await.unwrap();
    assert!(health.version.starts_with('7') && health.problems.is_empty(), "{health:?}");
    assert!(!health.latency.is_zero() && !health.may_evict_gates());
    server.run::<()>(
        ::redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("100mb").arg("maxmemory-policy").arg("allkeys-lru"),
    );
    let health = redis.health().await.unwrap();
    assert!(health.may_evict_gates() && health.problems.len() == 1, "{health:?}");
    server.kill();
    let problem = redis.health().await.unwrap_err();
    assert!(matches!(&problem, RedisProblem::Unreachable(why) if why.contains("socket")), "{problem}");
    server.start_again();
    let mut health = redis.health().await;
    for _ in 0..20 {
        if health.is_err() {
            health = redis.health().await;
        }
    }
    health.unwrap();
}
