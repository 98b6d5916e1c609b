//! Faults between the shop and its payment provider, and kills of the shop meanwhile: afterwards the books of both
//! agree, and nobody was charged twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::provider::Provider;
use super::proxy::{Fault, Proxy};
use super::{CardShop, VISA, WEBHOOK_SECRET, card_order, settings};
use crate::client::Client;
use crate::process::{Process, verify};
use crate::shop::all;

const WORKERS: usize = 6;
const ROUNDS: u64 = 5;
/// In how many of 16 requests to the provider a fault is injected.
pub(super) const FAULTS: u64 = 5;

/// The requests that were sent, by idempotency key.
type Sent = Arc<Mutex<BTreeMap<String, Value>>>;

/// The tokens of cards that succeed, are declined and require an action.
#[derive(Clone)]
struct Cards(Vec<String>);

impl Cards {
    fn pick(&self, entropy: &Entropy) -> &str {
        // Half of the cards succeed.
        let place = usize::try_from(entropy.below(2 * self.0.len() as u64)).unwrap();
        self.0.get(place).map_or(VISA, String::as_str)
    }
}

/// Places orders, and cancels some, until the connection breaks.
async fn load(client: Client, admin: Client, name: String, cards: Cards, sent: Sent, answered: Arc<Countdown>) {
    let entropy = Entropy::seeded(name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    for number in 0.. {
        let key = format!("{name}-{number}");
        let body = card_order(1 + u32::try_from(entropy.below(3)).unwrap(), cards.pick(&entropy));
        sent.lock().insert(key.clone(), body.clone());
        let placed = client.key(&key).send("POST", "/api/orders", "application/json", body.to_string().into()).await;
        let Ok(answer) = placed else { return };
        answered.count_down();
        let order = answer.json()["id"].clone();
        if entropy.below(4) == 0 && order.is_i64() {
            let (path, body) = (format!("/api/orders/{order}/cancel"), json!({"reason": "no longer wanted"}));
            if admin.send("POST", &path, "application/json", body.to_string().into()).await.is_err() {
                return;
            }
        }
    }
}

/// Tells when a number of answers was reached.
pub(super) struct Countdown {
    left: AtomicUsize,
    reached: Notify,
}

impl Countdown {
    pub(super) fn new(left: usize) -> Self {
        Self { left: AtomicUsize::new(left), reached: Notify::new() }
    }

    /// Waits until the number is reached.
    pub(super) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(super) fn count_down(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.reached.notify_one();
        }
    }
}

/// Starts the shop; the proxy delivers webhooks to it.
pub(super) async fn start(dir: &Path, proxy: &Proxy) -> Process {
    let mut settings = settings(&proxy.url);
    settings.push(("PROMOX_PAYMENT__TIMEOUT_MS".to_owned(), "400".to_owned()));
    let process = Process::start_with(dir, &settings).await;
    proxy.deliver_to(Some(process.address));
    process
}

pub(super) async fn kill(process: Process, proxy: &Proxy) {
    proxy.deliver_to(None);
    process.kill().await;
}

/// Repeats every request until it is decided: 201 or 402.
async fn settle(client: &Client, sent: &Sent) {
    let all: Vec<(String, Value)> = sent.lock().iter().map(|(key, body)| (key.clone(), body.clone())).collect();
    for (key, body) in all {
        while !matches!(client.key(&key).post("/api/orders", &body).await.status, 201 | 402) {
            tokio::task::yield_now().await;
        }
    }
}

/// Cancels the orders that wait for their buyer, so that every order is decided.
async fn cancel_waiting(admin: &Client) {
    for order in all(admin, "/api/orders?status=PENDING").await {
        let path = format!("/api/orders/{}/cancel", order["id"]);
        while admin.post(&path, &json!({"reason": "the buyer has left"})).await.status != 200 {
            tokio::task::yield_now().await;
        }
    }
}

/// What the provider holds for each order: what was captured less what was refunded, in minor units.
async fn held(provider: &Provider) -> BTreeMap<String, i64> {
    let (intents, refunds) = provider.books().await;
    let (mut held, mut captures) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, usize>::new());
    let mut orders = BTreeSet::new();
    for intent in intents {
        let is_new = orders.insert(intent["metadata"]["promox_order"].to_string());
        assert!(is_new, "a repeated creation returns the same intent: {intent}");
        assert_ne!(intent["status"], "requires_capture", "{intent}");
        if intent["status"] != "succeeded" {
            continue;
        }
        let order = intent["metadata"]["promox_order"].as_str().unwrap().to_owned();
        let charge = &intent["latest_charge"]["id"];
        let refunded = refunds.iter().filter(|refund| refund["charge"] == *charge);
        let refunded: i64 = refunded.map(|refund| refund["amount"].as_i64().unwrap()).sum();
        *held.entry(order.clone()).or_default() += intent["amount"].as_i64().unwrap() - refunded;
        *captures.entry(order).or_default() += 1;
    }
    assert!(captures.values().all(|captures| *captures == 1), "an order was charged twice: {captures:?}");
    held
}

/// Waits until the provider holds exactly the totals of the confirmed orders.
async fn compare(admin: &Client, provider: &Provider) -> usize {
    loop {
        let orders = all(admin, "/api/orders").await;
        let minor = |total: &Value| total.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        let confirmed = orders.iter().filter(|order| order["status"] == "CONFIRMED");
        let wanted: BTreeMap<String, i64> =
            confirmed.map(|order| (order["id"].to_string(), minor(&order["totals"]["total"]))).collect();
        let held: BTreeMap<String, i64> = held(provider).await.into_iter().filter(|(_, amount)| *amount != 0).collect();
        // Refunds of captures that came too late are still made.
        let excess = held.iter().any(|(order, amount)| wanted.get(order) != Some(amount));
        assert!(wanted.keys().all(|order| held.contains_key(order)), "confirmed without money: {wanted:?} {held:?}");
        if !excess {
            return wanted.len();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_one_intent_whatever_becomes_of_its_creation() {
    let cards = CardShop::start().await;
    for fault in [Fault::CutAfterwards, Fault::FailedAfterwards, Fault::CutBefore, Fault::FailedForKey] {
        cards.proxy.inject_next(fault);
        let order = cards.order(1, VISA).await.expect(201);
        assert_eq!(order["payment"]["status"], "CAPTURED", "{fault:?}");
        // It fails if there is another.
        assert_eq!(cards.intent(&order["id"]).await["status"], "succeeded", "{fault:?}");
    }
    // A failure that the provider repeats does not keep a payment from its refund either.
    let order = cards.order(1, VISA).await.expect(201);
    cards.proxy.inject_next(Fault::FailedForKey);
    let path = format!("/api/payments/{}/refunds", order["payment"]["id"]);
    cards.shop.admin.post(&path, &json!({"reason": "sorry"})).await.expect(202);
    cards.wait_for(&order["id"], "REFUNDED").await;
    cards.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_kills_charge_nobody_twice_and_lose_no_payment() {
    let rounds = std::env::var("PROMOX_STRIPE_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let provider = Provider::start().await;
    let proxy = Proxy::start(&provider.url, Entropy::seeded(20_261_129)).await;
    let hook = json!({"url": format!("{}/hooks", proxy.url), "secret": WEBHOOK_SECRET});
    assert_eq!(provider.post("/_config/webhooks/shop", &hook).await.0, 200);
    let cards = Cards(vec!["pm_card_chargeCustomerFail".to_owned(), provider.card("4000002500003155").await]);
    let dir = tempfile::tempdir().unwrap();
    let sent = Sent::default();
    let process = start(dir.path(), &proxy).await;
    let admin = process.admin().await;
    admin.post("/api/products", &json!({"sku": "A", "name": "A", "price": "10.00"})).await.expect(201);
    admin.put("/api/inventory/A", &json!({"onHand": 100_000})).await.expect(200);
    kill(process, &proxy).await;
    let entropy = Entropy::seeded(11);
    for round in 0..rounds {
        proxy.inject(FAULTS);
        let process = start(dir.path(), &proxy).await;
        let admin = process.admin().await;
        let answered = Arc::new(Countdown::new(8 + usize::try_from(entropy.below(30)).unwrap()));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (client, name) = (Client::new(process.address), format!("r{round}-{worker}"));
                tokio::spawn(load(client, admin.clone(), name, cards.clone(), sent.clone(), answered.clone()))
            })
            .collect();
        answered.reached().await;
        kill(process, &proxy).await;
        for worker in workers {
            worker.await.unwrap();
        }
    }
    proxy.inject(0);
    let process = start(dir.path(), &proxy).await;
    let admin = process.admin().await;
    settle(&process.anyone, &sent).await;
    cancel_waiting(&admin).await;
    let confirmed = compare(&admin, &provider).await;
    assert!(confirmed > 0 && proxy.delivered() > 0, "{confirmed} confirmed, {} webhooks", proxy.delivered());
    kill(process, &proxy).await;
    verify(dir.path());
}
