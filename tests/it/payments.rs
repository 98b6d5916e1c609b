//! Payments: concurrent refunds, manual payments, webhooks in any order, and late captures.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

const SECRET: &str = "whsec_cHJvbW94LXRlc3Qtc2VjcmV0LW9mLTMyLWJ5dGVz";

async fn shop() -> Shop {
    let shop = Shop::start_with(&[("PROMOX_PAYMENT__SANDBOX_WEBHOOK_SECRET", SECRET)]).await;
    shop.product("A", "10.00", 1_000).await;
    shop
}

async fn order(client: &Client, token: &str) -> Value {
    client.post("/api/orders", &order_of(&[("A", 3)], token)).await.expect(201)
}

async fn payment(shop: &Shop, order: &Value) -> Value {
    shop.admin.get(&format!("/api/payments/{}", order["payment"]["id"])).await.expect(200)
}

/// Waits until an order's payment has a status and returns the payment.
async fn wait_for_payment(shop: &Shop, order: &Value, status: &str) -> Value {
    loop {
        let payment = payment(shop, order).await;
        if payment["status"] == status {
            return payment;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_never_exceed_the_captured_amount() {
    let shop = shop().await;
    let placed = order(&shop.anyone, "tok_visa").await;
    let path = format!("/api/payments/{}/refunds", placed["payment"]["id"]);
    let racers = (0..32).map(|_| {
        let (admin, path) = (shop.admin.clone(), path.clone());
        tokio::spawn(async move {
            let mut refunded = 0_u32;
            for _ in 0..3 {
                let answer = admin.post(&path, &json!({"amount": "0.70", "reason": "race"})).await;
                match answer.status {
                    201 => refunded += 1,
                    422 => drop(answer.refused(422, "REFUND_EXCEEDS_CAPTURED")),
                    _ => panic!("{answer:?}"),
                }
            }
            refunded
        })
    });
    let mut refunded = 0;
    for racer in racers.collect::<Vec<_>>() {
        refunded += racer.await.unwrap();
    }
    // 30.00 is 42 times 0.70, with 0.60 left.
    assert_eq!(refunded, 42);
    let now = wait_for_payment(&shop, &placed, "PARTIALLY_REFUNDED").await;
    assert_eq!((now["refunded"].as_str(), now["refunds"].as_array().unwrap().len()), (Some("29.40"), 42));
    let excess = shop.admin.post(&path, &json!({"amount": "0.61", "reason": "one too much"})).await;
    assert_eq!(excess.refused(422, "REFUND_EXCEEDS_CAPTURED")["left"], "0.60");
    shop.admin.post(&path, &json!({"reason": "the rest"})).await.expect(201);
    assert_eq!(payment(&shop, &placed).await["status"], "REFUNDED");
    shop.admin.post(&path, &json!({"reason": "nothing left"})).await.refused(422, "REFUND_EXCEEDS_CAPTURED");
    let decided = shop.wait_until_decided(&placed["id"]).await;
    loop {
        let order = shop.admin.get(&format!("/api/orders/{}", decided["id"])).await.expect(200);
        if order["payment"]["status"] == "REFUNDED" {
            assert_eq!(order["status"], "CONFIRMED", "a refund without a return leaves the order confirmed");
            break;
        }
        tokio::task::yield_now().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_with_one_key_refund_once() {
    let shop = shop().await;
    let placed = order(&shop.anyone, "tok_visa").await;
    let path = format!("/api/payments/{}/refunds", placed["payment"]["id"]);
    let requests = (0..32).map(|_| {
        let (admin, path) = (shop.admin.key("once"), path.clone());
        tokio::spawn(async move { admin.post(&path, &json!({"amount": "5.00", "reason": "once"})).await })
    });
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.unwrap();
        if answer.status != 201 {
            answer.refused(409, "IDEMPOTENCY_IN_PROGRESS");
        }
    }
    let keyed = shop.admin.key("once");
    let again = keyed.post(&path, &json!({"amount": "5.00", "reason": "once"})).await;
    assert_eq!((again.status, again.headers["idempotent-replayed"].to_str().unwrap()), (201, "true"));
    keyed.post(&path, &json!({"amount": "6.00", "reason": "once"})).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(payment(&shop, &placed).await["refunded"], "5.00");
    for (body, pointer) in [
        (json!({"amount": "0", "reason": "x"}), "/amount"),
        (json!({"amount": "-1", "reason": "x"}), "/amount"),
        (json!({"amount": "1.001", "reason": "x"}), "/amount"),
        (json!({"amount": "1e3", "reason": "x"}), "/amount"),
        (json!({"amount": "1"}), "/reason"),
        (json!({"amount": "1", "reason": ""}), "/reason"),
    ] {
        let problem = shop.admin.post(&path, &body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body} → {problem}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_payments_are_captured_in_full_voided_or_cancelled() {
    let shop = shop().await;
    let mut body = order_of(&[("A", 3)], "");
    body["payment"] = json!({"method": "CASH_ON_DELIVERY", "provider": "manual"});
    let [captured, voided, cancelled] = [0; 3].map(|_| shop.anyone.post("/api/orders", &body));
    let (captured, voided, cancelled) =
        (captured.await.expect(201), voided.await.expect(201), cancelled.await.expect(201));
    for order in [&captured, &voided, &cancelled] {
        assert_eq!(
            (order["status"].as_str(), order["payment"]["status"].as_str()),
            (Some("CONFIRMED"), Some("PENDING"))
        );
    }
    let path = |order: &Value, verb: &str| format!("/api/payments/{}/{verb}", order["payment"]["id"]);
    let nothing = json!({});
    assert_eq!(shop.admin.post(&path(&captured, "capture"), &nothing).await.expect(200)["captured"], "30.00");
    shop.admin.post(&path(&captured, "capture"), &nothing).await.refused(409, "INVALID_TRANSITION");
    shop.admin.post(&path(&captured, "void"), &nothing).await.refused(409, "INVALID_TRANSITION");
    shop.admin.post(&path(&captured, "capture"), &json!({"amount": "1.00"})).await.expect(422);
    assert_eq!(shop.admin.post(&path(&voided, "void"), &nothing).await.expect(200)["status"], "VOIDED");
    shop.admin.post(&path(&voided, "capture"), &nothing).await.refused(409, "INVALID_TRANSITION");
    let cancel = format!("/api/orders/{}/cancel", cancelled["id"]);
    shop.admin.post(&cancel, &json!({"reason": "no cash"})).await.expect(200);
    assert_eq!(wait_for_payment(&shop, &cancelled, "VOIDED").await["captured"], "0.00");
    shop.admin.post(&path(&cancelled, "capture"), &nothing).await.refused(409, "INVALID_TRANSITION");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_other_users_are_not_visible() {
    let shop = shop().await;
    let (ada, bob) = (shop.customer("ada@example.com").await, shop.customer("bob@example.com").await);
    let waiting = order(&ada, "tok_requires_action").await;
    let path = format!("/api/payments/{}", waiting["payment"]["id"]);
    for stranger in [&bob, &shop.anyone.with("x-order-token", "nonsense")] {
        assert_eq!(stranger.get(&path).await.status, 404);
        assert_eq!(stranger.post(&format!("{path}/confirm"), &json!({})).await.status, 404);
        assert_eq!(stranger.get(&format!("/api/payments?orderId={}", waiting["id"])).await.status, 404);
    }
    assert_eq!(bob.get("/api/payments").await.expect(200)["items"], json!([]));
    assert_eq!(ada.get("/api/payments").await.expect(200)["items"][0]["id"], waiting["payment"]["id"]);
    bob.post(&format!("{path}/refunds"), &json!({"reason": "mine"})).await.refused(403, "FORBIDDEN");
    let confirmed = ada.post(&format!("{path}/confirm"), &json!({})).await.expect(200);
    assert_eq!(confirmed["status"], "CAPTURED");
    assert_eq!(ada.post(&format!("{path}/confirm"), &json!({})).await.expect(200)["status"], "CAPTURED");
    assert_eq!(shop.wait_until_decided(&waiting["id"]).await["status"], "CONFIRMED");
    assert!(!String::from_utf8_lossy(&ada.get(&path).await.bytes).contains("tok_"), "tokens are not shown");
    shop.close().await;
}

/// A webhook as the sandbox sends it, signed.
struct Webhook {
    id: String,
    at: i64,
    body: Value,
}

impl Webhook {
    fn of(shop: &Shop, id: &str, kind: &str, order: &Value) -> Self {
        let key = format!("order-{}-charge", order["id"]);
        let data = json!({"key": key, "reference": "sbx_1", "amount": order["totals"]["total"], "currency": "GBP"});
        Self { id: id.to_owned(), at: shop.seconds(), body: json!({"type": kind, "data": data}) }
    }

    fn signature(&self) -> String {
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
        let message = format!("{}.{}.{}", self.id, self.at, self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), message.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }

    async fn send(&self, shop: &Shop) -> Answer {
        self.send_signed(shop, &self.signature()).await
    }

    async fn send_signed(&self, shop: &Shop, signature: &str) -> Answer {
        let client = shop
            .anyone
            .with("webhook-id", self.id.as_str())
            .with("webhook-timestamp", self.at.to_string())
            .with("webhook-signature", signature);
        client.post("/api/payments/webhooks/sandbox", &self.body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_apply_once_in_any_order_and_only_when_signed() {
    let shop = shop().await;
    let waiting = order(&shop.anyone, "tok_requires_action").await;
    let captured = Webhook::of(&shop, "evt_1", "payment.captured", &waiting);
    captured.send_signed(&shop, "v1,AAAA").await.refused(401, "BAD_SIGNATURE");
    let old = Webhook { at: captured.at - 3_600, ..Webhook::of(&shop, "evt_0", "payment.captured", &waiting) };
    old.send(&shop).await.refused(401, "BAD_SIGNATURE");
    let forged =
        Webhook { body: json!({"type": "payment.captured", "data": {}}), ..Webhook::of(&shop, "e", "x", &waiting) };
    forged.send_signed(&shop, &captured.signature()).await.refused(401, "BAD_SIGNATURE");
    assert_eq!(payment(&shop, &waiting).await["status"], "REQUIRES_ACTION");
    let requests = futures_util::future::join_all((0..8).map(|_| captured.send(&shop))).await;
    assert!(requests.iter().all(|answer| answer.status == 204), "{requests:?}");
    assert_eq!(shop.wait_until_decided(&waiting["id"]).await["status"], "CONFIRMED");
    for (id, kind) in [
        ("evt_2", "payment.declined"),
        ("evt_3", "payment.requires_action"),
        ("evt_4", "payment.voided"),
        ("evt_5", "something.else"),
    ] {
        assert_eq!(Webhook::of(&shop, id, kind, &waiting).send(&shop).await.status, 204, "{kind}");
    }
    let now = payment(&shop, &waiting).await;
    assert_eq!((now["status"].as_str(), now["captured"].as_str()), (Some("CAPTURED"), Some("30.00")));
    assert_eq!(shop.settled_stock("A").await, 997);
    let unknown = shop.anyone.post("/api/payments/webhooks/nobody", &json!({})).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_after_the_cancel_is_refunded_once() {
    let shop = shop().await;
    let waiting = order(&shop.anyone, "tok_requires_action").await;
    let cancel = format!("/api/orders/{}/cancel", waiting["id"]);
    shop.admin.post(&cancel, &json!({"reason": "too slow"})).await.expect(200);
    assert_eq!(wait_for_payment(&shop, &waiting, "VOIDED").await["captured"], "0.00");
    for id in ["evt_1", "evt_2"] {
        assert_eq!(Webhook::of(&shop, id, "payment.captured", &waiting).send(&shop).await.status, 204);
    }
    let refunded = wait_for_payment(&shop, &waiting, "REFUNDED").await;
    assert_eq!((refunded["captured"].as_str(), refunded["refunded"].as_str()), (Some("30.00"), Some("30.00")));
    assert_eq!(refunded["refunds"].as_array().unwrap().len(), 1, "{refunded}");
    assert_eq!(shop.wait_until_decided(&waiting["id"]).await["status"], "CANCELLED");
    assert_eq!(shop.settled_stock("A").await, 1_000);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_for_less_than_the_order_confirms_nothing() {
    let shop = shop().await;
    let waiting = order(&shop.anyone, "tok_requires_action").await;
    let mut webhook = Webhook::of(&shop, "evt_1", "payment.captured", &waiting);
    webhook.body["data"]["amount"] = json!("0.01");
    let answer = webhook.send(&shop).await;
    assert!(matches!(answer.status, 409 | 422), "{answer:?}");
    assert_eq!(payment(&shop, &waiting).await["status"], "REQUIRES_ACTION");
    shop.close().await;
}
