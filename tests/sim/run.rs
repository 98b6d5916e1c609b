//! A run of the simulator: shoppers and failures over several starts of a node, all determined by a seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox::config::Settings;
use promox_embedded::disk::{Fault, MemoryDisk};
use promox_kernel::{Clock, Entropy, Timestamp, UserId};
use promox_storage::Cache;

use crate::check;
use crate::client::{Client, Log};
use crate::disk::{SimDisk, digest};
use crate::node::{Failure, SharedState, SteppedNode, Stopped};
use crate::setup::{Shop, fill, register};
use crate::shopper::{Action, Shopper};

/// Shoppers of a run, half of whom are users.
const SHOPPERS: u64 = 8;
/// Actions of each shopper.
const ACTIONS: u64 = 6;
/// Starts of the node that have a failure; the one after them has none.
const FAILURES: u64 = 4;

/// The state of a filled shop, which every run starts from.
pub(crate) struct InitialState {
    pub(crate) disk: MemoryDisk,
    now: Timestamp,
    pub(crate) users: Vec<UserId>,
    shop: Shop,
    dir: Arc<tempfile::TempDir>,
}

/// The outcome of a run.
pub(crate) struct Outcome {
    /// The digest of the trace, which includes the contents of the disk after each start.
    pub(crate) digest: Vec<u8>,
    /// The number of starts of the node.
    pub(crate) starts: u64,
    /// The number of confirmed orders.
    pub(crate) orders: usize,
}

/// A run that can be executed.
pub(crate) struct Run {
    seed: u64,
    shared: SharedState,
    rng: Entropy,
    log: Arc<Log>,
    shop: Shop,
    shoppers: Arc<Mutex<Vec<Shopper>>>,
    disk: MemoryDisk,
    /// Whether syncs do nothing but report success.
    syncs_are_silent: bool,
    _dir: Arc<tempfile::TempDir>,
}

fn settings(dir: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::default();
    dir.path().clone_into(&mut settings.data.dir);
    settings.limits.enabled = false;
    settings.payment.timeout_ms = 3_000;
    settings.payment.sandbox = true;
    settings
}

/// A single-threaded runtime. Dropping it drops all tasks where they are.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl InitialState {
    pub(crate) fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let clock = Clock::manual("2026-11-23T12:00:00Z".parse().unwrap());
        let (entropy, cache) = (Entropy::seeded(1), Cache::in_memory());
        let shared = SharedState { settings: settings(&dir), clock, entropy, cache, group_chains: true };
        let disk = SimDisk::on(MemoryDisk::new());
        // Passwords are hashed on other threads. Nothing else runs meanwhile, so that their timing has no influence.
        let users = runtime().block_on(async {
            let mut node = SteppedNode::start(&shared, &disk, Entropy::seeded(2), None).await.unwrap();
            let client = Client { promox: node.promox.clone(), log: Arc::default() };
            node.run_until(tokio::spawn(register(client, SHOPPERS / 2))).await.unwrap()
        });
        let disk = SimDisk::on(disk.whole());
        let ids = users.clone();
        let shop = runtime().block_on(async {
            let mut node = SteppedNode::start(&shared, &disk, Entropy::seeded(3), None).await.unwrap();
            let client = Client { promox: node.promox.clone(), log: Arc::default() };
            node.start_background();
            let shop = node.run_until(tokio::spawn(fill(client, ids))).await.unwrap();
            node.run_for(Duration::from_secs(5)).await.unwrap();
            shop
        });
        Self { disk: disk.whole(), now: shared.clock.now(), users, shop, dir }
    }

    /// The state that the starts of the node in one run share.
    pub(crate) fn shared_state(&self, entropy: Entropy) -> SharedState {
        let (settings, clock) = (settings(&self.dir), Clock::manual(self.now));
        SharedState { settings, clock, entropy, cache: Cache::in_memory(), group_chains: true }
    }
}

impl Run {
    /// The run with every call between services encoded and decoded.
    pub(crate) fn with_encoded_calls(mut self) -> Self {
        self.shared.settings.server.encode_calls = true;
        self
    }

    /// The run on a store that commits the transactions of a chain in turn, each in a group of its own.
    pub(crate) fn with_chains_in_turn(mut self) -> Self {
        self.shared.group_chains = false;
        self
    }

    pub(crate) fn new(seed: u64, initial: &InitialState) -> Self {
        let entropy = Entropy::seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xBEEF);
        let shared = initial.shared_state(entropy.clone());
        let user = |number: u64| initial.users.get(usize::try_from(number / 2).unwrap()).copied();
        let shopper = |number| {
            let user = user(number).filter(|_| number % 2 == 0);
            Shopper { number, user, done: 0, cart: None }
        };
        Self {
            seed,
            shared,
            rng: Entropy::seeded(seed ^ 0x00D1_CE00),
            log: Arc::default(),
            shop: initial.shop.clone(),
            shoppers: Arc::new(Mutex::new((0..SHOPPERS).map(shopper).collect())),
            disk: initial.disk.copy(),
            syncs_are_silent: false,
            _dir: initial.dir.clone(),
        }
    }

    /// The run on a disk whose syncs do nothing, which the checks after a power cut must detect.
    pub(crate) fn on_a_disk_that_never_syncs(self) -> Self {
        Self { syncs_are_silent: true, ..self }
    }

    /// Starts the node again and again until all shoppers have done all their actions in a start without failure.
    pub(crate) fn execute(mut self) -> Outcome {
        let mut failures: VecDeque<(u64, Failure)> = (0..FAILURES).map(|_| self.random_failure()).collect();
        let mut starts = 0;
        loop {
            starts += 1;
            let failure = failures.pop_front();
            self.log.record(&format!("start {starts}: {failure:?}"));
            let disk = SimDisk::on(self.disk.copy());
            if self.syncs_are_silent {
                disk.faulty().fail(Fault::SilentSync, 0, u64::MAX);
            }
            let ended = runtime().block_on(self.run_node(&disk, failure));
            self.disk = if ended.is_ok() { disk.whole() } else { disk.after_power_cut(&self.rng) };
            self.log.record(&format!("{ended:?} leaves {}", digest(&self.disk)));
            if ended.is_ok() && failure.is_none() {
                let orders = self.log.answers("order.place", 201).len();
                return Outcome { digest: self.log.digest(), starts, orders };
            }
        }
    }

    /// A random failure, and the number of commit groups until it.
    fn random_failure(&self) -> (u64, Failure) {
        let failure = match self.rng.below(5) {
            _ if self.syncs_are_silent => Failure::PowerCut,
            0 | 1 => Failure::PowerCut,
            2 => Failure::Broken(Fault::Sync),
            3 => Failure::Broken(Fault::Write),
            _ => Failure::Full(50 + self.rng.below(300)),
        };
        (1 + self.rng.below(150), failure)
    }

    /// One start of the node: recover, check, let the shoppers act, settle, check.
    async fn run_node(&self, disk: &SimDisk, failure: Option<(u64, Failure)>) -> Result<(), Stopped> {
        let mut node =
            SteppedNode::start(&self.shared, disk, Entropy::seeded(self.rng.below(u64::MAX)), failure).await?;
        let client = Client { promox: node.promox.clone(), log: self.log.clone() };
        self.check(&mut node, &client).await?;
        node.start_background();
        let shopping: Vec<_> =
            (0..SHOPPERS).map(|number| tokio::spawn(self.run_shopper(number, client.clone()))).collect();
        for shopper in shopping {
            node.run_until(shopper).await?;
        }
        node.run_for(Duration::from_secs(90)).await?;
        self.forget_carts_with_undecided_orders();
        node.run_until(tokio::spawn(settle(client.clone()))).await?;
        node.run_for(Duration::from_secs(30)).await?;
        self.check(&mut node, &client).await
    }

    /// The remaining actions of one shopper.
    fn run_shopper(&self, number: u64, client: Client) -> impl Future<Output = ()> + Send + use<> {
        let (shoppers, shop, seed) = (self.shoppers.clone(), self.shop.clone(), self.seed);
        let at = usize::try_from(number).unwrap();
        async move {
            loop {
                let mut shopper = shoppers.lock()[at].clone();
                if shopper.done >= ACTIONS {
                    return;
                }
                // If the node stops during the action, the contents of the cart are unknown.
                shoppers.lock()[at].cart = None;
                Action::new(&client, &mut shopper, &shop, seed).run().await;
                shoppers.lock()[at] = shopper;
            }
        }
    }

    /// Marks carts as unknown whose order is undecided: it is repeated at the end and then takes whatever is in the
    /// cart.
    fn forget_carts_with_undecided_orders(&self) {
        let mut shoppers = self.shoppers.lock();
        for (key, call) in self.log.undecided() {
            let number: usize = key.split('-').next().unwrap().parse().unwrap();
            if call.operation == "order.place" && call.body["items"].is_null() {
                shoppers[number].cart = None;
            }
        }
    }

    async fn check(&self, node: &mut SteppedNode, client: &Client) -> Result<(), Stopped> {
        let (client, shoppers) = (client.clone(), self.shoppers.lock().clone());
        node.run_until(tokio::spawn(async move { check::everything(&client, &shoppers).await })).await
    }
}

/// Repeats all calls whose outcome is open until they have one.
async fn settle(client: Client) {
    for (key, call) in client.log.undecided() {
        let settled = client.call_until_final(&key, &call).await;
        assert!(settled.is_some(), "{key} has no outcome: {call:?}");
    }
}
