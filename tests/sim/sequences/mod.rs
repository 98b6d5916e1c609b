//! Sequences: what can be done to an order, in any order and by every way to pay, against a plain model of money, goods, points and
//! states; and several of them at once, after which only what always holds is asked. From wherever an order has come there is a
//! way to an end, and at the end everything is where it belongs.
//!
//! `PROMOX_SEQUENCES=20000` tries more cases than the few thousand of every build, `PROMOX_SEQUENCE=7` one of them.

mod model;
mod steps;

use std::sync::Arc;

use promox::config::Settings;
use promox_embedded::disk::MemoryDisk;
use promox_kernel::{Clock, Cx, Entropy, UserId};
use promox_storage::{Cache, ConsumerLoop};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::ask::{Answer, Ask, Clients, Who};
use crate::disk::SimDisk;
use crate::life::{Life, World};
use crate::number;
use crate::opening::register;
use crate::shopper::plain;

/// Cases that every build tries.
const FEW: u64 = 2_000;
/// Cases of one life of a node.
const OF_A_LIFE: u64 = 100;
/// What is sold.
const SKUS: [&str; 2] = ["BOX", "PEN"];
const STOCK: i64 = 1_000_000;
/// Buyers who take turns.
const BUYERS: u64 = 3;

/// A shop in which orders are placed, and everything that is done in it.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) clients: Clients,
    pub(crate) buyers: Vec<UserId>,
    consumers: Arc<Mutex<Vec<ConsumerLoop>>>,
}

impl Desk {
    /// Asks and gives the answer, which may be a refusal.
    pub(crate) async fn ask(
        &self,
        who: Who,
        operation: &'static str,
        path: &[(&'static str, &Value)],
        body: Value,
    ) -> Answer {
        let path = path.iter().map(|(name, value)| (*name, plain(value))).collect();
        let ask = Ask { who, operation, path, body };
        self.clients.once(&ask).await.unwrap_or_else(|| panic!("{ask:?} has no answer"))
    }

    /// Asks for what must be done.
    pub(crate) async fn done(&self, operation: &'static str, path: &[(&'static str, &Value)], body: Value) -> Value {
        let (status, answer) = self.ask(Who::Shop, operation, path, body).await;
        assert!(matches!(status, 200 | 201), "{operation}: {answer}");
        answer
    }

    /// Lets everything follow that follows from what was done.
    pub(crate) async fn rest(&self) {
        let promox = &self.clients.promox;
        let (mut consumers, jobs) = (self.consumers.lock().await, promox.jobs());
        let due = ["order.move_returns", "order.resume_sagas", "payment.settle_refunds", "analytics.follow"];
        for _ in 0..3 {
            for consumer in &mut *consumers {
                while consumer.turn(promox.node()).await.unwrap() {}
            }
            for job in jobs.iter().filter(|job| due.contains(&job.name)) {
                job.run(self.cx()).await.unwrap();
            }
        }
    }

    pub(crate) fn cx(&self) -> Cx {
        Cx::system(self.clients.promox.node(), "sequence", std::time::Duration::from_secs(600))
    }

    /// Nothing is wrong with the books.
    pub(crate) fn audit(&self, case: u64) {
        let verdict = self.clients.promox.auditor().run().unwrap();
        assert!(verdict.clean && verdict.checks > 0, "case {case}: {:#?}", verdict.findings);
    }

    /// Fills the shop: two SKUs with a tax inside, shipping, a coupon, points.
    async fn open(&self) {
        for (sku, price) in SKUS.iter().zip(["6.00", "3.35"]) {
            self.done("product.create", &[], json!({"sku": sku, "name": sku, "price": price, "status": "ACTIVE"}))
                .await;
            self.done("inventory.count", &[("sku", &json!(sku))], json!({"onHand": STOCK})).await;
        }
        let methods = json!({"methods": ["CARD", "CASH_ON_DELIVERY", "BANK_TRANSFER"]});
        self.done("store.patch_payments", &[], methods).await;
        let method = json!({"method": "POST", "name": "Post", "amount": "4.96"});
        let zones = json!({"zones": [{"name": "Home", "countries": ["GB"], "methods": [method]}]});
        self.done("store.patch_shipping", &[], zones).await;
        let rate = json!({"country": "GB", "taxClass": "STANDARD", "percent": "20"});
        self.done("store.patch_taxes", &[], json!({"pricesIncludeTax": true, "rates": [rate]})).await;
        let off = json!({"name": "Off", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "15"}]});
        let promotion = self.done("promotion.create", &[], off).await["id"].clone();
        self.done("promotion.activate", &[("id", &promotion)], Value::Null).await;
        self.done("coupon.create", &[], json!({"code": "OFF", "promotionId": promotion, "maxRedemptions": 1_000_000}))
            .await;
        let rewards = json!({"pointsPerUnit": "3", "pointValue": "0.01", "pendingDays": 0, "returnShortfall": "CARRY"});
        self.done("reward.patch_settings", &[], rewards).await;
        for buyer in &self.buyers {
            let body = json!({"points": 1_000_000, "reason": "to spend"});
            self.done("reward.adjust", &[("id", &json!(buyer.0))], body).await;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn desk(life: &Life, buyers: &[UserId]) -> Desk {
    let consumers = Arc::new(Mutex::new(life.promox.consumers()));
    Desk { clients: Clients { promox: life.promox.clone(), log: Arc::default() }, buyers: buyers.to_vec(), consumers }
}

/// A shop that is open, and the life that it begins with.
struct Opened {
    disk: MemoryDisk,
    world: World,
    buyers: Vec<UserId>,
    _dir: tempfile::TempDir,
}

impl Opened {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        dir.path().clone_into(&mut settings.data.dir);
        settings.limits.enabled = false;
        settings.payment.sandbox = true;
        let clock = Clock::manual("2026-11-23T12:00:00Z".parse().unwrap());
        let (entropy, cache) = (Entropy::seeded(1), Cache::in_memory());
        let world = World { settings, clock, entropy, cache, group_chains: true };
        let disk = SimDisk::on(MemoryDisk::new());
        let buyers = runtime().block_on(async {
            let mut life = Life::start(&world, &disk, Entropy::seeded(2), None).await.unwrap();
            let clients = Clients { promox: life.promox.clone(), log: Arc::default() };
            let buyers = life.until(tokio::spawn(register(clients, BUYERS))).await.unwrap();
            life.wake();
            let desk = desk(&life, &buyers);
            life.until(tokio::spawn(async move { desk.open().await })).await.unwrap();
            buyers
        });
        Self { disk: disk.whole(), world, buyers, _dir: dir }
    }

    /// Tries cases in a life of their own.
    fn tries(&self, cases: std::ops::Range<u64>) {
        let disk = SimDisk::on(self.disk.copy());
        runtime().block_on(async {
            let mut life = Life::start(&self.world, &disk, Entropy::seeded(cases.start), None).await.unwrap();
            life.wake();
            let desk = desk(&life, &self.buyers);
            let trying = async move {
                let last = cases.end;
                for case in cases {
                    steps::play(&desk, case).await;
                }
                desk.audit(last);
            };
            life.until(tokio::spawn(trying)).await.unwrap();
        });
    }
}

/// Tries a quarter of the cases: the quarters run beside each other.
fn quarter(number_of: u64) {
    let opened = Opened::new();
    if let Some(case) = number("PROMOX_SEQUENCE") {
        return opened.tries(case..case + 1);
    }
    let cases = number("PROMOX_SEQUENCES").unwrap_or(FEW);
    let (from, to) = (cases * number_of / 4, cases * (number_of + 1) / 4);
    for first in (from..to).step_by(usize::try_from(OF_A_LIFE).unwrap()) {
        opened.tries(first..to.min(first + OF_A_LIFE));
    }
}

#[test]
fn whatever_is_done_to_an_order_everything_agrees_and_there_is_a_way_to_an_end() {
    quarter(0);
}

#[test]
fn whatever_is_done_to_an_order_everything_agrees_in_the_second_quarter_too() {
    quarter(1);
}

#[test]
fn whatever_is_done_to_an_order_everything_agrees_in_the_third_quarter_too() {
    quarter(2);
}

#[test]
fn whatever_is_done_to_an_order_everything_agrees_in_the_last_quarter_too() {
    quarter(3);
}
