//! Kills during checkout: a process is killed at any moment under load and started again, and all requests are
//! repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::client::{Answer, Client};
use crate::process::{Process, verify};
use crate::shop::{all, order_of};

const CONNECTIONS: usize = 16;
const SKUS: [&str; 4] = ["K-1", "K-2", "K-3", "K-4"];
/// Units of each SKU in stock.
const STOCK: i64 = 200_000;

/// A request that was sent: its body, and its final answer once it is known.
#[derive(Clone)]
struct Sent {
    body: Value,
    answer: Option<(u16, Bytes)>,
}

/// All requests sent, by idempotency key.
type Requests = Arc<Mutex<BTreeMap<String, Sent>>>;

/// Places orders one after another until the connection breaks.
async fn load(client: Client, name: String, entropy: Entropy, requests: Requests, answered: Arc<Countdown>) {
    for number in 0.. {
        let key = format!("{name}-{number}");
        let body = random_order(&entropy);
        requests.lock().insert(key.clone(), Sent { body: body.clone(), answer: None });
        let Some(answer) = place(&client, &key, &body).await else { return };
        requests.lock().get_mut(&key).unwrap().answer = final_answer(&answer);
        answered.count_down();
    }
}

/// An order of one or two lines, mostly with a valid card.
fn random_order(entropy: &Entropy) -> Value {
    let first = below(entropy, SKUS.len());
    let lines = [(SKUS[first], 1 + below(entropy, 3)), (SKUS[(first + 1) % SKUS.len()], 1)];
    let lines: Vec<(&str, u32)> =
        lines.iter().map(|(sku, quantity)| (*sku, u32::try_from(*quantity).unwrap())).collect();
    let token = match below(entropy, 12) {
        0 => "tok_declined",
        1 => "tok_flaky",
        2 => "tok_requires_action",
        _ => "tok_visa",
    };
    order_of(&lines[..=below(entropy, 2)], token)
}

/// A random number below `bound`.
fn below(entropy: &Entropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).unwrap()
}

/// Sends an order under a key; `None` when the connection broke.
async fn place(client: &Client, key: &str, body: &Value) -> Option<Answer> {
    client.key(key).send("POST", "/api/orders", "application/json", body.to_string().into()).await.ok()
}

/// Status and body of an answer if it is final.
fn final_answer(answer: &Answer) -> Option<(u16, Bytes)> {
    match answer.status {
        201 | 402 => Some((answer.status, answer.bytes.clone())),
        202 | 503 => None,
        409 if answer.json()["code"] == "IDEMPOTENCY_IN_PROGRESS" => None,
        _ => panic!("{answer:?}"),
    }
}

/// Lets a task wait until a number of answers have arrived.
struct Countdown {
    left: AtomicUsize,
    reached: Notify,
}

impl Countdown {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(count), reached: Notify::new() })
    }

    fn count_down(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.reached.notify_one();
        }
    }
}

/// Creates the products, with stock.
async fn create_products(admin: &Client) {
    for sku in SKUS {
        let product = json!({"sku": sku, "name": sku, "price": "1.25"});
        admin.post("/api/products", &product).await.expect(201);
        admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": STOCK})).await.expect(200);
    }
}

/// Repeats all requests until every answer is final, and checks that final answers stay the same.
async fn settle(client: &Client, requests: &Requests) {
    let all: Vec<(String, Sent)> = requests.lock().iter().map(|(key, sent)| (key.clone(), sent.clone())).collect();
    for (key, sent) in all {
        let answer = loop {
            let answer = place(client, &key, &sent.body).await.expect("the server runs");
            if let Some(answer) = final_answer(&answer) {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        match &sent.answer {
            Some(before) => assert_eq!(before, &answer, "{key}: the answer differs from the one before the kill"),
            None => requests.lock().get_mut(&key).unwrap().answer = Some(answer),
        }
    }
}

/// Checks that there is exactly one order per key, that no acknowledged order is lost, and that the stock is reduced by
/// exactly what was sold.
async fn check(admin: &Client, requests: &Requests) {
    let orders: BTreeMap<i64, Value> =
        all(admin, "/api/orders").await.into_iter().map(|order| (order["id"].as_i64().unwrap(), order)).collect();
    let mut known = BTreeSet::new();
    let mut reserved = 0;
    let mut sold: BTreeMap<&str, i64> = SKUS.into_iter().map(|sku| (sku, 0)).collect();
    for (key, sent) in requests.lock().iter() {
        let (status, bytes) = sent.answer.as_ref().unwrap();
        let body: Value = serde_json::from_slice(bytes).unwrap();
        let id = if *status == 201 { body["id"].as_i64() } else { body["orderId"].as_i64() }.unwrap();
        assert!(known.insert(id), "{key}: order {id} also has another key");
        let order = orders.get(&id).unwrap_or_else(|| panic!("{key}: order {id} was acknowledged but is lost"));
        let expected = if *status == 201 { &body["status"] } else { &json!("FAILED") };
        assert_eq!(&order["status"], expected, "{key}");
        for line in order["lines"].as_array().unwrap().iter().filter(|_| *status == 201) {
            let units = line["quantity"].as_i64().unwrap();
            *sold.get_mut(line["sku"].as_str().unwrap()).unwrap() += units;
            reserved += if order["status"] == "PENDING" { units } else { 0 };
        }
    }
    assert_eq!(orders.keys().copied().collect::<BTreeSet<_>>(), known, "there is an order that no request placed");
    wait_for_stock(admin, &sold, reserved).await;
}

/// Waits until only `reserved` units, of pending orders, are reserved, and checks the available stock.
async fn wait_for_stock(admin: &Client, sold: &BTreeMap<&str, i64>, reserved: i64) {
    loop {
        let (mut total_reserved, mut available_matches) = (0, true);
        for (sku, sold) in sold {
            let row = admin.get(&format!("/api/inventory/{sku}")).await.expect(200);
            total_reserved += row["reserved"].as_i64().unwrap();
            available_matches &= row["available"].as_i64() == Some(STOCK - sold);
        }
        if total_reserved == reserved {
            assert!(available_matches, "the stock does not match what was sold: {sold:?}");
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn round(dir: &Path, number: u64, requests: &Requests, entropy: &Entropy) {
    let process = Process::start(dir).await;
    let answered = Countdown::new(1 + below(entropy, 120));
    let mut workers = Vec::new();
    for worker in 0..CONNECTIONS {
        let client = Client::new(process.address);
        let (name, seed) = (format!("r{number}-{worker}"), number * 1_000 + worker as u64);
        workers.push(tokio::spawn(load(client, name, Entropy::seeded(seed), requests.clone(), answered.clone())));
    }
    answered.reached.notified().await;
    process.kill().await;
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_or_doubles_an_order() {
    let rounds = std::env::var("PROMOX_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (requests, entropy) = (Requests::default(), Entropy::seeded(20_101_201));
    let process = Process::start(dir.path()).await;
    create_products(&process.admin().await).await;
    process.kill().await;
    for number in 0..rounds {
        round(dir.path(), number, &requests, &entropy).await;
        if number % 2 == 0 {
            verify(dir.path());
        }
        let process = Process::start(dir.path()).await;
        settle(&process.anyone, &requests).await;
        check(&process.admin().await, &requests).await;
        process.kill().await;
    }
    verify(dir.path());
    assert!(requests.lock().len() > CONNECTIONS * usize::try_from(rounds).unwrap());
}

/// The bytes of a request as they go over the wire.
fn wire(address: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /api/orders HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_cut_connection_learns_the_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    create_products(&admin).await;
    let (requests, entropy) = (Requests::default(), Entropy::seeded(7));
    for number in 0..60 {
        let (key, body) = (format!("cut-{number}"), order_of(&[("K-1", 1)], "tok_visa"));
        let request = wire(&process.address.to_string(), &key, &body.to_string());
        let mut connection = tokio::net::TcpStream::connect(process.address).await.unwrap();
        // Every third request arrives whole, and its connection is cut during the response.
        let sent = if number % 3 == 0 { request.len() } else { below(&entropy, request.len()) };
        connection.write_all(&request[..sent]).await.unwrap();
        if sent == request.len() {
            let mut partial = vec![0; below(&entropy, 200)];
            let _ = connection.read(&mut partial).await.unwrap();
        }
        drop(connection);
        requests.lock().insert(key, Sent { body, answer: None });
    }
    settle(&process.anyone, &requests).await;
    check(&admin, &requests).await;
    process.kill().await;
    verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_payment_providers_do_not_delay_the_start_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    create_products(&admin).await;
    let body = order_of(&[("K-1", 1)], "tok_timeout");
    let requests: Vec<_> = (0..24)
        .map(|number| {
            let (client, body) = (Client::new(process.address), body.clone());
            tokio::spawn(async move { place(&client, &format!("silent-{number}"), &body).await.is_none() })
        })
        .collect();
    while admin.get("/api/orders?status=PENDING&limit=200").await.expect(200)["items"].as_array().unwrap().len() < 24 {
        tokio::task::yield_now().await;
    }
    process.kill().await;
    for request in requests {
        assert!(request.await.unwrap(), "the provider answered");
    }
    let started = std::time::Instant::now();
    let process = Process::start(dir.path()).await;
    assert!(started.elapsed().as_secs() < 10, "ready only after {:?}", started.elapsed());
    process.kill().await;
    verify(dir.path());
}
