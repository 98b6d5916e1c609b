//! Faults and kills between shipments and their captures: afterwards the provider has captured what was shipped and
//! kept, once, and nothing of what was not.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_kernel::Entropy;
use serde_json::{Value, json};

use super::faults::{Countdown, FAULTS, kill, start};
use super::provider::Provider;
use super::proxy::Proxy;
use super::{CardShop, VISA, WEBHOOK_SECRET, card_order};
use crate::client::Client;
use crate::process::verify;
use crate::shop::all;

const WORKERS: u64 = 4;
const ROUNDS: u64 = 3;

/// Posts a request; null if it was refused, an error if the connection broke.
async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, String> {
    let answer = client.send("POST", path, "application/json", body.to_string().into()).await?;
    Ok(if matches!(answer.status, 200 | 201) { answer.json() } else { Value::Null })
}

fn units(quantity: u64) -> Value {
    json!([{"sku": "A", "quantity": quantity}])
}

/// Places an order, ships a part of it, and ships, returns or leaves the rest. An error if the connection broke.
async fn trade(admin: &Client, key: &str, entropy: &Entropy) -> Result<(), String> {
    let quantity = 1 + entropy.below(3);
    let body = card_order(u32::try_from(quantity).unwrap(), VISA);
    let order = post(&admin.key(key), "/api/orders", &body).await?;
    if !order["id"].is_i64() {
        return Ok(());
    }
    let path = format!("/api/orders/{}", order["id"]);
    let first = 1 + entropy.below(quantity);
    let parcel = |quantity| json!({"items": units(quantity), "carrier": "Post", "trackingNumber": "1"});
    post(admin, &format!("{path}/fulfilments"), &parcel(first)).await?;
    if first < quantity && entropy.below(3) == 0 {
        post(admin, &format!("{path}/fulfilments"), &parcel(quantity - first)).await?;
    } else if entropy.below(2) == 0 {
        let returned = json!({"items": units((quantity - first + entropy.below(2)).max(1)), "reason": "not needed"});
        let asked = post(admin, &format!("{path}/returns"), &returned).await?;
        // A request that was refused has no id, and its approval is refused too.
        post(admin, &format!("{path}/returns/{}/approve", asked["id"]), &json!({})).await?;
    }
    Ok(())
}

/// The amount that the provider holds of each order, in minor units, and the number of intents that it has captured.
async fn held(provider: &Provider) -> BTreeMap<String, (i64, usize)> {
    let (intents, refunds) = provider.books().await;
    let mut held = BTreeMap::<String, (i64, usize)>::new();
    for intent in intents.iter().filter(|intent| intent["status"] == "succeeded") {
        let order = intent["metadata"]["promox_order"].as_str().unwrap().to_owned();
        let own = refunds.iter().filter(|refund| refund["charge"] == intent["latest_charge"]["id"]);
        let given_back: i64 = own.map(|refund| refund["amount"].as_i64().unwrap()).sum();
        let entry = held.entry(order).or_default();
        *entry = (entry.0 + intent["amount"].as_i64().unwrap() - given_back, entry.1 + 1);
    }
    held
}

/// What is to be held of an order, in minor units: the price of the goods that the buyer keeps, once no goods are left
/// to ship. Nothing is shipped after a return.
fn wanted(order: &Value) -> i64 {
    // Lists without items are left out.
    let list = |items: &Value| items.as_array().cloned().unwrap_or_default();
    let sum = |items: &Value| list(items).iter().map(|item| item["quantity"].as_i64().unwrap()).sum::<i64>();
    let ordered = sum(&order["lines"]);
    let shipped: i64 = list(&order["fulfilments"]).iter().map(|parcel| sum(&parcel["items"])).sum();
    let approved = |given: &&Value| given["status"] == "APPROVED";
    let returned: i64 = list(&order["returns"]).iter().filter(approved).map(|given| sum(&given["items"])).sum();
    let withdrawn = returned.min(ordered - shipped);
    if shipped > 0 && shipped + withdrawn == ordered { 1_000 * (ordered - returned) } else { 0 }
}

/// Waits until the provider holds what every order is to be charged. Returns how many orders were charged.
async fn compare(admin: &Client, provider: &Provider) -> usize {
    loop {
        let mut orders = Vec::new();
        for order in all(admin, "/api/orders").await {
            orders.push(admin.get(&format!("/api/orders/{}", order["id"])).await.expect(200));
        }
        let held = held(provider).await;
        assert!(held.values().all(|(_, captures)| *captures == 1), "an order was captured twice: {held:?}");
        let differs = |order: &&Value| {
            let is_held = held.get(&order["id"].to_string()).map_or(0, |(amount, _)| *amount);
            is_held != wanted(order)
        };
        if !orders.iter().any(|order| differs(&order)) {
            return held.len();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_parcel_captures_what_was_shipped_and_releases_the_rest() {
    let cards = CardShop::start().await;
    let admin = &cards.shop.admin;
    admin.patch("/api/settings/payments", &json!({"captureAt": "SHIPMENT"})).await.expect(200);
    let order = cards.order(3, VISA).await.expect(201);
    assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("CONFIRMED"), &json!("AUTHORIZED")));
    assert_eq!(cards.intent(&order["id"]).await["status"], "requires_capture");
    let path = format!("/api/orders/{}", order["id"]);
    let parcel = json!({"items": units(1), "carrier": "Post", "trackingNumber": "1"});
    admin.post(&format!("{path}/fulfilments"), &parcel).await.expect(201);
    admin.post(&format!("{path}/fulfilments"), &parcel).await.expect(201);
    // Three units are returned or cancelled: the two that the buyer has, and the one that was never shipped.
    let asked = json!({"items": units(3), "reason": "not needed"});
    let asked = admin.post(&format!("{path}/returns"), &asked).await.expect(201);
    let terms = json!({"fee": "4.00"});
    admin.post(&format!("{path}/returns/{}/approve", asked["id"]), &terms).await.expect(200);
    let payment = cards.wait_for(&order["id"], "CAPTURED").await;
    assert_eq!((&payment["captured"], &payment["voided"]), (&json!("4.00"), &json!("26.00")));
    assert_eq!(held(&cards.provider).await[&order["id"].to_string()], (400, 1));
    // One unit is shipped and the other cancelled, so that nothing is left to ship.
    let part = cards.order(2, VISA).await.expect(201);
    let path = format!("/api/orders/{}", part["id"]);
    admin.post(&format!("{path}/fulfilments"), &parcel).await.expect(201);
    let asked = json!({"items": units(1), "reason": "not needed"});
    let asked = admin.post(&format!("{path}/returns"), &asked).await.expect(201);
    admin.post(&format!("{path}/returns/{}/approve", asked["id"]), &json!({})).await.expect(200);
    let payment = cards.wait_for(&part["id"], "CAPTURED").await;
    assert_eq!((&payment["captured"], &payment["voided"]), (&json!("10.00"), &json!("10.00")));
    assert_eq!(held(&cards.provider).await[&part["id"].to_string()], (1_000, 1));
    let cancelled = cards.order(1, VISA).await.expect(201);
    let void = format!("/api/payments/{}/void", cancelled["payment"]["id"]);
    assert_eq!(admin.post(&void, &json!({})).await.expect(200)["status"], "VOIDED");
    assert_eq!(cards.intent(&cancelled["id"]).await["status"], "canceled");
    cards.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_kills_between_shipment_and_capture_capture_once() {
    let provider = Provider::start().await;
    let proxy = Proxy::start(&provider.url, Entropy::seeded(20_261_130)).await;
    let hook = json!({"url": format!("{}/hooks", proxy.url), "secret": WEBHOOK_SECRET});
    assert_eq!(provider.post("/_config/webhooks/shop", &hook).await.0, 200);
    let dir = tempfile::tempdir().unwrap();
    let process = start(dir.path(), &proxy).await;
    let admin = process.admin().await;
    admin.post("/api/products", &json!({"sku": "A", "name": "A", "price": "10.00"})).await.expect(201);
    admin.put("/api/inventory/A", &json!({"onHand": 100_000})).await.expect(200);
    admin.patch("/api/settings/payments", &json!({"captureAt": "SHIPMENT"})).await.expect(200);
    kill(process, &proxy).await;
    for round in 0..ROUNDS {
        proxy.inject(FAULTS);
        let process = start(dir.path(), &proxy).await;
        let admin = process.admin().await;
        let done = Arc::new(Countdown::new(6 + usize::try_from(3 * round).unwrap()));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (admin, done) = (admin.clone(), done.clone());
                tokio::spawn(async move {
                    let entropy = Entropy::seeded(100 * round + worker);
                    for number in 0.. {
                        if trade(&admin, &format!("s{round}-{worker}-{number}"), &entropy).await.is_err() {
                            return;
                        }
                        done.count_down();
                    }
                })
            })
            .collect();
        done.reached().await;
        kill(process, &proxy).await;
        for worker in workers {
            worker.await.unwrap();
        }
    }
    proxy.inject(0);
    let process = start(dir.path(), &proxy).await;
    let admin = process.admin().await;
    let charged = compare(&admin, &provider).await;
    assert!(charged > 0 && proxy.delivered() > 0, "{charged} charged, {} webhooks", proxy.delivered());
    kill(process, &proxy).await;
    verify(dir.path());
}
