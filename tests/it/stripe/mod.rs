//! Real card payments: the shop takes money through localstripe, with and without faults.

mod faults;
pub(crate) mod provider;
mod proxy;
mod shipments;

use aws_lc_rs::hmac;
use promox_kernel::{Entropy, hex};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::shop::{Shop, all, order_of};
use provider::Provider;
use proxy::Proxy;

const WEBHOOK_SECRET: &str = "whsec_of_the_tests";
const VISA: &str = "pm_card_visa";

/// The settings of a shop with an account at the provider with this URL.
fn settings(url: &str) -> Vec<(String, String)> {
    [
        ("PROMOX_PAYMENT__STRIPE_SECRET_KEY", "sk_test_12345"),
        ("PROMOX_PAYMENT__STRIPE_PUBLISHABLE_KEY", "pk_test_12345"),
        ("PROMOX_PAYMENT__STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("PROMOX_PAYMENT__STRIPE_URL", url),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// An order of `quantity` units at 10.00, paid with a card.
fn card_order(quantity: u32, token: &str) -> Value {
    let mut order = order_of(&[("A", quantity)], token);
    order["payment"] = json!({"method": "CARD", "token": token});
    order
}

/// A shop that takes cards through a provider, with a product at 10.00.
struct CardShop {
    shop: Shop,
    provider: Provider,
    proxy: Proxy,
}

impl CardShop {
    async fn start() -> Self {
        let provider = Provider::start().await;
        let proxy = Proxy::start(&provider.url, Entropy::seeded(1)).await;
        let settings = settings(&proxy.url);
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let shop = Shop::start_with(&pairs).await;
        shop.product("A", "10.00", 1_000).await;
        let hook = json!({"url": format!("{}/hooks", proxy.url), "secret": WEBHOOK_SECRET});
        assert_eq!(provider.post("/_config/webhooks/shop", &hook).await.0, 200);
        Self { shop, provider, proxy }
    }

    async fn order(&self, quantity: u32, token: &str) -> Answer {
        self.shop.anyone.post("/api/orders", &card_order(quantity, token)).await
    }

    async fn payment(&self, order: &Value) -> Value {
        let page = self.shop.admin.get(&format!("/api/payments?orderId={order}")).await.expect(200);
        page["items"][0].clone()
    }

    /// Waits until an order's payment has a status.
    async fn wait_for(&self, order: &Value, status: &str) -> Value {
        loop {
            let payment = self.payment(order).await;
            if payment["status"] == status {
                return payment;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The only intent of an order at the provider.
    async fn intent(&self, order: &Value) -> Value {
        let (intents, _) = self.provider.books().await;
        let order = order.to_string();
        let mut own = intents.into_iter().filter(|intent| intent["metadata"]["promox_order"] == order.as_str());
        let intent = own.next().unwrap();
        assert!(own.next().is_none(), "an order has one intent");
        intent
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_charged_refunded_and_declined() {
    let cards = CardShop::start().await;
    let shop = &cards.shop;
    let methods = shop.anyone.get("/api/payments/methods").await.expect(200);
    let first = json!({"method": "CARD", "provider": "stripe", "name": "Card", "publishableKey": "pk_test_12345"});
    assert_eq!((&methods["items"][0], &methods["items"][1]["provider"]), (&first, &json!("sandbox")));

    let paid = cards.order(3, VISA).await.expect(201);
    assert_eq!((&paid["status"], &paid["payment"]["status"]), (&json!("CONFIRMED"), &json!("CAPTURED")));
    let intent = cards.intent(&paid["id"]).await;
    assert_eq!(
        (&intent["status"], &intent["amount"], &intent["currency"]),
        (&json!("succeeded"), &json!(3000), &json!("gbp"))
    );
    let payment = cards.payment(&paid["id"]).await;
    assert_eq!((&payment["provider"], &payment["attempts"][0]["outcome"]), (&json!("stripe"), &json!("ANSWERED")));
    assert!(!payment.to_string().contains(VISA), "a token is not shown");

    let refunds = format!("/api/payments/{}/refunds", payment["id"]);
    let refund = json!({"amount": "12.50", "reason": "a scratch"});
    shop.admin.post(&refunds, &refund).await.expect(201);
    let (_, booked) = cards.provider.books().await;
    assert_eq!(booked.iter().map(|refund| &refund["amount"]).collect::<Vec<_>>(), [&json!(1250)]);
    let cancel = format!("/api/orders/{}/cancel", paid["id"]);
    shop.admin.post(&cancel, &json!({"reason": "changed my mind"})).await.expect(200);
    let (_, booked) = cards.provider.books().await;
    assert_eq!(booked.iter().map(|refund| refund["amount"].as_i64().unwrap()).sum::<i64>(), 3000);

    for (token, code) in [("pm_card_chargeCustomerFail", "CARD_DECLINED"), ("tok_of_nobody", "INVALID_TOKEN")] {
        let declined = cards.order(1, token).await.refused(402, "PAYMENT_DECLINED");
        assert_eq!(declined["declineCode"], code, "{token}");
        let order = shop.admin.get(&format!("/api/orders/{}", declined["orderId"])).await.expect(200);
        assert_eq!(order["status"], "FAILED");
        if code == "CARD_DECLINED" {
            assert_eq!(
                cards.intent(&declined["orderId"]).await["status"],
                "canceled",
                "nobody can confirm it any more"
            );
        }
    }
    assert_eq!(shop.settled_stock("A").await, 1_000);
    cards.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_must_act_confirms_fails_or_is_too_late() {
    let cards = CardShop::start().await;
    let shop = &cards.shop;
    cards.proxy.deliver_to(Some(shop.address()));
    let token = cards.provider.card("4000002500003155").await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let order = cards.order(1, &token).await.expect(201);
        assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("PENDING"), &json!("REQUIRES_ACTION")));
        let action = &order["payment"]["action"];
        assert_eq!(action["type"], "STRIPE_SDK");
        let secret = action["clientSecret"].as_str().unwrap().to_owned();
        let intent = secret.split("_secret_").next().unwrap().to_owned();
        waiting.push((order, intent, secret));
    }
    let confirm = |order: &Value| {
        let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap());
        let path = format!("/api/payments/{}/confirm", order["payment"]["id"]);
        async move { guest.post(&path, &json!({})).await.expect(200) }
    };
    // The storefront says that the buyer has acted.
    let (order, intent, secret) = &waiting[0];
    assert_eq!(confirm(order).await["status"], "REQUIRES_ACTION", "not yet");
    assert_eq!(cards.provider.authenticate(intent, secret, true).await, 200);
    assert!(matches!(confirm(order).await["status"].as_str(), Some("CAPTURED")));
    assert_eq!(shop.wait_until_decided(&order["id"]).await["status"], "CONFIRMED");
    // The storefront says nothing, and the webhook does.
    let (order, intent, secret) = &waiting[1];
    assert_eq!(cards.provider.authenticate(intent, secret, true).await, 200);
    assert_eq!(shop.wait_until_decided(&order["id"]).await["status"], "CONFIRMED");
    // The buyer fails to authenticate.
    let (order, intent, secret) = &waiting[2];
    assert_eq!(cards.provider.authenticate(intent, secret, false).await, 200);
    assert_eq!(confirm(order).await["status"], "FAILED");
    assert_eq!(shop.wait_until_decided(&order["id"]).await["status"], "FAILED");
    // The buyer is too late.
    let (order, intent, secret) = &waiting[3];
    let cancel = format!("/api/orders/{}/cancel", order["id"]);
    shop.admin.post(&cancel, &json!({"reason": "too slow"})).await.expect(200);
    cards.wait_for(&order["id"], "VOIDED").await;
    assert_eq!(cards.provider.authenticate(intent, secret, true).await, 400, "the intent is cancelled");
    let (_, refunds) = cards.provider.books().await;
    assert!(refunds.is_empty(), "nothing was captured in vain: {refunds:?}");
    assert_eq!(shop.settled_stock("A").await, 998);
    cards.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_of_another_amount_is_not_booked_and_shown_to_staff() {
    let cards = CardShop::start().await;
    let admin = &cards.shop.admin;
    admin.patch("/api/settings/payments", &json!({"captureAt": "SHIPMENT"})).await.expect(200);
    for (received, currency) in [(600, "gbp"), (1_000, "usd"), (1_001, "gbp")] {
        let order = cards.order(1, VISA).await.expect(201);
        cards.proxy.claim_received(Some((received, currency)));
        let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
        admin.post(&format!("/api/orders/{}/fulfilments", order["id"]), &parcel).await.expect(201);
        let payment = loop {
            let payment = cards.payment(&order["id"]).await;
            if payment["failureCode"] == "PAYMENT_MISMATCH" {
                break payment;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((&payment["status"], &payment["captured"]), (&json!("AUTHORIZED"), &json!("0.00")), "{payment}");
        let subject = format!("payment:{}", payment["id"]);
        let entry = loop {
            let found = all(admin, "/api/audit?action=payment.mismatch").await;
            if let Some(entry) = found.into_iter().find(|entry| entry["subject"] == subject.as_str()) {
                break entry;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(entry["before"], "10.00 GBP");
        assert_eq!(entry["after"], format!("{received} minor units of {currency:?}"));
        // The deviation is settled with the provider, and staff have it asked again.
        cards.proxy.claim_received(None);
        admin.post(&format!("/api/payments/{}/capture", payment["id"]), &json!({})).await.expect(200);
        let payment = cards.wait_for(&order["id"], "CAPTURED").await;
        assert_eq!((&payment["captured"], payment.get("failureCode")), (&json!("10.00"), None));
    }
    cards.shop.close().await;
}

/// Sends an event as Stripe does.
async fn send_event(shop: &Shop, event: &Value, secret: &str) -> Answer {
    let (at, body) = (shop.seconds(), event.to_string());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let signature = format!("t={at},v1={}", hex(tag.as_ref()));
    shop.anyone.with("stripe-signature", signature).post("/api/payments/webhooks/stripe", event).await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_others_change_nothing_and_disputes_are_noted() {
    let cards = CardShop::start().await;
    let shop = &cards.shop;
    let order = cards.order(1, VISA).await.expect(201);
    let intent = cards.intent(&order["id"]).await;
    let dispute = json!({
        "id": "evt_dispute",
        "type": "charge.dispute.created",
        "data": {"object": {
            "id": "dp_1", "payment_intent": intent["id"], "amount": 1000, "currency": "gbp", "reason": "fraudulent",
            "status": "needs_response",
        }},
    });
    send_event(shop, &dispute, "whsec_of_nobody").await.refused(401, "BAD_SIGNATURE");
    shop.anyone.post("/api/payments/webhooks/stripe", &dispute).await.refused(401, "BAD_SIGNATURE");
    for _ in 0..2 {
        assert_eq!(send_event(shop, &dispute, WEBHOOK_SECRET).await.status, 204);
    }
    let entries = loop {
        let timeline = shop.admin.get(&format!("/api/orders/{}/timeline", order["id"])).await.expect(200);
        let entries = timeline["items"].as_array().unwrap().clone();
        let disputes: Vec<Value> = entries.into_iter().filter(|entry| entry["step"] == "DISPUTE").collect();
        if !disputes.is_empty() {
            break disputes;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((entries.len(), &entries[0]["status"]), (1, &json!("NEEDS_RESPONSE")), "{entries:?}");
    // Another shop's intents of the same account, with an order of the same number and with none.
    for (id, metadata) in [("evt_a", json!({"promox_order": order["id"].to_string()})), ("evt_b", json!({}))] {
        let object = json!({"id": "pi_other", "status": "canceled", "metadata": metadata});
        let event = json!({"id": id, "type": "payment_intent.canceled", "data": {"object": object}});
        assert_eq!(send_event(shop, &event, WEBHOOK_SECRET).await.status, 204);
    }
    assert_eq!(cards.payment(&order["id"]).await["status"], "CAPTURED");
    cards.shop.close().await;
}
