//! Kills while a flash sale sells out, a coupon is used up and a batch of coupons is generated: stock, sale and coupons
//! agree with the answers afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::Client;
use crate::process::{Process, verify};
use crate::shop::{EMAIL, all, log_in, order_of};

const CONNECTIONS: u64 = 16;
const ROUNDS: u64 = 4;
const ALLOCATED: usize = 300;
const COUPON_USES: usize = 120;
const BATCH: usize = 40_000;

/// A request that was sent with a key: its path, its body, and status and body of its final answer once it is known.
type Sent = (String, Value, Option<(u16, Value)>);

/// All requests sent, by idempotency key.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<BTreeMap<String, Sent>>>);

impl Log {
    /// Sends a request with a key, records a final answer and returns it: null while undecided, `None` when the
    /// connection broke.
    async fn send(&self, client: &Client, key: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.0.lock().entry(key.to_owned()).or_insert_with(|| (path.to_owned(), body.clone(), None));
        let sent = client.key(key).send("POST", path, "application/json", body.to_string().into()).await;
        let answer = sent.ok()?;
        let answered = (answer.status, answer.json());
        if matches!(answered.0, 202 | 503) || answered.1["code"] == "IDEMPOTENCY_IN_PROGRESS" {
            return Some((answered.0, Value::Null));
        }
        assert!(matches!(answered.0, 201 | 409 | 422), "{path}: {answer:?}");
        let before = self.0.lock().get_mut(key).and_then(|sent| sent.2.replace(answered.clone()));
        let same =
            before.as_ref().is_none_or(|before| before.0 == answered.0 && (answered.0 != 201 || *before == answered));
        assert!(same, "{key} was answered {before:?} before the kill and {answered:?} after it");
        Some(answered)
    }

    /// Repeats all requests until every answer is final.
    async fn settle(&self, client: &Client) {
        let sent: Vec<(String, Sent)> = self.0.lock().iter().map(|(key, sent)| (key.clone(), sent.clone())).collect();
        for (key, (path, body, _)) in sent {
            while self.send(client, &key, &path, &body).await.expect("the server runs").1.is_null() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The bodies of 201 answers to requests whose path ends with `path`.
    fn created(&self, path: &str) -> Vec<Value> {
        let log = self.0.lock();
        let of_path = log.values().filter(|sent| sent.0.ends_with(path));
        of_path.filter_map(|sent| sent.2.clone()).filter(|(status, _)| *status == 201).map(|(_, body)| body).collect()
    }
}

/// An order of a reservation and one unit at the full price, with or without the coupon.
fn order(reservation: &Value, coupon: bool) -> Value {
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body["flashSaleReservationIds"] = json!([reservation]);
    if coupon {
        body["couponCode"] = json!("RUSH");
    }
    body
}

/// Reserves and orders until the connection breaks. Orders without the coupon when it is used up. Counts `left` down
/// with each reservation and notifies when it reaches zero.
async fn load(client: Client, name: String, sale: String, entropy: Entropy, log: Log, left: Arc<(AtomicI64, Notify)>) {
    for number in 0.. {
        let key = format!("{name}-{number}");
        let one = json!({"sku": "A", "quantity": 1});
        let Some((_, reserved)) = log.send(&client, &format!("{key}-r"), &sale, &one).await else { return };
        if left.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            left.1.notify_one();
        }
        let reservation = &reserved["reservationId"];
        if reservation.is_null() || entropy.below(8) == 0 {
            continue;
        }
        let with = order(reservation, true);
        let Some((status, _)) = log.send(&client, &format!("{key}-c"), "/api/orders", &with).await else { return };
        let without = order(reservation, false);
        if status == 422 && log.send(&client, &format!("{key}-o"), "/api/orders", &without).await.is_none() {
            return;
        }
    }
}

/// Creates a product, a flash sale of it, and a coupon. Returns the path of the sale's reservations.
async fn prepare(admin: &Client) -> String {
    admin.post("/api/products", &json!({"sku": "A", "name": "A", "price": "5.00"})).await.expect(201);
    admin.put("/api/inventory/A", &json!({"onHand": 50_000})).await.expect(200);
    let promotion = json!({
        "name": "Rush", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "10"}],
    });
    let promotion = admin.post("/api/promotions", &promotion).await.expect(201)["id"].clone();
    admin.post(&format!("/api/promotions/{promotion}/activate"), &json!({})).await.expect(200);
    let coupon = json!({"code": "RUSH", "promotionId": promotion, "maxRedemptions": COUPON_USES});
    admin.post("/api/coupons", &coupon).await.expect(201);
    let batch = json!({"count": BATCH, "promotionId": promotion, "pattern": "R-######-######"});
    admin.key("batch").post("/api/coupons/bulk", &batch).await.expect(202);
    let sale = json!({
        "name": "Rush",
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z",
        "items": [{"sku": "A", "salePrice": "1.00", "stock": ALLOCATED}],
        "reservationTtlSeconds": 3600,
    });
    let sale = admin.post("/api/flash-sales", &sale).await.expect(201);
    format!("/api/flash-sales/{}/reservations", sale["id"])
}

/// Checks that the figures of the sale and of the coupon agree with the answers.
async fn check(admin: &Client, sale: &str, log: &Log) {
    let orders = log.created("/api/orders");
    let reserved = log.created("/reservations").len();
    let flash = |order: &&Value| order["lines"].as_array().unwrap().iter().any(|line| !line["flashSaleId"].is_null());
    assert_eq!(orders.iter().filter(flash).count(), orders.len(), "each order has its flash line");
    let view = sale.trim_end_matches("/reservations");
    loop {
        let item = admin.get(view).await.expect(200)["items"][0].clone();
        assert_eq!(item["remaining"], ALLOCATED - reserved, "the remaining stock excludes exactly the reserved units");
        if item["sold"] == orders.len() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let redeemed = orders.iter().filter(|order| !order["appliedPromotions"].as_array().unwrap().is_empty()).count();
    assert!(redeemed <= COUPON_USES, "{redeemed}");
    assert_eq!(all(admin, "/api/coupons/RUSH/redemptions").await.len(), redeemed);
}

async fn round(dir: &Path, number: u64, sale: &str, log: &Log, entropy: &Entropy) {
    let process = Process::start(dir).await;
    let admin = process.admin().await;
    let left = Arc::new((AtomicI64::new(1 + i64::try_from(entropy.below(80)).unwrap()), Notify::new()));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|worker| {
            let seeded = Entropy::seeded(number * 1_000 + worker);
            let name = format!("r{number}-{worker}");
            tokio::spawn(load(admin.clone(), name, sale.to_owned(), seeded, log.clone(), left.clone()))
        })
        .collect();
    left.1.notified().await;
    process.kill().await;
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Waits until the batch is generated and returns its codes.
async fn codes(admin: &Client) -> BTreeSet<String> {
    let batches = all(admin, "/api/coupons/batches").await;
    assert_eq!(batches.len(), 1, "{batches:?}");
    let path = format!("/api/coupons/batches/{}", batches[0]["id"]);
    while admin.get(&path).await.expect(200)["generated"] != BATCH {
        tokio::task::yield_now().await;
    }
    let export = admin.get(&format!("{path}/export")).await;
    let rows = String::from_utf8(export.bytes.to_vec()).unwrap();
    rows.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_a_flash_sale_leave_consistent_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (log, entropy) = (Log::default(), Entropy::seeded(20_101_224));
    let process = Process::start(dir.path()).await;
    let sale = prepare(&process.admin().await).await;
    process.kill().await;
    for number in 0..ROUNDS {
        verify(dir.path());
        round(dir.path(), number, &sale, &log, &entropy).await;
        verify(dir.path());
        let process = Process::start(dir.path()).await;
        let admin = process.admin().await;
        log.settle(&admin).await;
        check(&admin, &sale, &log).await;
        process.kill().await;
    }
    let process = Process::start(dir.path()).await;
    let admin = log_in(&process.anyone, EMAIL).await;
    assert_eq!(codes(&admin).await.len(), BATCH, "the batch has every code exactly once");
    process.kill().await;
    verify(dir.path());
}
