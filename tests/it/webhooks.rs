//! Webhooks to the merchant: signatures as Standard Webhooks' own library checks them, retries, redirects, and targets
//! that are refused.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::description::Description;
use crate::eureka_clients::installed;
use crate::promotions::{activate, percent};
use crate::receiver::{Received, Receiver};
use crate::shop::{Shop, order_of};

/// Verifies a message with the library `standardwebhooks`. Returns whether the secret has signed it.
pub(crate) fn is_signed(secret: &str, message: &Received) -> bool {
    let script = "import json, sys\n\
                  from standardwebhooks.webhooks import Webhook\n\
                  given = json.load(sys.stdin)\n\
                  Webhook(given['secret']).verify(given['body'], given['headers'])\n";
    let mut child = std::process::Command::new(installed().join("venv/bin/python"))
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let given = json!({"secret": secret, "body": message.text(), "headers": message.headers});
    serde_json::to_writer(child.stdin.take().unwrap(), &given).unwrap();
    child.wait().unwrap().success()
}

/// A shop that may send webhooks to this machine, with a product.
async fn shop() -> Shop {
    let shop = Shop::start_with(&[("PROMOX_WEBHOOKS__NETWORKS", "127.0.0.0/8")]).await;
    shop.product("A", "10.00", 100).await;
    shop
}

/// Adds an endpoint and returns it with its secret.
async fn add(shop: &Shop, url: &str, events: Value) -> (Value, String) {
    let created = shop.admin.post("/api/webhooks", &json!({"url": url, "events": events})).await.expect(201);
    (created["webhook"].clone(), created["secret"].as_str().unwrap().to_owned())
}

/// Waits until the newest delivery to an endpoint has a status and returns it.
async fn delivery(shop: &Shop, endpoint: &Value, status: &str) -> Value {
    loop {
        let page = shop.admin.get(&format!("/api/webhooks/{}/deliveries", endpoint["id"])).await.expect(200);
        if page["items"][0]["status"] == status {
            return page["items"][0].clone();
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until messages of all these types were received, each of which `/openapi.json` must describe as it was sent.
async fn described(shop: &Shop, receiver: &Receiver, wanted: &[&str]) {
    let description = Description::read(&shop.anyone.get("/openapi.json").await.bytes).unwrap();
    let (mut seen, mut count) = (BTreeSet::new(), 0);
    while !wanted.iter().all(|kind| seen.contains(*kind)) {
        let new: Vec<Received> = receiver.received.lock().iter().skip(count).cloned().collect();
        count += new.len();
        for message in new {
            seen.insert(
                description.contradicts_message(&message).unwrap_or_else(|fault| panic!("{fault}: {message:?}")),
            );
        }
        tokio::task::yield_now().await;
    }
}

async fn order(shop: &Shop) -> Value {
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_signed_filtered_and_delivered_once() {
    let (shop, receiver) = (shop().await, Receiver::start().await);
    let (orders, secret) = add(&shop, &receiver.url("/orders"), json!(["ORDER_CONFIRMED"])).await;
    add(&shop, &receiver.url("/all"), json!([])).await;
    let placed = order(&shop).await;
    let message = receiver.wait_for("/orders", 1).await.remove(0);
    let body: Value = message.json();
    assert_eq!((&body["type"], &body["aggregateId"]), (&json!("ORDER_CONFIRMED"), &placed["id"]));
    assert_eq!(message.headers["webhook-id"], body["id"]);
    assert!(is_signed(&secret, &message));
    let forged = Received { body: message.text().replace("CONFIRMED", "CANCELLED").into_bytes(), ..message.clone() };
    assert!(!is_signed(&secret, &forged), "another body is not signed");
    let all = receiver.wait_for("/all", 3).await;
    let kinds: Vec<String> = all.iter().map(|it| it.json()["type"].as_str().unwrap().into()).collect();
    assert!(kinds.contains(&"ORDER_CREATED".to_owned()) && kinds.contains(&"PAYMENT_CAPTURED".to_owned()), "{kinds:?}");
    // A new secret signs at once, and the old one for a day more.
    let path = format!("/api/webhooks/{}", orders["id"]);
    let rotated = shop.admin.post(&format!("{path}/secret"), &json!({})).await.expect(200);
    let new = rotated["secret"].as_str().unwrap();
    let sent = shop.admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!((&sent["event"], &sent["status"]), (&json!("TEST"), &json!("PENDING")));
    let message = receiver.wait_for("/orders", 2).await.remove(1);
    assert!(is_signed(&secret, &message) && is_signed(new, &message));
    let logged = delivery(&shop, &orders, "SENT").await;
    assert_eq!((&logged["message"], &logged["attempts"][0]["status"]), (&sent["message"], &json!(204)));
    assert_eq!(receiver.wait_for("/orders", 2).await.len(), 2, "each event once");
    // Neither a list nor the audit log shows a secret.
    for path in ["/api/webhooks", &path, "/api/audit?action=webhook.create"] {
        let shown = String::from_utf8_lossy(&shop.admin.get(path).await.bytes).into_owned();
        assert!(!shown.contains("whsec_"), "{path}");
    }
    let shop = shop.restart().await;
    order(&shop).await;
    receiver.wait_for("/orders", 3).await;
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.admin.get(&path).await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_each_message_as_it_is_sent() {
    let (shop, receiver) = (shop().await, Receiver::start().await);
    let (endpoint, _) = add(&shop, &receiver.url("/all"), json!([])).await;
    let (admin, none) = (&shop.admin, json!({}));
    let ada = shop.customer("ada@example.com").await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    admin.post("/api/coupons", &json!({"code": "TEN", "promotionId": ten})).await.expect(201);
    let campaign = admin.post("/api/campaigns", &json!({"name": "C"})).await.expect(201);
    for to in ["ACTIVE", "PAUSED", "ENDED"] {
        let path = format!("/api/campaigns/{}/transitions", campaign["id"]);
        admin.post(&path, &json!({"to": to})).await.expect(200);
    }
    let mut body = order_of(&[("A", 2)], "tok_visa");
    body["couponCode"] = json!("TEN");
    let shipped = ada.post("/api/orders", &body).await.expect(201);
    let path = format!("/api/orders/{}", shipped["id"]);
    let parcel = json!({"items": [{"sku": "A", "quantity": 2}], "carrier": "Post", "trackingNumber": "1"});
    let parcel = admin.post(&format!("{path}/fulfilments"), &parcel).await.expect(201);
    admin.post(&format!("{path}/fulfilments/{}/deliver", parcel["id"]), &none).await.expect(200);
    let items = json!({"items": [{"sku": "A", "quantity": 1}], "reason": "too small"});
    let requested = admin.post(&format!("{path}/returns"), &items).await.expect(201);
    admin.post(&format!("{path}/returns/{}/approve", requested["id"]), &none).await.expect(200);
    let cancelled = ada.post("/api/orders", &body).await.expect(201);
    admin.post(&format!("/api/orders/{}/cancel", cancelled["id"]), &json!({"reason": "no"})).await.expect(200);
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_declined")).await.expect(402);
    admin.post(&format!("/api/webhooks/{}/test", endpoint["id"]), &none).await.expect(200);
    let kinds = "CAMPAIGN_ENDED CAMPAIGN_PAUSED CAMPAIGN_STARTED COUPON_REDEEMED COUPON_RELEASED ORDER_CANCELLED \
                 ORDER_CONFIRMED ORDER_CREATED ORDER_DELIVERED ORDER_FAILED ORDER_REFUNDED ORDER_RETURNED ORDER_SHIPPED \
                 PAYMENT_CAPTURED PAYMENT_FAILED PAYMENT_REFUNDED PROMOTION_APPLIED STOCK_CHANGED TEST USER_REGISTERED";
    described(&shop, &receiver, &kinds.split_whitespace().collect::<Vec<_>>()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_recorded_and_can_be_sent_again() {
    let (shop, receiver) = (shop().await, Receiver::start().await);
    let (switch, _) = add(&shop, &receiver.url("/switch"), json!(["ORDER_CONFIRMED"])).await;
    let (moved, _) = add(&shop, &receiver.url("/moved"), json!(["ORDER_CONFIRMED"])).await;
    let (gone, _) = add(&shop, &receiver.url("/gone"), json!(["ORDER_CONFIRMED"])).await;
    order(&shop).await;
    let failed = delivery(&shop, &switch, "FAILED").await;
    assert_eq!((&failed["attempts"][0]["status"], failed["dueAt"].is_string()), (&json!(500), true));
    *receiver.status.lock() = 200;
    let path = format!("/api/webhooks/{}/deliveries/{}/redeliver", switch["id"], failed["id"]);
    shop.admin.post(&path, &json!({})).await.expect(200);
    let sent = delivery(&shop, &switch, "SENT").await;
    assert_eq!((&sent["message"], sent["attempts"].as_array().unwrap().len()), (&failed["message"], 2));
    let ids: Vec<Value> =
        receiver.wait_for("/switch", 2).await.iter().map(|it| it.headers["webhook-id"].clone()).collect();
    assert_eq!(ids[0], ids[1], "a redelivery has the same id");
    assert_eq!(delivery(&shop, &moved, "FAILED").await["attempts"][0]["status"], 302);
    assert!(receiver.received.lock().iter().all(|it| it.path != "/elsewhere"), "redirects are not followed");
    delivery(&shop, &gone, "DEAD").await;
    let path = format!("/api/webhooks/{}", gone["id"]);
    let disabled = shop.admin.get(&path).await.expect(200);
    assert_eq!(disabled["status"], "DISABLED");
    assert!(disabled["disabledReason"].as_str().unwrap().contains("410"), "{disabled}");
    shop.admin.post(&format!("{path}/test"), &json!({})).await.refused(409, "WEBHOOK_DISABLED");
    let told = loop {
        let page = shop.admin.get("/api/notifications/deliveries?status=SENT").await.expect(200);
        let told = page["items"].as_array().unwrap().iter().any(|it| it["kind"] == "WEBHOOK_DISABLED");
        if told {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert!(told);
    let enabled = shop.admin.patch(&path, &json!({"status": "ENABLED"})).await.expect(200);
    assert_eq!((&enabled["status"], &enabled["disabledReason"]), (&json!("ENABLED"), &Value::Null));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_and_the_shop_itself_are_no_targets() {
    let shop = shop().await;
    let own = format!("http://{}/api/products", shop.address());
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", shop.address().port());
    let refused = [
        own.as_str(),
        &mapped,
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:a00:1::]/",
        "https://0.0.0.0/",
        "http://example.com/",
        "ftp://example.com/",
        "https://user:pass@example.com/",
        "nonsense",
    ];
    for url in refused {
        let problem = shop.admin.post("/api/webhooks", &json!({"url": url})).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}: {problem}");
        assert_eq!(problem["errors"][0]["code"], "URL_REFUSED", "{url}");
    }
    shop.admin.post("/api/webhooks", &json!({"url": "https://10.0.0.1/", "events": ["NOTHING"]})).await.expect(422);
    let (endpoint, _) = add(&shop, "http://127.0.0.1:9/", json!(["ORDER_CONFIRMED"])).await;
    let path = format!("/api/webhooks/{}", endpoint["id"]);
    shop.admin.patch(&path, &json!({"url": own})).await.expect(422);
    // The address is checked again when the connection is made, by the settings of that time.
    let dir = shop.close_and_keep().await;
    let shop = Shop::open(dir, Vec::new()).await;
    order(&shop).await;
    let failed = delivery(&shop, &endpoint, "FAILED").await;
    let detail = failed["attempts"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("127.0.0.1 is neither public nor in `webhooks.networks`"), "{detail}");
    let support = shop.customer("ada@example.com").await;
    support.get("/api/webhooks").await.refused(403, "FORBIDDEN");
    shop.close().await;
}
