//! Kills: a real process is killed at any moment under load, started again, and asked again for all it had not answered.

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
/// Products, and how much of each there is.
const SKUS: [&str; 4] = ["K-1", "K-2", "K-3", "K-4"];
const STOCK: i64 = 200_000;

/// What is known of one request: its body, and the answer, once there was one.
#[derive(Clone)]
struct Asked {
    body: Value,
    answer: Option<(u16, Bytes)>,
}

/// Everything that was ever asked, by idempotency key.
type Asks = Arc<Mutex<BTreeMap<String, Asked>>>;

/// Places orders one after another until the connection breaks.
async fn load(client: Client, name: String, entropy: Entropy, asks: Asks, answered: Arc<Turnstile>) {
    for number in 0.. {
        let key = format!("{name}-{number}");
        let body = random_order(&entropy);
        asks.lock().insert(key.clone(), Asked { body: body.clone(), answer: None });
        let Some(answer) = ask(&client, &key, &body).await else { return };
        asks.lock().get_mut(&key).unwrap().answer = decided(&answer);
        answered.pass();
    }
}

/// One or two lines, mostly with a good card.
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

fn below(entropy: &Entropy, most: usize) -> usize {
    usize::try_from(entropy.below(most as u64)).unwrap()
}

async fn ask(client: &Client, key: &str, body: &Value) -> Option<Answer> {
    client.key(key).send("POST", "/api/orders", "application/json", body.to_string().into()).await.ok()
}

/// An answer, if it is final.
fn decided(answer: &Answer) -> Option<(u16, Bytes)> {
    match answer.status {
        201 | 402 => Some((answer.status, answer.bytes.clone())),
        202 | 503 => None,
        409 if answer.json()["code"] == "IDEMPOTENCY_IN_PROGRESS" => None,
        _ => panic!("{answer:?}"),
    }
}

/// Lets somebody wait until so many have passed.
struct Turnstile {
    left: AtomicUsize,
    empty: Notify,
}

impl Turnstile {
    fn of(passes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(passes), empty: Notify::new() })
    }

    fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.empty.notify_one();
        }
    }
}

async fn stock_up(admin: &Client) {
    for sku in SKUS {
        let product = json!({"sku": sku, "name": sku, "price": "1.25"});
        admin.post("/api/products", &product).await.expect(201);
        admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": STOCK})).await.expect(200);
    }
}

/// Asks again for every key whose answer is not known, and, of those known, whether it is still the same.
async fn ask_again(client: &Client, asks: &Asks) {
    let all: Vec<(String, Asked)> = asks.lock().iter().map(|(key, asked)| (key.clone(), asked.clone())).collect();
    for (key, asked) in all {
        let answer = loop {
            let answer = ask(client, &key, &asked.body).await.expect("it runs");
            if let Some(answer) = decided(&answer) {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        match &asked.answer {
            Some(before) => assert_eq!(before, &answer, "{key} had another answer before the kill"),
            None => asks.lock().get_mut(&key).unwrap().answer = Some(answer),
        }
    }
}

/// One order a key, none without one, every acknowledged one there, and the stock exactly less by what was sold.
async fn check(admin: &Client, asks: &Asks) {
    let orders: BTreeMap<i64, Value> =
        all(admin, "/api/orders").await.into_iter().map(|order| (order["id"].as_i64().unwrap(), order)).collect();
    let mut named = BTreeSet::new();
    let mut reserved = 0;
    let mut sold: BTreeMap<&str, i64> = SKUS.into_iter().map(|sku| (sku, 0)).collect();
    for (key, asked) in asks.lock().iter() {
        let (status, bytes) = asked.answer.as_ref().unwrap();
        let body: Value = serde_json::from_slice(bytes).unwrap();
        let id = if *status == 201 { body["id"].as_i64() } else { body["orderId"].as_i64() }.unwrap();
        assert!(named.insert(id), "{key}: order {id} has another key too");
        let order = orders.get(&id).unwrap_or_else(|| panic!("{key}: order {id} was acknowledged and is lost"));
        let expected = if *status == 201 { &body["status"] } else { &json!("FAILED") };
        assert_eq!(&order["status"], expected, "{key}");
        for line in order["lines"].as_array().unwrap().iter().filter(|_| *status == 201) {
            let units = line["quantity"].as_i64().unwrap();
            *sold.get_mut(line["sku"].as_str().unwrap()).unwrap() += units;
            reserved += if order["status"] == "PENDING" { units } else { 0 };
        }
    }
    assert_eq!(orders.keys().copied().collect::<BTreeSet<_>>(), named, "an order that nobody asked for");
    stock_is(admin, &sold, reserved).await;
}

/// Waits until only what waits for its buyer is reserved, then all that can be sold is what there was less what was.
async fn stock_is(admin: &Client, sold: &BTreeMap<&str, i64>, reserved: i64) {
    loop {
        let mut sums = (0, true);
        for (sku, sold) in sold {
            let row = admin.get(&format!("/api/inventory/{sku}")).await.expect(200);
            sums.0 += row["reserved"].as_i64().unwrap();
            sums.1 &= row["available"].as_i64() == Some(STOCK - sold);
        }
        if sums.0 == reserved {
            assert!(sums.1, "stock differs from what was sold: {sold:?}");
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn round(dir: &Path, number: u64, asks: &Asks, entropy: &Entropy) {
    let process = Process::start(dir).await;
    let answered = Turnstile::of(1 + below(entropy, 120));
    let mut workers = Vec::new();
    for worker in 0..CONNECTIONS {
        let client = Client::new(process.address);
        let (name, seed) = (format!("r{number}-{worker}"), number * 1_000 + worker as u64);
        workers.push(tokio::spawn(load(client, name, Entropy::seeded(seed), asks.clone(), answered.clone())));
    }
    answered.empty.notified().await;
    process.kill().await;
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_or_doubles_an_order() {
    let rounds = std::env::var("PROMOX_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (asks, entropy) = (Asks::default(), Entropy::seeded(20_101_201));
    let process = Process::start(dir.path()).await;
    stock_up(&process.admin().await).await;
    process.kill().await;
    for number in 0..rounds {
        round(dir.path(), number, &asks, &entropy).await;
        if number % 2 == 0 {
            verify(dir.path());
        }
        let process = Process::start(dir.path()).await;
        ask_again(&process.anyone, &asks).await;
        check(&process.admin().await, &asks).await;
        process.kill().await;
    }
    verify(dir.path());
    assert!(asks.lock().len() > CONNECTIONS * usize::try_from(rounds).unwrap());
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
async fn a_cut_connection_means_unknown_and_a_retry_tells() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    stock_up(&admin).await;
    let (asks, entropy) = (Asks::default(), Entropy::seeded(7));
    for number in 0..60 {
        let (key, body) = (format!("cut-{number}"), order_of(&[("K-1", 1)], "tok_visa"));
        let request = wire(&process.address.to_string(), &key, &body.to_string());
        let mut connection = tokio::net::TcpStream::connect(process.address).await.unwrap();
        // Every third request arrives whole, and the connection is cut while its answer is on the way.
        let sent = if number % 3 == 0 { request.len() } else { below(&entropy, request.len()) };
        connection.write_all(&request[..sent]).await.unwrap();
        if sent == request.len() {
            let mut begun = vec![0; below(&entropy, 200)];
            let _ = connection.read(&mut begun).await.unwrap();
        }
        drop(connection);
        asks.lock().insert(key, Asked { body, answer: None });
    }
    ask_again(&process.anyone, &asks).await;
    check(&admin, &asks).await;
    process.kill().await;
    verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_providers_do_not_keep_a_killed_shop_closed() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    stock_up(&admin).await;
    let body = order_of(&[("K-1", 1)], "tok_timeout");
    let silent: Vec<_> = (0..24)
        .map(|number| {
            let (client, body) = (Client::new(process.address), body.clone());
            tokio::spawn(async move { ask(&client, &format!("silent-{number}"), &body).await.is_none() })
        })
        .collect();
    while admin.get("/api/orders?status=PENDING&limit=200").await.expect(200)["items"].as_array().unwrap().len() < 24 {
        tokio::task::yield_now().await;
    }
    process.kill().await;
    for silent in silent {
        assert!(silent.await.unwrap(), "the provider was not silent");
    }
    let began = std::time::Instant::now();
    let process = Process::start(dir.path()).await;
    assert!(began.elapsed().as_secs() < 10, "ready only after {:?}", began.elapsed());
    process.kill().await;
    verify(dir.path());
}
