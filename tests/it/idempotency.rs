//! Idempotency keys: which responses are stored and replayed, which are not, and how concurrent requests with one key
//! are answered.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

/// Sends an order as raw bytes.
async fn send(client: &Client, media_type: &str, body: Bytes) -> Answer {
    client.send("POST", "/api/orders", media_type, body).await.unwrap()
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_are_not_stored_under_their_key() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    let valid = order_of(&[("A", 1)], "tok_visa");
    let invalid: [(&str, u16, &str, Bytes); 4] = [
        ("malformed", 400, "application/json", "{\"items\":".into()),
        ("large", 413, "application/json", format!("{{\"note\":\"{}\"}}", "x".repeat(2 << 20)).into()),
        ("media", 415, "text/plain", valid.to_string().into()),
        ("schema", 422, "application/json", "{\"itmes\":[]}".into()),
    ];
    for (key, status, media_type, body) in invalid {
        let keyed = shop.anyone.key(key);
        assert_eq!(send(&keyed, media_type, body).await.status, status, "{key}");
        let placed = keyed.post("/api/orders", &valid).await;
        assert_eq!((placed.status, is_replayed(&placed)), (201, false), "{key}: {placed:?}");
    }
    let keyed = shop.anyone.key("credentials");
    keyed.bearer("nobody").post("/api/orders", &valid).await.refused(401, "TOKEN_INVALID");
    keyed.post("/api/orders", &valid).await.expect(201);
    let customer = shop.customer("ann@example.com").await.key("rights");
    let adjust = json!({"delta": 1, "reason": "found"});
    customer.post("/api/inventory/A/adjustments", &adjust).await.refused(403, "FORBIDDEN");
    let admin = shop.admin.key("absent");
    admin.post("/api/inventory/NONE/adjustments", &adjust).await.expect(404);
    admin.post("/api/inventory/A/adjustments", &adjust).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decided_orders_are_replayed_also_after_a_restart() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    let coupon = |code: &str| {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["couponCode"] = json!(code);
        order
    };
    let cases: [(&str, Value, u16, &str); 4] = [
        ("declined", order_of(&[("A", 1)], "tok_declined"), 402, "PAYMENT_DECLINED"),
        ("short", order_of(&[("A", 9)], "tok_visa"), 409, "INSUFFICIENT_STOCK"),
        ("coupon", coupon("LATER"), 422, "COUPON_INVALID"),
        ("placed", order_of(&[("A", 1)], "tok_visa"), 201, ""),
    ];
    let mut first = Vec::new();
    for (key, body, status, code) in &cases {
        let answer = shop.anyone.key(key).post("/api/orders", body).await;
        assert_eq!(answer.expect(*status)["code"].as_str().unwrap_or_default(), *code, "{key}");
        first.push(answer);
    }
    // The orders would now succeed, but their keys replay the stored refusals.
    shop.set_stock("A", 100).await;
    let off = json!([{"type": "PERCENT_OFF", "value": "10"}]);
    let promotion = json!({"name": "P", "couponOnly": true, "actions": off});
    let id = shop.admin.post("/api/promotions", &promotion).await.expect(201)["id"].clone();
    shop.admin.post(&format!("/api/promotions/{id}/activate"), &json!({})).await.expect(200);
    shop.admin.post("/api/coupons", &json!({"code": "LATER", "promotionId": id})).await.expect(201);
    let shop = shop.restart().await;
    for ((key, body, status, _), first) in cases.iter().zip(&first) {
        let again = shop.anyone.key(key).post("/api/orders", body).await;
        assert_eq!((again.status, &again.bytes, is_replayed(&again)), (*status, &first.bytes, true), "{key}");
        let other = order_of(&[("A", 2)], "tok_visa");
        shop.anyone.key(key).post("/api/orders", &other).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        // The same key of another caller is independent.
        let own = shop.customer(&format!("{key}@example.com")).await.key(key).post("/api/orders", &other).await;
        assert_eq!(own.expect(201)["status"], "CONFIRMED");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_reports_the_pending_order_until_it_is_decided() {
    let shop = Shop::start_with(&[("PROMOX_PAYMENT__TIMEOUT_MS", "1500")]).await;
    shop.product("A", "10.00", 5).await;
    let (buyer, body) = (shop.anyone.key("one"), order_of(&[("A", 1)], "tok_timeout"));
    let (client, sent) = (buyer.own_connection(), body.clone());
    let first = tokio::spawn(async move { client.post("/api/orders", &sent).await });
    while shop.admin.get("/api/orders?status=PENDING").await.expect(200)["items"].get(0).is_none() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        let repeated = buyer.own_connection().post("/api/orders", &body).await;
        repeated.refused(409, "IDEMPOTENCY_IN_PROGRESS");
        assert_eq!(repeated.headers["retry-after"], "1");
    }
    let first = first.await.unwrap();
    let pending = first.expect(202);
    assert_eq!(pending["status"], "PENDING");
    let decided = loop {
        let again = buyer.post("/api/orders", &body).await;
        assert_eq!(again.json()["id"], pending["id"]);
        match again.status {
            202 => assert!(!is_replayed(&again)),
            _ => break again,
        }
    };
    assert_eq!(decided.expect(201)["status"], "CONFIRMED");
    let again = buyer.post("/api/orders", &body).await;
    assert_eq!((again.status, &again.bytes, is_replayed(&again)), (201, &decided.bytes, true));
    assert_eq!(shop.settled_stock("A").await, 4);
    shop.close().await;
}
