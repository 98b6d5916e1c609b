//! Kills while points are spent, restored and exchanged for coupons: balances agree with the answers afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::Client;
use crate::process::{Process, verify};
use crate::shop::{PASSWORD, all, log_in, order_of};

const WORKERS: u64 = 16;
const ROUNDS: u64 = 4;
const USERS: usize = 4;
/// Points granted to each user.
const GRANTED: i64 = 100_000;
/// Price of a coupon in points.
const COUPON_PRICE: i64 = 100;

/// A request that was sent with a key: the user's number, path and body, and the final answer once it is known.
#[derive(Clone)]
struct Sent {
    user: usize,
    path: String,
    body: Value,
    answer: Option<(u16, Value)>,
}

/// All requests sent, by idempotency key.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<BTreeMap<String, Sent>>>);

impl Log {
    /// Sends a request with a key, records a final answer and returns it: null while undecided, `None` when the
    /// connection broke.
    async fn send(&self, client: &Client, key: &str, sent: Sent) -> Option<Value> {
        let Sent { path, body, .. } = self.0.lock().entry(key.to_owned()).or_insert(sent).clone();
        let answer = client.key(key).send("POST", &path, "application/json", body.to_string().into()).await.ok()?;
        let known = (answer.status, answer.json());
        if matches!(known.0, 202 | 503) || matches!(known.1["code"].as_str(), Some("IDEMPOTENCY_IN_PROGRESS")) {
            return Some(Value::Null);
        }
        assert!(matches!(known.0, 200 | 201 | 402 | 409), "{path}: {answer:?}");
        self.0.lock().get_mut(key)?.answer = Some(known.clone());
        Some(known.1)
    }

    /// Repeats the requests without a final answer until they have one.
    async fn settle(&self, users: &[Client]) {
        let open: Vec<(String, Sent)> = self.0.lock().iter().map(|(key, sent)| (key.clone(), sent.clone())).collect();
        for (key, sent) in open.into_iter().filter(|(_, sent)| sent.answer.is_none()) {
            while self.send(&users[sent.user], &key, sent.clone()).await.expect("the server runs").is_null() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The balance that a user must have: the points granted, less those spent on coupons and uncancelled orders.
    fn expected_balance(&self, user: usize) -> i64 {
        let log = self.0.lock();
        let successful = |path: &'static str, status: u16| {
            let of_path = log.values().filter(move |sent| sent.user == user && sent.path.ends_with(path));
            of_path
                .filter_map(|sent| sent.answer.clone())
                .filter(move |answer| answer.0 == status)
                .map(|answer| answer.1)
        };
        let cancelled: Vec<Value> = successful("/cancel", 200).map(|order| order["id"].clone()).collect();
        let live = successful("/api/orders", 201).filter(|order| !cancelled.contains(&order["id"]));
        let spent: i64 = live.map(|order| order["totals"]["pointsRedeemed"].as_i64().unwrap()).sum();
        let coupons = i64::try_from(successful("/redeem", 201).count()).unwrap();
        GRANTED - spent - coupons * COUPON_PRICE
    }
}

fn email(user: usize) -> String {
    format!("user{user}@example.com")
}

/// Orders, cancels and redeems points for coupons until the connection breaks. Counts `left` down with each order and
/// notifies when it reaches zero.
async fn load(client: Client, user: usize, name: String, entropy: Entropy, log: Log, left: Arc<(AtomicI64, Notify)>) {
    for number in 0.. {
        let key = format!("{name}-{number}");
        let token = if entropy.below(6) == 0 { "tok_declined" } else { "tok_visa" };
        let mut body = order_of(&[("P", 1)], token);
        body["pointsToRedeem"] = json!(1 + entropy.below(300));
        let order = Sent { user, path: "/api/orders".to_owned(), body, answer: None };
        let Some(order) = log.send(&client, &format!("{key}-o"), order).await else { return };
        if left.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            left.1.notify_one();
        }
        let (path, body) = match entropy.below(3) {
            0 if order["id"].is_i64() => (format!("/api/orders/{}/cancel", order["id"]), json!({"reason": "x"})),
            1 => ("/api/rewards/catalogue/1/redeem".to_owned(), json!({})),
            _ => continue,
        };
        if log.send(&client, &format!("{key}-x"), Sent { user, path, body, answer: None }).await.is_none() {
            return;
        }
    }
}

/// Creates a product, an offer of the rewards catalog, and users with points. A point is worth a penny; orders earn
/// none.
async fn prepare(process: &Process) {
    let admin = process.admin().await;
    admin.patch("/api/rewards/settings", &json!({"pointValue": "0.01", "pointsPerUnit": "0"})).await.expect(200);
    admin.post("/api/products", &json!({"sku": "P", "name": "P", "price": "5.00"})).await.expect(201);
    admin.put("/api/inventory/P", &json!({"onHand": 100_000})).await.expect(200);
    let promotion = json!({"name": "Trade", "couponOnly": true, "actions": [{"type": "FREE_SHIPPING"}]});
    let promotion = admin.post("/api/promotions", &promotion).await.expect(201)["id"].clone();
    let offer = json!({"name": "Trade", "points": COUPON_PRICE, "promotionId": promotion});
    assert_eq!(admin.post("/api/rewards/catalogue", &offer).await.expect(201)["id"], 1);
    for user in 0..USERS {
        let body = json!({"email": email(user), "password": PASSWORD});
        let registered = process.anyone.post("/api/auth/register", &body).await.expect(201);
        let path = format!("/api/rewards/account/{}/adjust", registered["user"]["id"]);
        admin.post(&path, &json!({"points": GRANTED, "reason": "a start"})).await.expect(200);
    }
}

async fn users(process: &Process) -> Vec<Client> {
    let mut users = Vec::new();
    for user in 0..USERS {
        users.push(log_in(&process.anyone, &email(user)).await);
    }
    users
}

async fn round(dir: &Path, number: u64, log: &Log, entropy: &Entropy) {
    let process = Process::start(dir).await;
    let users = users(&process).await;
    let left = Arc::new((AtomicI64::new(1 + i64::try_from(entropy.below(60)).unwrap()), Notify::new()));
    let work = |worker: u64| {
        let user = usize::try_from(worker).unwrap() % USERS;
        let (name, seeded) = (format!("r{number}-{worker}"), Entropy::seeded(number * 1_000 + worker));
        tokio::spawn(load(users[user].clone(), user, name, seeded, log.clone(), left.clone()))
    };
    let workers: Vec<_> = (0..WORKERS).map(work).collect();
    left.1.notified().await;
    process.kill().await;
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Waits until every user has the expected balance, as points of declined orders are restored with a delay.
async fn check(users: &[Client], log: &Log) {
    for (n, user) in users.iter().enumerate() {
        let id = user.get("/api/users/me").await.expect(200)["id"].clone();
        let path = format!("/api/rewards/account/{id}");
        while user.get(&path).await.expect(200)["balance"] != log.expected_balance(n) {
            tokio::task::yield_now().await;
        }
        let coupons = all(user, &format!("{path}/redemptions")).await;
        assert!(
            coupons.iter().all(|coupon| coupon["status"] == "ISSUED" && coupon["couponCode"].is_string()),
            "{coupons:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_neither_lose_nor_create_points() {
    let dir = tempfile::tempdir().unwrap();
    let (log, entropy) = (Log::default(), Entropy::seeded(500));
    let process = Process::start(dir.path()).await;
    prepare(&process).await;
    process.kill().await;
    for number in 0..ROUNDS {
        round(dir.path(), number, &log, &entropy).await;
        verify(dir.path());
        let process = Process::start(dir.path()).await;
        let users = users(&process).await;
        log.settle(&users).await;
        check(&users, &log).await;
        process.kill().await;
        verify(dir.path());
    }
}
