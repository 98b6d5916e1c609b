//! A story: shoppers and what goes wrong, life after life of a node, all from one seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox::config::Settings;
use promox_embedded::disk::{Fault, MemoryDisk};
use promox_kernel::{Clock, Entropy, Timestamp, UserId};
use promox_storage::Cache;

use crate::ask::{Clients, Log};
use crate::check;
use crate::disk::{SimDisk, digest};
use crate::life::{Cut, Life, Trouble, World};
use crate::opening::{Shop, open, register};
use crate::shopper::{Errand, Shopper};

/// Shoppers of a story, half of them users, and what each does.
const SHOPPERS: u64 = 8;
const ERRANDS: u64 = 6;
/// Lives that trouble ends; the next one is left in peace.
const TROUBLED: u64 = 4;

/// A shop that is about to open, from which every story begins.
pub(crate) struct Beginning {
    pub(crate) disk: MemoryDisk,
    now: Timestamp,
    pub(crate) users: Vec<UserId>,
    shop: Shop,
    dir: Arc<tempfile::TempDir>,
}

/// What became of a story.
pub(crate) struct Told {
    pub(crate) digest: Vec<u8>,
    pub(crate) lives: u64,
    pub(crate) orders: usize,
}

/// A story that can be told.
pub(crate) struct Story {
    seed: u64,
    world: World,
    dice: Entropy,
    log: Arc<Log>,
    shop: Shop,
    shoppers: Arc<Mutex<Vec<Shopper>>>,
    disk: MemoryDisk,
    /// Whether syncs do nothing and say that they did.
    silent: bool,
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

/// One thread, of which nothing is left when it is dropped: what ran on it ends where it was.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Beginning {
    pub(crate) fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let clock = Clock::manual("2026-11-23T12:00:00Z".parse().unwrap());
        let (entropy, cache) = (Entropy::seeded(1), Cache::in_memory());
        let world = World { settings: settings(&dir), clock, entropy, cache, group_chains: true };
        let disk = SimDisk::on(MemoryDisk::new());
        // Passwords are hashed on other threads: meanwhile nothing else happens, so that no order of things is left to them.
        let users = runtime().block_on(async {
            let mut life = Life::start(&world, &disk, Entropy::seeded(2), None).await.unwrap();
            let clients = Clients { promox: life.promox.clone(), log: Arc::default() };
            life.until(tokio::spawn(register(clients, SHOPPERS / 2))).await.unwrap()
        });
        let disk = SimDisk::on(disk.whole());
        let known = users.clone();
        let shop = runtime().block_on(async {
            let mut life = Life::start(&world, &disk, Entropy::seeded(3), None).await.unwrap();
            let clients = Clients { promox: life.promox.clone(), log: Arc::default() };
            life.go();
            let shop = life.until(tokio::spawn(open(clients, known))).await.unwrap();
            life.pass(Duration::from_secs(5)).await.unwrap();
            shop
        });
        Self { disk: disk.whole(), now: world.clock.now(), users, shop, dir }
    }

    /// What the lives that begin here share.
    pub(crate) fn world(&self, entropy: Entropy) -> World {
        let (settings, clock) = (settings(&self.dir), Clock::manual(self.now));
        World { settings, clock, entropy, cache: Cache::in_memory(), group_chains: true }
    }
}

impl Story {
    /// The same story with every call between services encoded and decoded.
    pub(crate) fn with_encoded_calls(mut self) -> Self {
        self.world.settings.server.encode_calls = true;
        self
    }

    /// The same story on a store that runs the links of a chain in turn.
    pub(crate) fn with_chains_in_turn(mut self) -> Self {
        self.world.group_chains = false;
        self
    }

    pub(crate) fn new(seed: u64, beginning: &Beginning) -> Self {
        let entropy = Entropy::seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xBEEF);
        let world = beginning.world(entropy.clone());
        let user = |number: u64| beginning.users.get(usize::try_from(number / 2).unwrap()).copied();
        let shopper = |number| {
            let user = user(number).filter(|_| number % 2 == 0);
            Shopper { number, user, done: 0, cart: None }
        };
        Self {
            seed,
            world,
            dice: Entropy::seeded(seed ^ 0x00D1_CE00),
            log: Arc::default(),
            shop: beginning.shop.clone(),
            shoppers: Arc::new(Mutex::new((0..SHOPPERS).map(shopper).collect())),
            disk: beginning.disk.copy(),
            silent: false,
            _dir: beginning.dir.clone(),
        }
    }

    /// The same on a disk whose syncs do nothing: the power cuts of such a story must be noticed.
    pub(crate) fn on_a_disk_that_never_syncs(self) -> Self {
        Self { silent: true, ..self }
    }

    /// Lives until the shoppers have done all they wanted and everything has come to rest.
    pub(crate) fn tell(mut self) -> Told {
        let mut troubles: VecDeque<(u64, Trouble)> = (0..TROUBLED).map(|_| self.trouble()).collect();
        let mut lives = 0;
        loop {
            lives += 1;
            let trouble = troubles.pop_front();
            self.log.tell(&format!("life {lives}: {trouble:?}"));
            let disk = SimDisk::on(self.disk.copy());
            if self.silent {
                disk.faulty().fail(Fault::SilentSync, 0, u64::MAX);
            }
            let lived = runtime().block_on(self.live(&disk, trouble));
            self.disk = if lived.is_ok() { disk.whole() } else { disk.cut(&self.dice) };
            self.log.tell(&format!("{lived:?} leaves {}", digest(&self.disk)));
            if lived.is_ok() && trouble.is_none() {
                let orders = self.log.answers("order.place", 201).len();
                return Told { digest: self.log.digest(), lives, orders };
            }
        }
    }

    fn trouble(&self) -> (u64, Trouble) {
        let trouble = match self.dice.below(5) {
            _ if self.silent => Trouble::PowerCut,
            0 | 1 => Trouble::PowerCut,
            2 => Trouble::Broken(Fault::Sync),
            3 => Trouble::Broken(Fault::Write),
            _ => Trouble::Full(50 + self.dice.below(300)),
        };
        (1 + self.dice.below(150), trouble)
    }

    /// One life: start, check, shop, rest, check.
    async fn live(&self, disk: &SimDisk, trouble: Option<(u64, Trouble)>) -> Result<(), Cut> {
        let mut life = Life::start(&self.world, disk, Entropy::seeded(self.dice.below(u64::MAX)), trouble).await?;
        let clients = Clients { promox: life.promox.clone(), log: self.log.clone() };
        self.check(&mut life, &clients).await?;
        life.go();
        let shopping: Vec<_> = (0..SHOPPERS).map(|number| tokio::spawn(self.shop(number, clients.clone()))).collect();
        for shopper in shopping {
            life.until(shopper).await?;
        }
        life.pass(Duration::from_secs(90)).await?;
        self.forget_carts_that_may_be_ordered();
        life.until(tokio::spawn(settle(clients.clone()))).await?;
        life.pass(Duration::from_secs(30)).await?;
        self.check(&mut life, &clients).await
    }

    /// All that one shopper still wants to do.
    fn shop(&self, number: u64, clients: Clients) -> impl Future<Output = ()> + Send + use<> {
        let (shoppers, shop, seed) = (self.shoppers.clone(), self.shop.clone(), self.seed);
        let at = usize::try_from(number).unwrap();
        async move {
            loop {
                let mut shopper = shoppers.lock()[at].clone();
                if shopper.done >= ERRANDS {
                    return;
                }
                // What it knew of its cart holds until it does something.
                shoppers.lock()[at].cart = None;
                Errand::new(&clients, &mut shopper, &shop, seed).run().await;
                shoppers.lock()[at] = shopper;
            }
        }
    }

    /// An order of a cart that never got through is asked for again in the end, and then takes whatever is in the cart.
    fn forget_carts_that_may_be_ordered(&self) {
        let mut shoppers = self.shoppers.lock();
        for (key, ask) in self.log.undecided() {
            let number: usize = key.split('-').next().unwrap().parse().unwrap();
            if ask.operation == "order.place" && ask.body["items"].is_null() {
                shoppers[number].cart = None;
            }
        }
    }

    async fn check(&self, life: &mut Life, clients: &Clients) -> Result<(), Cut> {
        let (clients, shoppers) = (clients.clone(), self.shoppers.lock().clone());
        life.until(tokio::spawn(async move { check::everything(&clients, &shoppers).await })).await
    }
}

/// Asks again for all whose outcome is open, until none is.
async fn settle(clients: Clients) {
    for (key, ask) in clients.log.undecided() {
        let settled = clients.decided(&key, &ask).await;
        assert!(settled.is_some(), "{key} has no outcome: {ask:?}");
    }
}
