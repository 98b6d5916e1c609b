//! Kills while orders are cancelled, refunded and shipped: each effect happens exactly once, whatever was interrupted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::Client;
use crate::process::{Process, verify};
use crate::shop::{all, order_of};

const CONNECTIONS: u64 = 16;
const ROUNDS: u64 = 4;
const STOCK: i64 = 50_000;

/// A request that was sent with a key, and its final answer once it is known.
#[derive(Clone)]
struct Sent {
    path: String,
    body: Value,
    answer: Option<(u16, Bytes)>,
}

/// All requests sent, by idempotency key.
type Log = Arc<Mutex<BTreeMap<String, Sent>>>;

/// Sends a request with a key, records a final answer and returns it: null while undecided, `None` when the connection
/// broke.
async fn send(client: &Client, log: &Log, key: &str, path: &str, body: &Value) -> Option<Value> {
    log.lock().entry(key.to_owned()).or_insert(Sent { path: path.to_owned(), body: body.clone(), answer: None });
    let sent = client.key(key).send("POST", path, "application/json", body.to_string().into()).await;
    let answer = sent.ok()?;
    if matches!(answer.status, 202 | 503) || answer.json()["code"] == "IDEMPOTENCY_IN_PROGRESS" {
        return Some(Value::Null);
    }
    assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
    let known = (answer.status, answer.bytes.clone());
    let before = log.lock().get_mut(key).and_then(|sent| sent.answer.replace(known.clone()));
    assert!(before.is_none_or(|before| before == known), "{key}: the answer differs from the one before the kill");
    Some(answer.json())
}

/// The path and body of a random operation on an order, or none.
fn after_sale(order: &Value, kind: u64) -> Option<(String, Value)> {
    match kind {
        0 => Some((format!("/api/orders/{}/cancel", order["id"]), json!({"reason": "changed"}))),
        1 => Some((
            format!("/api/payments/{}/refunds", order["payment"]["id"]),
            json!({"amount": "0.50", "reason": "sorry"}),
        )),
        2 => Some((
            format!("/api/orders/{}/fulfilments", order["id"]),
            json!({"carrier": "Post", "trackingNumber": "1"}),
        )),
        _ => None,
    }
}

/// Places orders, each followed by a random operation, until the connection breaks. Counts `left` down with each order
/// and notifies when it reaches zero.
async fn load(client: Client, name: String, entropy: Entropy, log: Log, left: Arc<(AtomicUsize, Notify)>) {
    for number in 0.. {
        let body = order_of(&[("A", 1 + u32::try_from(entropy.below(3)).unwrap())], "tok_visa");
        let Some(order) = send(&client, &log, &format!("{name}-{number}"), "/api/orders", &body).await else { return };
        let kind = entropy.below(4);
        if order.is_null() {
            continue;
        }
        if let Some((path, body)) = after_sale(&order, kind)
            && send(&client, &log, &format!("{name}-{number}-{kind}"), &path, &body).await.is_none()
        {
            return;
        }
        if left.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            left.1.notify_one();
        }
    }
}

/// Repeats all requests until every answer is final, and checks that final answers stay the same.
async fn settle(admin: &Client, log: &Log) {
    let sent: Vec<(String, Sent)> = log.lock().iter().map(|(key, sent)| (key.clone(), sent.clone())).collect();
    for (key, sent) in sent {
        while send(admin, log, &key, &sent.path, &sent.body).await.expect("the server runs").is_null() {
            tokio::task::yield_now().await;
        }
    }
}

/// The expected status of an order and refunded amount of its payment, by the requests that were sent.
fn expected(log: &Log, key: &str) -> (&'static str, &'static str) {
    let was_sent = |kind: u64| log.lock().contains_key(&format!("{key}-{kind}"));
    match (was_sent(0), was_sent(1), was_sent(2)) {
        (true, ..) => ("CANCELLED", "all"),
        (_, true, _) => ("CONFIRMED", "0.50"),
        (.., true) => ("SHIPPED", "0.00"),
        _ => ("CONFIRMED", "0.00"),
    }
}

/// Checks the status and refunds of every order, and that the stock is reduced by exactly the units of uncancelled
/// orders.
async fn check(admin: &Client, log: &Log) {
    let keys: Vec<(String, Value)> = log
        .lock()
        .iter()
        .filter(|(_, sent)| sent.path == "/api/orders")
        .map(|(key, sent)| (key.clone(), serde_json::from_slice(&sent.answer.as_ref().unwrap().1).unwrap()))
        .collect();
    let by_id = |rows: Vec<Value>| rows.into_iter().map(|row| (row["id"].to_string(), row)).collect::<BTreeMap<_, _>>();
    let orders = by_id(all(admin, "/api/orders").await);
    let payments = by_id(all(admin, "/api/payments").await);
    assert_eq!((orders.len(), payments.len()), (keys.len(), keys.len()), "one order and one payment per key");
    let mut sold = 0;
    for (key, placed) in &keys {
        let (status, refunded) = expected(log, key);
        let payment = &payments[&placed["payment"]["id"].to_string()];
        assert_eq!(orders[&placed["id"].to_string()]["status"], status, "{key}");
        let refunded = if refunded == "all" { payment["captured"].as_str().unwrap() } else { refunded };
        assert_eq!(payment["refunded"], refunded, "{key}: {payment}");
        sold += if status == "CANCELLED" { 0 } else { placed["lines"][0]["quantity"].as_i64().unwrap() };
    }
    loop {
        let stock = admin.get("/api/inventory/A").await.expect(200);
        if stock["reserved"] == 0 {
            return assert_eq!(stock["onHand"], STOCK - sold, "the stock is reduced by exactly what was sold");
        }
        tokio::task::yield_now().await;
    }
}

async fn round(dir: &Path, number: u64, log: &Log, entropy: &Entropy) {
    let process = Process::start(dir).await;
    let admin = process.admin().await;
    let left = Arc::new((AtomicUsize::new(1 + usize::try_from(entropy.below(80)).unwrap()), Notify::new()));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|worker| {
            let seeded = Entropy::seeded(number * 1_000 + worker);
            tokio::spawn(load(admin.clone(), format!("r{number}-{worker}"), seeded, log.clone(), left.clone()))
        })
        .collect();
    left.1.notified().await;
    process.kill().await;
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_neither_lose_nor_repeat_cancels_refunds_and_shipments() {
    let dir = tempfile::tempdir().unwrap();
    let (log, entropy) = (Log::default(), Entropy::seeded(20_101_209));
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    admin.post("/api/products", &json!({"sku": "A", "name": "A", "price": "1.25"})).await.expect(201);
    admin.put("/api/inventory/A", &json!({"onHand": STOCK})).await.expect(200);
    process.kill().await;
    for number in 0..ROUNDS {
        round(dir.path(), number, &log, &entropy).await;
        verify(dir.path());
        let process = Process::start(dir.path()).await;
        let admin = process.admin().await;
        settle(&admin, &log).await;
        check(&admin, &log).await;
        process.kill().await;
    }
    verify(dir.path());
}
