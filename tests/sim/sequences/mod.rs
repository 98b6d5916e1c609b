//! Sequences of operations on an order, with every payment method, compared with a plain model of money, goods, points
//! and statuses. Some cases run operations concurrently; those check invariants only. Every case brings its order to an
//! end, which must be reachable from any state, and checks that stock, money and points are where they belong.
//!
//! `PROMOX_SEQUENCES=20000` runs more cases than the two thousand of every build, `PROMOX_SEQUENCE=7` a single one.

mod model;
mod steps;

use std::sync::Arc;

use promox::config::Settings;
use promox_embedded::disk::MemoryDisk;
use promox_kernel::{Clock, Cx, Entropy, UserId};
use promox_storage::{Cache, ConsumerLoop};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Answer, Call, Caller, Client};
use crate::disk::SimDisk;
use crate::env_number;
use crate::node::{SharedState, SteppedNode};
use crate::setup::register;
use crate::shopper::path_text;

/// The number of cases that every build runs.
const DEFAULT_CASES: u64 = 2_000;
/// Cases that run on one start of a node.
const CASES_PER_NODE: u64 = 100;
const SKUS: [&str; 2] = ["BOX", "PEN"];
/// Units of each SKU in stock.
const STOCK: i64 = 1_000_000;
/// The number of buyers, who take turns.
const BUYERS: u64 = 3;

/// A shop, with the calls and background work that a case needs.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) client: Client,
    pub(crate) buyers: Vec<UserId>,
    consumers: Arc<Mutex<Vec<ConsumerLoop>>>,
}

impl Shop {
    /// Calls an operation and returns its answer, which may be a refusal.
    pub(crate) async fn request(
        &self,
        caller: Caller,
        operation: &'static str,
        path: &[(&'static str, &Value)],
        body: Value,
    ) -> Answer {
        let path = path.iter().map(|(name, value)| (*name, path_text(value))).collect();
        let call = Call { caller, operation, path, body };
        self.client.call_once(&call).await.unwrap_or_else(|| panic!("{call:?} has no answer"))
    }

    /// Calls an operation that must succeed, and returns the body of its answer.
    pub(crate) async fn expect_success(
        &self,
        operation: &'static str,
        path: &[(&'static str, &Value)],
        body: Value,
    ) -> Value {
        let (status, answer) = self.request(Caller::System, operation, path, body).await;
        assert!(matches!(status, 200 | 201), "{operation}: {answer}");
        answer
    }

    /// Runs all consumers, and the jobs that move orders, payments and figures.
    pub(crate) async fn run_background(&self) {
        let promox = &self.client.promox;
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
        Cx::system(self.client.promox.node(), "sequence", std::time::Duration::from_secs(600))
    }

    /// Asserts that the auditor finds nothing.
    pub(crate) fn audit(&self, case: u64) {
        let verdict = self.client.promox.auditor().run().unwrap();
        assert!(verdict.clean && verdict.checks > 0, "case {case}: {:#?}", verdict.findings);
    }

    /// Creates two products with stock, taxes, shipping, a coupon, and points of the buyers.
    async fn fill(&self) {
        for (sku, price) in SKUS.iter().zip(["6.00", "3.35"]) {
            self.expect_success(
                "product.create",
                &[],
                json!({"sku": sku, "name": sku, "price": price, "status": "ACTIVE"}),
            )
            .await;
            self.expect_success("inventory.count", &[("sku", &json!(sku))], json!({"onHand": STOCK})).await;
        }
        let methods = json!({"methods": ["CARD", "CASH_ON_DELIVERY", "BANK_TRANSFER"]});
        self.expect_success("store.patch_payments", &[], methods).await;
        let method = json!({"method": "POST", "name": "Post", "amount": "4.96"});
        let zones = json!({"zones": [{"name": "Home", "countries": ["GB"], "methods": [method]}]});
        self.expect_success("store.patch_shipping", &[], zones).await;
        let rate = json!({"country": "GB", "taxClass": "STANDARD", "percent": "20"});
        self.expect_success("store.patch_taxes", &[], json!({"pricesIncludeTax": true, "rates": [rate]})).await;
        let off = json!({"name": "Off", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "15"}]});
        let promotion = self.expect_success("promotion.create", &[], off).await["id"].clone();
        self.expect_success("promotion.activate", &[("id", &promotion)], Value::Null).await;
        self.expect_success(
            "coupon.create",
            &[],
            json!({"code": "OFF", "promotionId": promotion, "maxRedemptions": 1_000_000}),
        )
        .await;
        let rewards = json!({"pointsPerUnit": "3", "pointValue": "0.01", "pendingDays": 0, "returnShortfall": "CARRY"});
        self.expect_success("reward.patch_settings", &[], rewards).await;
        for buyer in &self.buyers {
            let body = json!({"points": 1_000_000, "reason": "to spend"});
            self.expect_success("reward.adjust", &[("id", &json!(buyer.0))], body).await;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn shop_on(node: &SteppedNode, buyers: &[UserId]) -> Shop {
    let consumers = Arc::new(Mutex::new(node.promox.consumers()));
    Shop { client: Client { promox: node.promox.clone(), log: Arc::default() }, buyers: buyers.to_vec(), consumers }
}

/// The state of a filled shop, which nodes start from.
struct InitialState {
    disk: MemoryDisk,
    shared: SharedState,
    buyers: Vec<UserId>,
    _dir: tempfile::TempDir,
}

impl InitialState {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        dir.path().clone_into(&mut settings.data.dir);
        settings.limits.enabled = false;
        settings.payment.sandbox = true;
        let clock = Clock::manual("2026-11-23T12:00:00Z".parse().unwrap());
        let (entropy, cache) = (Entropy::seeded(1), Cache::in_memory());
        let shared = SharedState { settings, clock, entropy, cache, group_chains: true };
        let disk = SimDisk::on(MemoryDisk::new());
        let buyers = runtime().block_on(async {
            let mut node = SteppedNode::start(&shared, &disk, Entropy::seeded(2), None).await.unwrap();
            let client = Client { promox: node.promox.clone(), log: Arc::default() };
            let buyers = node.run_until(tokio::spawn(register(client, BUYERS))).await.unwrap();
            node.start_clock();
            let shop = shop_on(&node, &buyers);
            node.run_until(tokio::spawn(async move { shop.fill().await })).await.unwrap();
            buyers
        });
        Self { disk: disk.whole(), shared, buyers, _dir: dir }
    }

    /// Runs cases on a node of their own.
    fn run_cases(&self, cases: std::ops::Range<u64>) {
        let disk = SimDisk::on(self.disk.copy());
        runtime().block_on(async {
            let mut node = SteppedNode::start(&self.shared, &disk, Entropy::seeded(cases.start), None).await.unwrap();
            node.start_clock();
            let shop = shop_on(&node, &self.buyers);
            let cases = async move {
                let last = cases.end;
                for case in cases {
                    steps::play(&shop, case).await;
                }
                shop.audit(last);
            };
            node.run_until(tokio::spawn(cases)).await.unwrap();
        });
    }
}

/// Runs a quarter of the cases, so that the quarters run in parallel.
fn run_quarter(index: u64) {
    let initial = InitialState::new();
    if let Some(case) = env_number("PROMOX_SEQUENCE") {
        return initial.run_cases(case..case + 1);
    }
    let cases = env_number("PROMOX_SEQUENCES").unwrap_or(DEFAULT_CASES);
    let (from, to) = (cases * index / 4, cases * (index + 1) / 4);
    for first in (from..to).step_by(usize::try_from(CASES_PER_NODE).unwrap()) {
        initial.run_cases(first..to.min(first + CASES_PER_NODE));
    }
}

#[test]
fn sequences_agree_with_the_model_and_reach_an_end() {
    run_quarter(0);
}

#[test]
fn sequences_agree_with_the_model_second_quarter() {
    run_quarter(1);
}

#[test]
fn sequences_agree_with_the_model_third_quarter() {
    run_quarter(2);
}

#[test]
fn sequences_agree_with_the_model_last_quarter() {
    run_quarter(3);
}
