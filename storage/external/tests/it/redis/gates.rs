//! Gates in a server that works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use promox_external::redis::RedisGates;
use promox_kernel::{Entropy, UserId};
use promox_storage::{
    GateCounts, GateEngine, GateKey, GateLoad, GateMark, GateRefusal, GateUnits, MemoryGates, TakeResult, conformance,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::server::Server;
use super::shop::{Bought, Shop, gates};

const SALE: GateKey = GateKey { kind: "flash sale", id: 7 };

fn units(user: i64, quantity: u32) -> GateUnits {
    GateUnits { group: SALE, gate: 0, user: UserId(user), quantity }
}

#[tokio::test]
async fn gates_in_redis_conform() {
    let server = Server::start();
    conformance::check_gates([gates(&server), gates(&server)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_race_for_the_last_units_sell_each_once() {
    let server = Server::start();
    let shop = Shop::open(40, Some(2), [gates(&server), gates(&server)]);
    let bought = shop.rush(300, 60).await;
    assert_eq!(shop.sold(), 40);
    let count = |wanted: Bought| bought.iter().filter(|result| **result == wanted).count();
    assert_eq!((count(Bought::Sold), count(Bought::RefusedByRows)), (40, 0), "the counters alone refuse the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_repeatedly_loses_everything_oversells_nothing() {
    let server = Server::start();
    let shop = Shop::open(40, Some(2), [gates(&server), gates(&server)]);
    let flushing = async {
        for _ in 0..30 {
            server.run_plain("FLUSHALL");
            server.pass(Duration::from_millis(2)).await;
        }
    };
    tokio::join!(shop.rush(300, 60), flushing);
    assert_eq!(shop.sold(), 40);
    shop.give_back(3).await;
    shop.rush(20, 60).await;
    assert_eq!(shop.sold(), 40, "what was given back is sold again");
}

/// Whether the counters of a sale's only unit still offer it after it was sold: the counters were lost and loaded again
/// before the row was written.
async fn misses_a_row(entropy: impl Fn() -> Entropy) -> bool {
    let server = Server::start();
    let node = || RedisGates::new(server.connect(), entropy());
    node().mark().await;
    let counts = || vec![GateCounts { left: 1, limit: None, users: Vec::new() }];
    let one = node();
    let mark = one.mark().await;
    assert!(one.install(SALE, counts(), mark).await);
    let TakeResult::Taken(load) = one.take(units(1, 1)).await else { panic!("the unit is left") };
    server.run_plain("FLUSHALL");
    let other = node();
    let mark = other.mark().await;
    assert!(other.install(SALE, counts(), mark).await);
    one.keep(units(1, 1), Some(load)).await;
    matches!(other.take(units(2, 1)).await, TakeResult::Taken(_))
}

#[tokio::test]
async fn a_load_is_never_mistaken_for_one_before_the_server_lost_its_data() {
    assert!(!misses_a_row(Entropy::system).await);
    assert!(misses_a_row(|| Entropy::seeded(1)).await, "with ids that repeat, the row is missed");
}

#[tokio::test]
async fn a_load_that_began_before_the_server_lost_its_data_is_repeated() {
    let server = Server::start();
    let (one, other) = (gates(&server), gates(&server));
    let counts = vec![GateCounts { left: 0, limit: None, users: Vec::new() }];
    let mark = one.mark().await;
    server.run_plain("FLUSHALL");
    let doubt = other.doubt().await;
    other.settle(doubt, vec![units(1, 1)]).await;
    assert!(!one.install(SALE, counts, mark).await, "a unit was returned after the rows were read");
}

#[tokio::test]
async fn counters_of_many_users_are_loaded_in_parts() {
    const USERS: i64 = 23_000;
    let server = Server::start();
    let node = gates(&server);
    let users = (0..USERS).map(|user| (UserId(user), 2)).collect();
    let mark = node.mark().await;
    assert!(node.install(SALE, vec![GateCounts { left: 9, limit: Some(2), users }], mark).await);
    for user in [0, 1, 4_999, 5_000, 12_345, USERS - 1] {
        let refused = TakeResult::Refused(GateRefusal::LimitReached { limit: 2 });
        assert_eq!(node.take(units(user, 1)).await, refused, "user {user}");
    }
    assert!(matches!(node.take(units(USERS, 2)).await, TakeResult::Taken(_)));
    let keys: Vec<String> = server.run(::redis::cmd("KEYS").arg("*load*"));
    assert!(keys.is_empty(), "the parts are no longer there: {keys:?}");
}

/// Parts of a load may be evicted, or expire, before the rest of it is installed.
#[tokio::test]
async fn a_load_that_lost_a_part_is_repeated() {
    let server = Server::start();
    let node = gates(&server);
    let users: Vec<_> = (0..12_000).map(|user| (UserId(user), 2)).collect();
    let evict = "for _, key in ipairs(redis.call('KEYS', '*:load *')) do redis.call('DEL', key) end";
    let done = Arc::new(AtomicBool::new(false));
    let evicting = std::thread::spawn({
        let (done, mut admin) = (done.clone(), server.admin());
        move || {
            while !done.load(Ordering::Relaxed) {
                ::redis::cmd("EVAL").arg(evict).arg(0).exec(&mut admin).unwrap();
            }
        }
    });
    let mark = node.mark().await;
    let installed = node.install(SALE, vec![GateCounts { left: 9, limit: Some(2), users }], mark).await;
    done.store(true, Ordering::Relaxed);
    evicting.join().unwrap();
    assert!(!installed);
    assert_eq!(node.take(units(0, 1)).await, TakeResult::Absent);
}

#[tokio::test]
async fn counters_are_loaded_again_after_their_lifetime() {
    let server = Server::start();
    let node = RedisGates::new(server.connect(), Entropy::system()).reload_after(Duration::from_millis(200));
    let mark = node.mark().await;
    node.install(SALE, vec![GateCounts { left: 9, limit: None, users: Vec::new() }], mark).await;
    server.pass(Duration::from_millis(250)).await;
    assert_eq!(node.take(units(1, 1)).await, TakeResult::Absent);
}

/// A call of a gate engine. Groups, gates and users are numbered from 0; passes are numbered as they were taken.
#[derive(Clone, Debug)]
enum Step {
    Mark,
    Install(i64, i64, Option<u32>),
    Take(i64, u32, i64, u32),
    Keep(usize),
    KeepUncounted(i64, i64),
    Release(usize),
    Settle(Vec<(i64, u32, i64, u32)>),
    Doubted,
    Forget(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (group, gate, user, quantity) = (0..2_i64, 0..3_u32, 0..3_i64, 1..3_u32);
    let freed = (group.clone(), 0..2_u32, user.clone(), quantity.clone());
    let step = prop_oneof![
        2 => Just(Step::Mark),
        4 => (group.clone(), 0..6_i64, proptest::option::of(1..4_u32)).prop_map(|(a, b, c)| Step::Install(a, b, c)),
        8 => (group.clone(), gate, user.clone(), quantity).prop_map(|(a, b, c, d)| Step::Take(a, b, c, d)),
        2 => (0..8_usize).prop_map(Step::Keep),
        1 => (group.clone(), user).prop_map(|(a, b)| Step::KeepUncounted(a, b)),
        3 => (0..8_usize).prop_map(Step::Release),
        2 => proptest::collection::vec(freed, 0..3).prop_map(Step::Settle),
        1 => Just(Step::Doubted),
        1 => group.prop_map(Step::Forget),
    ];
    proptest::collection::vec(step, 1..40)
}

/// An engine, and what it returned.
struct Player {
    engine: Arc<dyn GateEngine>,
    mark: GateMark,
    passes: Vec<(GateUnits, GateLoad)>,
}

impl Player {
    fn new(engine: Arc<dyn GateEngine>) -> Self {
        Self { engine, mark: GateMark(u64::MAX), passes: Vec::new() }
    }

    /// Makes a call, and describes its result without the numbers that engines choose.
    async fn play(&mut self, step: &Step) -> String {
        let group = |id: i64| GateKey { kind: "model", id };
        let units = |(id, gate, user, quantity): (i64, u32, i64, u32)| GateUnits {
            group: group(id),
            gate,
            user: UserId(user),
            quantity,
        };
        match step.clone() {
            Step::Mark => self.mark = self.engine.mark().await,
            Step::Install(id, left, limit) => {
                let users = limit.map(|_| (UserId(0), 1)).into_iter().collect();
                let gates =
                    vec![GateCounts { left, limit, users }, GateCounts { left: 1, limit: None, users: Vec::new() }];
                return format!("{}", self.engine.install(group(id), gates, self.mark).await);
            }
            Step::Take(id, gate, user, quantity) => {
                let wanted = units((id, gate, user, quantity));
                match self.engine.take(wanted).await {
                    TakeResult::Taken(load) => {
                        self.passes.push((wanted, load));
                        return "taken".to_owned();
                    }
                    other => return format!("{other:?}"),
                }
            }
            Step::Keep(pass) if pass < self.passes.len() => {
                let (units, load) = self.passes.remove(pass);
                self.engine.keep(units, Some(load)).await;
            }
            Step::Release(pass) if pass < self.passes.len() => {
                let (units, load) = self.passes.remove(pass);
                self.engine.release(units, load).await;
            }
            Step::Keep(_) | Step::Release(_) => {}
            Step::KeepUncounted(id, user) => self.engine.keep(units((id, 0, user, 1)), None).await,
            Step::Settle(freed) => {
                let doubt = self.engine.doubt().await;
                self.engine.settle(doubt, freed.into_iter().map(units).collect()).await;
            }
            Step::Doubted => {
                let doubt = self.engine.doubt().await;
                self.engine.abandon_doubt(doubt);
            }
            Step::Forget(id) => self.engine.forget(group(id)).await,
        }
        String::new()
    }
}

#[test]
fn gates_in_redis_and_in_memory_give_the_same_results() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let redis = runtime.block_on(async { server.connect() });
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let compared = TestRunner::new(config).run(&steps(), |steps| {
        server.run_plain("FLUSHALL");
        let shared = Arc::new(RedisGates::new(redis.clone(), Entropy::system()));
        let (mut redis, mut memory) = (Player::new(shared), Player::new(Arc::new(MemoryGates::default())));
        runtime.block_on(async {
            for (number, step) in steps.iter().enumerate() {
                prop_assert_eq!(redis.play(step).await, memory.play(step).await, "step {}: {:?}", number, step);
            }
            Ok(())
        })
    });
    compared.unwrap();
}
