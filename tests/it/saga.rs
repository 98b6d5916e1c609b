//! The saga matrix: the power is cut after every single commit of a checkout and of what may follow it.
//!
//! A cut right after a step's commit is a crash before the next step's effect; the step after it may have acted already on
//! another service, whose commit is another cut. So each step is interrupted before and after its effect, is repeated, and is
//! undone. Each store that a cut leaves is opened, the buyer asks again with the same keys, and the outcome is the one there
//! would have been without the cut.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::journal;
use crate::shop::{Shop, audit_closed, order_of};

/// Settings under which nothing is checkpointed, so that the journal holds every commit, and providers answer soon.
const SETTINGS: &[(&str, &str)] =
    &[("PROMOX_STORAGE__CHECKPOINT_SECONDS", "3600"), ("PROMOX_PAYMENT__TIMEOUT_MS", "150")];
/// Groups of a recovery that are cut again.
const CUT_AGAIN: usize = 8;
/// Cuts that are tried side by side: each has a store and a server of its own, and most of its time waits.
const AT_ONCE: usize = 4;

/// Asks until the answer is a decided one.
async fn decided(client: &Client, path: &str, body: &Value) -> Answer {
    loop {
        let answer = client.post(path, body).await;
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if !matches!(answer.status, 202 | 503) && !code.ends_with("_IN_PROGRESS") {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// A shop with ten of A and of B at 10.00 and 0.99.
async fn stocked() -> Shop {
    let shop = Shop::start_with(SETTINGS).await;
    shop.product("A", "10.00", 10).await;
    shop.product("B", "0.99", 10).await;
    shop
}

/// Runs a scenario, then again on what every power cut of its way would have left.
async fn matrix(shop: Shop, act: impl AsyncFn(&Shop)) {
    let before = journal::groups(shop.dir()).len();
    act(&shop).await;
    let after = journal::groups(shop.dir()).len();
    let whole = journal::cut(shop.dir(), after);
    let settings = shop.settings();
    shop.close().await;
    assert!(after > before, "nothing was committed");
    let (whole, settings, act) = (&whole, &settings, &act);
    let again = async |kept: usize| {
        eprintln!("cut after {kept} of {before}..={after} groups");
        let left = journal::cut(whole.path(), kept);
        audit_closed(left.path(), settings).await;
        let shop = Shop::open(left, settings.clone()).await;
        act(&shop).await;
        shop.close().await;
    };
    stream::iter(before..=after).for_each_concurrent(AT_ONCE, again).await;
}

/// Places the order of the scenario with its key.
async fn place(shop: &Shop, token: &str) -> Answer {
    decided(&shop.anyone.key("place"), "/api/orders", &order_of(&[("A", 2), ("B", 1)], token)).await
}

/// Exactly one order, which stands so, and stock of A and B that fits.
async fn one_order(shop: &Shop, status: &str, stock: (i64, i64)) -> Value {
    let orders = shop.all("/api/orders").await;
    assert_eq!(orders.len(), 1, "{orders:?}");
    let order = shop.decided(&orders[0]["id"]).await;
    assert_eq!(order["status"], status);
    assert_eq!((shop.posted("A").await, shop.posted("B").await), stock);
    order
}

/// Exactly one payment, with what it captured and gave back.
async fn one_payment(shop: &Shop, status: &str, captured: &str, refunded: &str) -> Value {
    loop {
        let payments = shop.all("/api/payments").await;
        assert_eq!(payments.len(), 1, "{payments:?}");
        let payment = &payments[0];
        if payment["status"] == status {
            let sums = (payment["captured"].as_str(), payment["refunded"].as_str());
            assert_eq!(sums, (Some(captured), Some(refunded)), "{payment}");
            return payment.clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_card() {
    matrix(stocked().await, good_card).await;
}

async fn good_card(shop: &Shop) {
    let order = place(shop, "tok_visa").await.expect(201);
    assert_eq!((order["status"].as_str(), order["totals"]["total"].as_str()), (Some("CONFIRMED"), Some("20.99")));
    assert!(order["orderToken"].is_string(), "{order}");
    assert_eq!(one_order(shop, "CONFIRMED", (8, 9)).await["id"], order["id"]);
    one_payment(shop, "CAPTURED", "20.99", "0.00").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_card_with_a_second_cut_during_recovery() {
    let shop = stocked().await;
    let before = journal::groups(shop.dir()).len();
    good_card(&shop).await;
    let after = journal::groups(shop.dir()).len();
    let whole = journal::cut(shop.dir(), after);
    let settings = shop.settings();
    shop.close().await;
    let (whole, settings) = (&whole, &settings);
    let twice = async |kept: usize| {
        let first = Shop::open(journal::cut(whole.path(), kept), settings.clone()).await;
        good_card(&first).await;
        let end = journal::groups(first.dir()).len();
        let recovered: TempDir = journal::cut(first.dir(), end);
        first.close().await;
        for again in kept + 1..end.min(kept + CUT_AGAIN) {
            eprintln!("cut after {kept} of {before}..={after}, then after {again}");
            let second = Shop::open(journal::cut(recovered.path(), again), settings.clone()).await;
            good_card(&second).await;
            second.close().await;
        }
    };
    stream::iter(before..=after).for_each_concurrent(AT_ONCE, twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card() {
    matrix(stocked().await, async |shop| {
        let problem = place(shop, "tok_declined").await.refused(402, "PAYMENT_DECLINED");
        assert_eq!(problem["declineCode"], "CARD_DECLINED");
        assert_eq!(one_order(shop, "FAILED", (10, 10)).await["id"], problem["orderId"]);
        one_payment(shop, "FAILED", "0.00", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_twice() {
    matrix(stocked().await, async |shop| {
        place(shop, "tok_flaky").await.expect(201);
        one_order(shop, "CONFIRMED", (8, 9)).await;
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_silent_and_charges() {
    matrix(stocked().await, async |shop| {
        place(shop, "tok_timeout").await.expect(201);
        one_order(shop, "CONFIRMED", (8, 9)).await;
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_wants_its_buyer() {
    matrix(stocked().await, async |shop| {
        let order = place(shop, "tok_requires_action").await.expect(201);
        let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap()).key("confirm");
        decided(&guest, &format!("/api/payments/{}/confirm", order["payment"]["id"]), &json!({})).await.expect(200);
        one_order(shop, "CONFIRMED", (8, 9)).await;
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_is_short() {
    matrix(stocked().await, async |shop| {
        let body = order_of(&[("A", 2), ("B", 11)], "tok_visa");
        let answer = decided(&shop.anyone.key("place"), "/api/orders", &body).await;
        answer.refused(409, "INSUFFICIENT_STOCK");
        assert_eq!(shop.all("/api/orders").await, Vec::<Value>::new());
        assert_eq!((shop.stock_of("A").await, shop.stock_of("B").await), ((10, 0), (10, 0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled() {
    matrix(stocked().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        let reason = json!({"reason": "changed my mind"});
        let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap());
        decided(&guest.key("cancel"), &cancel, &reason).await.expect(200);
        one_order(shop, "CANCELLED", (10, 10)).await;
        one_payment(shop, "REFUNDED", "20.99", "20.99").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_that_is_cancelled_while_it_waits() {
    matrix(stocked().await, async |shop| {
        let order = place(shop, "tok_requires_action").await.expect(201);
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        decided(&shop.admin.key("cancel"), &cancel, &json!({"reason": "too slow"})).await.expect(200);
        one_order(shop, "CANCELLED", (10, 10)).await;
        one_payment(shop, "VOIDED", "0.00", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_approved() {
    matrix(stocked().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let path = format!("/api/orders/{}", order["id"]);
        let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
        decided(&shop.admin.key("ship"), &format!("{path}/fulfilments"), &parcel).await.expect(201);
        let ask = json!({"items": [{"sku": "A", "quantity": 1}], "reason": "broken"});
        let asked = decided(&shop.admin.key("ask"), &format!("{path}/returns"), &ask).await.expect(201);
        assert_eq!(asked["refund"], "10.00");
        let approve = format!("{path}/returns/{}/approve", asked["id"]);
        decided(&shop.admin.key("approve"), &approve, &json!({})).await.expect(200);
        one_payment(shop, "PARTIALLY_REFUNDED", "20.99", "10.00").await;
        while shop.stock_of("A").await.0 != 9 {
            tokio::task::yield_now().await;
        }
        one_order(shop, "SHIPPED", (9, 9)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_by_hand() {
    matrix(stocked().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let refunds = format!("/api/payments/{}/refunds", order["payment"]["id"]);
        let body = json!({"amount": "5.55", "reason": "sorry"});
        for _ in 0..2 {
            decided(&shop.admin.key("refund"), &refunds, &body).await.expect(201);
        }
        one_payment(shop, "PARTIALLY_REFUNDED", "20.99", "5.55").await;
        one_order(shop, "CONFIRMED", (8, 9)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_by_hand() {
    matrix(stocked().await, async |shop| {
        let mut body = order_of(&[("A", 2), ("B", 1)], "");
        body["payment"] = json!({"method": "BANK_TRANSFER"});
        let order = decided(&shop.anyone.key("place"), "/api/orders", &body).await.expect(201);
        assert_eq!(order["status"], "CONFIRMED");
        let capture = format!("/api/payments/{}/capture", order["payment"]["id"]);
        decided(&shop.admin.key("capture"), &capture, &json!({})).await.expect(200);
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
        one_order(shop, "CONFIRMED", (8, 9)).await;
    })
    .await;
}

/// A shop in which a customer has a cart of two A and one B, and the customer's access token.
async fn with_cart() -> (Shop, String) {
    let shop = stocked().await;
    let login = json!({"email": "ada@example.com", "password": crate::shop::PASSWORD});
    let made = shop.anyone.post("/api/auth/register", &login).await.expect(201);
    let ada = made["accessToken"].as_str().unwrap().to_owned();
    for (sku, quantity) in [("A", 2), ("B", 1)] {
        let item = json!({"sku": sku, "quantity": quantity});
        shop.anyone.bearer(&ada).post("/api/carts/current/items", &item).await.expect(200);
    }
    (shop, ada)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_ordered() {
    let (shop, ada) = with_cart().await;
    matrix(shop, async |shop| {
        let ada = shop.anyone.bearer(&ada);
        let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
        let order = decided(&ada.key("place"), "/api/orders", &body).await.expect(201);
        assert_eq!(order["totals"]["total"], "20.99");
        one_order(shop, "CONFIRMED", (8, 9)).await;
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
        assert_eq!(ada.get("/api/carts/current").await.expect(200)["items"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_ordered_four_times_at_once() {
    let (shop, ada) = with_cart().await;
    matrix(shop, async |shop| {
        let ada = shop.anyone.bearer(&ada);
        let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
        let keys = ["one", "two", "three", "four"].map(|key| ada.key(key));
        let answers = futures_util::future::join_all(keys.iter().map(|ada| once(ada, &body))).await;
        let placed = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(placed, 1, "{answers:?}");
        one_order(shop, "CONFIRMED", (8, 9)).await;
        one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

/// Asks until this key's outcome is known; that another of the keys has the cart is one.
async fn once(client: &Client, body: &Value) -> Answer {
    loop {
        let answer = client.post("/api/orders", body).await;
        if !matches!(answer.status, 202 | 503) && answer.json()["code"] != "IDEMPOTENCY_IN_PROGRESS" {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}
