//! Webhooks over days: pauses between attempts, endpoints that are given up, secrets in rotation. Nothing listens at the
//! endpoint, so every attempt fails at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::shop::{Shop, confirmed};
use crate::webhooks::api::{
    CreateWebhook, GetWebhook, ListWebhookDeliveries, RedeliverWebhook, RotateWebhookSecret, UpdateWebhook,
};

/// An address of this machine at which nothing listens.
const DEAF: &str = "http://127.0.0.1:1/hooks";

/// Adds an endpoint for confirmed orders and returns its id.
async fn add(shop: &Shop) -> i64 {
    let created = shop.ask::<CreateWebhook>(json!({"url": DEAF, "events": ["ORDER_CONFIRMED"]})).await.unwrap();
    created["webhook"]["id"].as_i64().unwrap()
}

async fn get(shop: &Shop, id: i64) -> Value {
    shop.ask::<GetWebhook>(json!({"id": id})).await.unwrap()
}

/// The deliveries to an endpoint, newest first.
async fn deliveries(shop: &Shop, id: i64) -> Vec<Value> {
    let page = shop.ask::<ListWebhookDeliveries>(json!({"id": id})).await.unwrap();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_endpoint_that_accepts_nothing_for_three_days_is_disabled() {
    let shop = Shop::open();
    let id = add(&shop).await;
    shop.publish(1, confirmed(1)).await;
    shop.advance_and_work(Duration::from_secs(1)).await;
    let first = deliveries(&shop, id).await.remove(0);
    assert_eq!((&first["status"], first["attempts"].as_array().unwrap().len()), (&json!("FAILED"), 1), "{first}");
    assert!(get(&shop, id).await["failingSince"].is_string());
    // The next attempts come after 5 seconds and 5 minutes.
    for (pause, attempts) in [(4, 1), (2, 2), (240, 2), (61, 3)] {
        shop.advance_and_work(Duration::from_secs(pause)).await;
        let now = deliveries(&shop, id).await.remove(0);
        assert_eq!(now["attempts"].as_array().unwrap().len(), attempts, "{pause}");
    }
    for _ in 0..100 {
        shop.advance_and_work(Duration::from_hours(1)).await;
    }
    let dead = deliveries(&shop, id).await.remove(0);
    assert_eq!((&dead["status"], dead["attempts"].as_array().unwrap().len()), (&json!("DEAD"), 10));
    assert_eq!(get(&shop, id).await["status"], "DISABLED");
    let mails = shop.mails();
    assert_eq!(mails.iter().filter(|mail| mail.contains(DEAF)).count(), 1, "the merchant is told once: {mails:?}");
    // Nothing is sent to it until it is enabled again.
    shop.publish(2, confirmed(2)).await;
    let redeliver = json!({"id": id, "deliveryId": dead["id"]});
    assert_eq!(shop.ask::<RedeliverWebhook>(redeliver.clone()).await.unwrap_err().code(), "WEBHOOK_DISABLED");
    assert_eq!(deliveries(&shop, id).await.len(), 1);
    shop.ask::<UpdateWebhook>(json!({"id": id, "status": "ENABLED"})).await.unwrap();
    shop.ask::<RedeliverWebhook>(redeliver).await.unwrap();
    shop.publish(3, confirmed(3)).await;
    assert_eq!(deliveries(&shop, id).await.len(), 2);
    shop.verify();
}

#[tokio::test]
async fn at_most_one_earlier_secret_signs() {
    let shop = Shop::open();
    let id = add(&shop).await;
    let mut secrets = Vec::new();
    for _ in 0..3 {
        let rotated = shop.ask::<RotateWebhookSecret>(json!({"id": id})).await.unwrap();
        secrets.push(rotated["secret"].as_str().unwrap().to_owned());
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 3);
    let stored = shop.service.signing_secrets(id).await;
    assert_eq!(stored, [secrets[2].clone(), secrets[1].clone()]);
    shop.verify();
}
