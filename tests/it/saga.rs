//! The saga matrix: the power is cut after every single commit of a checkout and of the operations that may follow it.
//!
//! A cut right after a step's commit is a crash before the next step's effect. A step's effect on another service has a
//! commit of its own, and so a cut of its own. So each step is interrupted before and after its effect, is repeated,
//! and is compensated. For each cut the store is opened, the requests are repeated with the same keys, and the outcome
//! must be the one without the cut.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::journal;
use crate::shop::{Shop, audit_offline, order_of};

/// No checkpoint runs, so that the journal contains every commit, and payment providers time out soon.
const SETTINGS: &[(&str, &str)] =
    &[("PROMOX_STORAGE__CHECKPOINT_SECONDS", "3600"), ("PROMOX_PAYMENT__TIMEOUT_MS", "150")];
/// Commit groups of a recovery after each of which the power is cut a second time.
const SECOND_CUTS: usize = 8;
/// Cuts that are tested concurrently, each with a store and a server of its own; most of their time is waiting.
const CONCURRENT_CUTS: usize = 4;

/// Repeats a request until its answer is final.
async fn send_until_final(client: &Client, path: &str, body: &Value) -> Answer {
    loop {
        let answer = client.post(path, body).await;
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if !matches!(answer.status, 202 | 503) && !code.ends_with("_IN_PROGRESS") {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// A shop with ten of A at 10.00 and ten of B at 0.99.
async fn stocked_shop() -> Shop {
    let shop = Shop::start_with(SETTINGS).await;
    shop.product("A", "10.00", 10).await;
    shop.product("B", "0.99", 10).await;
    shop
}

/// Runs a scenario, then repeats it on the store that a power cut after each of its commits would have left.
async fn matrix(shop: Shop, act: impl AsyncFn(&Shop)) {
    let before = journal::groups(shop.dir()).len();
    act(&shop).await;
    let after = journal::groups(shop.dir()).len();
    let complete = journal::cut(shop.dir(), after);
    let settings = shop.settings();
    shop.close().await;
    assert!(after > before, "nothing was committed");
    let (complete, settings, act) = (&complete, &settings, &act);
    let resume_after_cut = async |kept: usize| {
        eprintln!("cut after {kept} of {before}..={after} groups");
        let cut = journal::cut(complete.path(), kept);
        audit_offline(cut.path(), settings).await;
        let shop = Shop::open(cut, settings.clone()).await;
        act(&shop).await;
        shop.close().await;
    };
    stream::iter(before..=after).for_each_concurrent(CONCURRENT_CUTS, resume_after_cut).await;
}

/// Places the order of the scenario under its key.
async fn place(shop: &Shop, token: &str) -> Answer {
    send_until_final(&shop.anyone.key("place"), "/api/orders", &order_of(&[("A", 2), ("B", 1)], token)).await
}

/// Asserts that there is exactly one order, with this status, and this stock of A and B. Returns the order.
async fn expect_one_order(shop: &Shop, status: &str, stock: (i64, i64)) -> Value {
    let orders = shop.all("/api/orders").await;
    assert_eq!(orders.len(), 1, "{orders:?}");
    let order = shop.wait_until_decided(&orders[0]["id"]).await;
    assert_eq!(order["status"], status);
    assert_eq!((shop.settled_stock("A").await, shop.settled_stock("B").await), stock);
    order
}

/// Waits until the only payment has a status, asserts its amounts and returns it.
async fn expect_one_payment(shop: &Shop, status: &str, captured: &str, refunded: &str) -> Value {
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
    matrix(stocked_shop().await, good_card).await;
}

async fn good_card(shop: &Shop) {
    let order = place(shop, "tok_visa").await.expect(201);
    assert_eq!((order["status"].as_str(), order["totals"]["total"].as_str()), (Some("CONFIRMED"), Some("20.99")));
    assert!(order["orderToken"].is_string(), "{order}");
    assert_eq!(expect_one_order(shop, "CONFIRMED", (8, 9)).await["id"], order["id"]);
    expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_card_with_a_second_cut_during_recovery() {
    let shop = stocked_shop().await;
    let before = journal::groups(shop.dir()).len();
    good_card(&shop).await;
    let after = journal::groups(shop.dir()).len();
    let complete = journal::cut(shop.dir(), after);
    let settings = shop.settings();
    shop.close().await;
    let (complete, settings) = (&complete, &settings);
    let twice = async |kept: usize| {
        let first = Shop::open(journal::cut(complete.path(), kept), settings.clone()).await;
        good_card(&first).await;
        let end = journal::groups(first.dir()).len();
        let recovered: TempDir = journal::cut(first.dir(), end);
        first.close().await;
        for again in kept + 1..end.min(kept + SECOND_CUTS) {
            eprintln!("cut after {kept} of {before}..={after}, then after {again}");
            let second = Shop::open(journal::cut(recovered.path(), again), settings.clone()).await;
            good_card(&second).await;
            second.close().await;
        }
    };
    stream::iter(before..=after).for_each_concurrent(CONCURRENT_CUTS, twice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card() {
    matrix(stocked_shop().await, async |shop| {
        let problem = place(shop, "tok_declined").await.refused(402, "PAYMENT_DECLINED");
        assert_eq!(problem["declineCode"], "CARD_DECLINED");
        assert_eq!(expect_one_order(shop, "FAILED", (10, 10)).await["id"], problem["orderId"]);
        expect_one_payment(shop, "FAILED", "0.00", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_provider_that_fails_twice() {
    matrix(stocked_shop().await, async |shop| {
        place(shop, "tok_flaky").await.expect(201);
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_provider_that_charges_without_answering() {
    matrix(stocked_shop().await, async |shop| {
        place(shop, "tok_timeout").await.expect(201);
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_requires_action() {
    matrix(stocked_shop().await, async |shop| {
        let order = place(shop, "tok_requires_action").await.expect(201);
        let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap()).key("confirm");
        send_until_final(&guest, &format!("/api/payments/{}/confirm", order["payment"]["id"]), &json!({}))
            .await
            .expect(200);
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insufficient_stock() {
    matrix(stocked_shop().await, async |shop| {
        let body = order_of(&[("A", 2), ("B", 11)], "tok_visa");
        let answer = send_until_final(&shop.anyone.key("place"), "/api/orders", &body).await;
        answer.refused(409, "INSUFFICIENT_STOCK");
        assert_eq!(shop.all("/api/orders").await, Vec::<Value>::new());
        assert_eq!((shop.stock_of("A").await, shop.stock_of("B").await), ((10, 0), (10, 0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order() {
    matrix(stocked_shop().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        let reason = json!({"reason": "changed my mind"});
        let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap());
        send_until_final(&guest.key("cancel"), &cancel, &reason).await.expect(200);
        expect_one_order(shop, "CANCELLED", (10, 10)).await;
        expect_one_payment(shop, "REFUNDED", "20.99", "20.99").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_cancelled_while_it_waits_for_the_buyer() {
    matrix(stocked_shop().await, async |shop| {
        let order = place(shop, "tok_requires_action").await.expect(201);
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        send_until_final(&shop.admin.key("cancel"), &cancel, &json!({"reason": "too slow"})).await.expect(200);
        expect_one_order(shop, "CANCELLED", (10, 10)).await;
        expect_one_payment(shop, "VOIDED", "0.00", "0.00").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_return() {
    matrix(stocked_shop().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let path = format!("/api/orders/{}", order["id"]);
        let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
        send_until_final(&shop.admin.key("ship"), &format!("{path}/fulfilments"), &parcel).await.expect(201);
        let items = json!({"items": [{"sku": "A", "quantity": 1}], "reason": "broken"});
        let requested =
            send_until_final(&shop.admin.key("return"), &format!("{path}/returns"), &items).await.expect(201);
        assert_eq!(requested["refund"], "10.00");
        let approve = format!("{path}/returns/{}/approve", requested["id"]);
        send_until_final(&shop.admin.key("approve"), &approve, &json!({})).await.expect(200);
        expect_one_payment(shop, "PARTIALLY_REFUNDED", "20.99", "10.00").await;
        while shop.stock_of("A").await.0 != 9 {
            tokio::task::yield_now().await;
        }
        expect_one_order(shop, "SHIPPED", (9, 9)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_refund() {
    matrix(stocked_shop().await, async |shop| {
        let order = place(shop, "tok_visa").await.expect(201);
        let refunds = format!("/api/payments/{}/refunds", order["payment"]["id"]);
        let body = json!({"amount": "5.55", "reason": "sorry"});
        for _ in 0..2 {
            send_until_final(&shop.admin.key("refund"), &refunds, &body).await.expect(201);
        }
        expect_one_payment(shop, "PARTIALLY_REFUNDED", "20.99", "5.55").await;
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_payment() {
    matrix(stocked_shop().await, async |shop| {
        let mut body = order_of(&[("A", 2), ("B", 1)], "");
        body["payment"] = json!({"method": "BANK_TRANSFER"});
        let order = send_until_final(&shop.anyone.key("place"), "/api/orders", &body).await.expect(201);
        assert_eq!(order["status"], "CONFIRMED");
        let capture = format!("/api/payments/{}/capture", order["payment"]["id"]);
        send_until_final(&shop.admin.key("capture"), &capture, &json!({})).await.expect(200);
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
    })
    .await;
}

/// A shop in which a customer has a cart of two A and one B, and the customer's access token.
async fn shop_with_cart() -> (Shop, String) {
    let shop = stocked_shop().await;
    let login = json!({"email": "ada@example.com", "password": crate::shop::PASSWORD});
    let created = shop.anyone.post("/api/auth/register", &login).await.expect(201);
    let ada = created["accessToken"].as_str().unwrap().to_owned();
    for (sku, quantity) in [("A", 2), ("B", 1)] {
        let item = json!({"sku": sku, "quantity": quantity});
        shop.anyone.bearer(&ada).post("/api/carts/current/items", &item).await.expect(200);
    }
    (shop, ada)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_cart() {
    let (shop, ada) = shop_with_cart().await;
    matrix(shop, async |shop| {
        let ada = shop.anyone.bearer(&ada);
        let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
        let order = send_until_final(&ada.key("place"), "/api/orders", &body).await.expect(201);
        assert_eq!(order["totals"]["total"], "20.99");
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
        assert_eq!(ada.get("/api/carts/current").await.expect(200)["items"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_ordered_four_times_at_once() {
    let (shop, ada) = shop_with_cart().await;
    matrix(shop, async |shop| {
        let ada = shop.anyone.bearer(&ada);
        let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
        let keys = ["one", "two", "three", "four"].map(|key| ada.key(key));
        let answers = futures_util::future::join_all(keys.iter().map(|ada| place_once(ada, &body))).await;
        let placed = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(placed, 1, "{answers:?}");
        expect_one_order(shop, "CONFIRMED", (8, 9)).await;
        expect_one_payment(shop, "CAPTURED", "20.99", "0.00").await;
    })
    .await;
}

/// Repeats an order until its key has an answer. `CHECKOUT_IN_PROGRESS`, when another key's order has the cart, is one.
async fn place_once(client: &Client, body: &Value) -> Answer {
    loop {
        let answer = client.post("/api/orders", body).await;
        if !matches!(answer.status, 202 | 503) && answer.json()["code"] != "IDEMPOTENCY_IN_PROGRESS" {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}
