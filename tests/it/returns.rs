//! Refunds, returns, cancels and voids of an order, in any sequence and with every payment method. The amounts reported
//! are the amounts refunded, the goods are restocked in any case, and no sequence leaves an order stuck.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

/// The shipping amount.
const POST: &str = "4.96";

/// A shop with a SKU at 6.00 and shipping at 4.96.
async fn start() -> Shop {
    let shop = Shop::start().await;
    let method = json!({"method": "POST", "name": "Post", "amount": POST});
    let zones = json!({"zones": [{"name": "Home", "countries": ["GB"], "methods": [method]}]});
    shop.admin.patch("/api/settings/shipping", &zones).await.expect(200);
    shop.product("A", "6.00", 100).await;
    shop
}

/// The body of an order of `quantity` units.
fn body(quantity: u32, payment: Value) -> Value {
    let mut order = order_of(&[("A", quantity)], "");
    order["payment"] = payment;
    order["shippingAddress"] = json!({"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"});
    order
}

fn card() -> Value {
    json!({"method": "CARD", "token": "tok_visa"})
}

fn cash_on_delivery() -> Value {
    json!({"method": "CASH_ON_DELIVERY"})
}

/// A placed order, with the operations on it.
struct PlacedOrder<'a> {
    shop: &'a Shop,
    order: Value,
}

impl<'a> PlacedOrder<'a> {
    async fn place(shop: &'a Shop, client: &Client, body: &Value) -> Self {
        Self { shop, order: client.post("/api/orders", body).await.expect(201) }
    }

    /// Places an order of two units, for 16.96.
    async fn two_units(shop: &'a Shop, payment: Value) -> Self {
        let placed = Self::place(shop, &shop.anyone, &body(2, payment)).await;
        assert_eq!(placed.order["totals"]["total"], "16.96");
        placed
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/orders/{}{rest}", self.order["id"])
    }

    async fn post(&self, rest: &str, body: &Value) -> Answer {
        self.shop.admin.post(&self.path(rest), body).await
    }

    async fn ship(&self, quantity: u32, confirm: bool) -> Answer {
        let items = json!([{"sku": "A", "quantity": quantity}]);
        let parcel = json!({"items": items, "carrier": "Post", "trackingNumber": "1", "confirm": confirm});
        self.post("/fulfilments", &parcel).await
    }

    async fn request_return(&self, quantity: u32) -> Value {
        let items = json!([{"sku": "A", "quantity": quantity}]);
        self.post("/returns", &json!({"items": items, "reason": "too small"})).await.expect(201)
    }

    async fn approve(&self, requested: &Value, terms: &Value) -> Answer {
        self.post(&format!("/returns/{}/approve", requested["id"]), terms).await
    }

    /// Requests and approves a return, and returns the answer of the approval.
    async fn return_units(&self, quantity: u32) -> Value {
        self.approve(&self.request_return(quantity).await, &json!({})).await.expect(200)
    }

    async fn cancel(&self) -> Answer {
        self.post("/cancel", &json!({"reason": "changed my mind"})).await
    }

    fn payment_path(&self, rest: &str) -> String {
        format!("/api/payments/{}{rest}", self.order["payment"]["id"])
    }

    async fn refund(&self, amount: &str) {
        let refund = json!({"amount": amount, "reason": "sorry"});
        self.shop.admin.post(&self.payment_path("/refunds"), &refund).await.expect(201);
    }

    /// Captures or voids the payment: `action` is `/capture` or `/void`.
    async fn payment_action(&self, action: &str) -> Answer {
        self.shop.admin.post(&self.payment_path(action), &json!({})).await
    }

    /// Status, refunded amount and voided amount of the payment.
    async fn payment(&self) -> (String, String, String) {
        let payment = self.shop.admin.get(&self.payment_path("")).await.expect(200);
        let text = |name: &str| payment[name].as_str().unwrap_or("0.00").to_owned();
        (text("status"), text("refunded"), text("voided"))
    }

    /// The order as it is now.
    async fn current(&self) -> Value {
        self.shop.admin.get(&self.path("")).await.expect(200)
    }

    /// Waits until the order and its payment have these statuses.
    async fn wait_for_status(&self, status: &str, payment: &str) {
        for _ in 0..20_000 {
            let current = self.current().await;
            if current["status"] == status && current["payment"]["status"] == payment {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} is not {status} and {payment}", self.current().await);
    }

    /// Waits until the stock of A is `on_hand` with nothing reserved.
    async fn wait_for_stock(&self, on_hand: i64) {
        for _ in 0..20_000 {
            if self.shop.stock_of("A").await == (on_hand, 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{:?} is not {on_hand}", self.shop.stock_of("A").await);
    }

    /// The detail of the last timeline entry of a step.
    async fn last_detail(&self, step: &str) -> String {
        let timeline = self.shop.admin.get(&self.path("/timeline")).await.expect(200);
        let entries = timeline["items"].as_array().unwrap();
        let last = entries.iter().rev().find(|entry| entry["step"] == step).unwrap();
        last["detail"].as_str().unwrap().to_owned()
    }
}

/// An expected result of [`PlacedOrder::payment`].
fn payment_of(texts: [&str; 3]) -> (String, String, String) {
    let [a, b, c] = texts.map(str::to_owned);
    (a, b, c)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_refunds_at_most_the_remaining_money() {
    let shop = start().await;
    for (refunded, refund, is_final) in [("10.00", "6.96", true), ("0.01", "12.00", false), ("16.96", "0.00", true)] {
        let order = PlacedOrder::two_units(&shop, card()).await;
        order.ship(2, false).await.expect(201);
        order.wait_for_stock(98).await;
        order.refund(refunded).await;
        let requested = order.request_return(2).await;
        assert_eq!(requested["refund"], refund, "the estimate is limited too: {requested}");
        let approved = order.approve(&requested, &json!({})).await.expect(200);
        assert_eq!((&approved["status"], &approved["refund"]), (&json!("APPROVED"), &json!(refund)), "{approved}");
        assert!(order.last_detail("RETURN").await.contains(refund), "{}", order.last_detail("RETURN").await);
        order.wait_for_stock(100).await;
        if is_final {
            order.wait_for_status("REFUNDED", "REFUNDED").await;
        } else {
            // 4.95 of the shipping are left; refunding them ends the order.
            order.wait_for_status("DELIVERED", "PARTIALLY_REFUNDED").await;
            order.refund("4.95").await;
            order.wait_for_status("REFUNDED", "REFUNDED").await;
        }
        assert_eq!(order.current().await["returns"][0]["refund"], refund);
    }
    shop.close().await;
}

/// The texts of all mails below a directory.
fn mails(dir: &std::path::Path) -> Vec<String> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        if path.is_dir() { mails(&path) } else { vec![std::fs::read_to_string(path).unwrap()] }
    };
    paths.flat_map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_return_mail_states_the_refund() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.ship(2, false).await.expect(201);
    order.refund("10.00").await;
    order.return_units(2).await;
    loop {
        let sent = shop.all("/api/notifications/deliveries").await;
        if sent.iter().any(|item| item["kind"] == "ORDER_RETURNED" && item["status"] == "SENT") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mails = mails(&shop.dir().join("mail"));
    let about: Vec<&String> = mails.iter().filter(|mail| mail.contains("Your return of order")).collect();
    assert!(about.len() == 1 && about[0].contains("6.96") && !about[0].contains("12.00"), "{about:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_voids_cash_that_was_not_captured() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, cash_on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.wait_for_stock(98).await;
    let first = order.return_units(1).await;
    assert_eq!((&first["refund"], &first["voided"]), (&json!("0.00"), &json!("6.00")), "{first}");
    order.wait_for_stock(99).await;
    assert_eq!(order.payment().await, payment_of(["PENDING", "0.00", "6.00"]));
    let second = order.return_units(1).await;
    assert_eq!((&second["refund"], &second["voided"]), (&json!("0.00"), &json!("10.96")), "{second}");
    order.wait_for_stock(100).await;
    assert_eq!(order.payment().await, payment_of(["VOIDED", "0.00", "16.96"]));
    order.wait_for_status("REFUNDED", "VOIDED").await;
    order.payment_action("/capture").await.refused(409, "INVALID_TRANSITION");

    let order = PlacedOrder::two_units(&shop, cash_on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.return_units(1).await;
    let requested = order.request_return(1).await;
    let approved = order.approve(&requested, &json!({"fee": "3.00"})).await.expect(200);
    assert_eq!((&approved["voided"], &approved["fee"]), (&json!("7.96"), &json!("3.00")), "{approved}");
    order.wait_for_status("DELIVERED", "PENDING").await;
    assert_eq!(order.payment_action("/void").await.expect(200)["status"], "VOIDED", "the unpaid fee is voided");
    order.wait_for_status("REFUNDED", "VOIDED").await;
    order.wait_for_stock(100).await;

    let order = PlacedOrder::two_units(&shop, cash_on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.return_units(1).await;
    assert_eq!(order.payment_action("/capture").await.expect(200)["captured"], "10.96", "the amount still due");
    order.wait_for_status("SHIPPED", "CAPTURED").await;
    assert_eq!(order.return_units(1).await["refund"], "6.00");
    order.refund("4.96").await;
    order.wait_for_status("REFUNDED", "REFUNDED").await;
    order.wait_for_stock(100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_a_return_leaves_the_goods() {
    let shop = start().await;
    // A refunded order can be cancelled, any number of times.
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.refund("16.96").await;
    order.wait_for_status("CONFIRMED", "REFUNDED").await;
    for _ in 0..2 {
        assert_eq!(order.cancel().await.expect(200)["status"], "CANCELLED");
    }
    order.wait_for_stock(100).await;
    // Cancelling a partially refunded order refunds the rest.
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.refund("10.00").await;
    order.cancel().await.expect(200);
    order.wait_for_stock(100).await;
    assert_eq!(order.payment().await.1, "16.96");
    // A refunded order can be returned.
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.refund("16.96").await;
    assert_eq!(order.return_units(2).await["refund"], "0.00");
    order.wait_for_status("REFUNDED", "REFUNDED").await;
    order.wait_for_stock(100).await;
    order.cancel().await.refused(409, "NOT_CANCELLABLE");
    // An order that is refunded below the value of its units ships only with `confirm`.
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.refund("10.00").await;
    let refused = order.ship(2, false).await.refused(409, "UNPAID");
    assert_eq!((&refused["needed"], &refused["paid"]), (&json!("12.00"), &json!("6.96")), "{refused}");
    assert_eq!(order.current().await["status"], "CONFIRMED");
    order.ship(1, false).await.expect(201);
    order.ship(1, false).await.refused(409, "UNPAID");
    order.ship(1, true).await.expect(201);
    assert_eq!(order.current().await["status"], "SHIPPED");
    order.cancel().await.refused(409, "NOT_CANCELLABLE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_cancels_before_the_shipment_and_is_refused_after_it() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, cash_on_delivery()).await;
    for _ in 0..2 {
        assert_eq!(
            order.payment_action("/void").await.expect(200)["status"],
            "VOIDED",
            "a repeated void changes nothing"
        );
    }
    assert_eq!(order.current().await["status"], "CANCELLED");
    order.wait_for_stock(100).await;
    assert!(order.last_detail("CANCEL").await.contains("void"));
    order.ship(2, true).await.refused(409, "NOT_SHIPPABLE");
    let order = PlacedOrder::two_units(&shop, cash_on_delivery()).await;
    order.ship(1, false).await.expect(201);
    order.payment_action("/void").await.refused(409, "NOT_CANCELLABLE");
    assert_eq!(order.payment().await.0, "PENDING");
    order.ship(1, false).await.expect(201);
    assert_eq!(order.payment_action("/capture").await.expect(200)["captured"], "16.96");
    order.payment_action("/void").await.refused(409, "INVALID_TRANSITION");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_ends_when_the_rest_of_it_is_returned_instead_of_shipped() {
    let shop = start().await;
    // Of two units one is shipped; the other is not wanted any more.
    let order = PlacedOrder::two_units(&shop, card()).await;
    let parcel = order.ship(1, false).await.expect(201);
    assert_eq!(order.return_units(1).await["refund"], "6.00");
    order.wait_for_status("SHIPPED", "PARTIALLY_REFUNDED").await;
    order.ship(1, true).await.refused(409, "NOT_SHIPPABLE");
    order.post(&format!("/fulfilments/{}/deliver", parcel["id"]), &json!({})).await.expect(200);
    order.wait_for_status("DELIVERED", "PARTIALLY_REFUNDED").await;
    order.wait_for_stock(99).await;
    // A unit that was delivered before the rest is returned.
    let order = PlacedOrder::two_units(&shop, card()).await;
    let parcel = order.ship(1, false).await.expect(201);
    order.post(&format!("/fulfilments/{}/deliver", parcel["id"]), &json!({})).await.expect(200);
    order.return_units(1).await;
    order.wait_for_status("DELIVERED", "PARTIALLY_REFUNDED").await;
    order.wait_for_stock(98).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_bank_transfer_is_not_shipped() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, json!({"method": "BANK_TRANSFER"})).await;
    let refused = order.ship(2, false).await.refused(409, "UNPAID");
    assert_eq!(refused["paid"], "0.00");
    order.payment_action("/capture").await.expect(200);
    order.ship(2, false).await.expect(201);
    order.wait_for_status("SHIPPED", "CAPTURED").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_refunds_and_return_fees_are_limited() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.ship(2, false).await.expect(201);
    let requested = order.request_return(1).await;
    for (terms, code) in [
        (json!({"shippingRefund": "4.97"}), "SHIPPING_REFUND_EXCEEDS_PAID"),
        (json!({"fee": "6.01"}), "FEE_EXCEEDS_REFUND"),
        (json!({"shippingRefund": "1.00", "fee": "7.01"}), "FEE_EXCEEDS_REFUND"),
        (json!({"fee": "0.001"}), "VALIDATION_FAILED"),
        (json!({"fee": "-1", "shippingRefund": "-1"}), "VALIDATION_FAILED"),
    ] {
        let refused = order.approve(&requested, &terms).await.refused(422, code);
        if terms["fee"] == "-1" {
            assert_eq!(refused["errors"].as_array().unwrap().len(), 2, "{refused}");
        }
    }
    assert_eq!(order.current().await["returns"][0]["status"], "REQUESTED");
    let approved = order.approve(&requested, &json!({"shippingRefund": "2.00", "fee": "1.50"})).await.expect(200);
    let of = |name: &str| approved[name].as_str().unwrap().to_owned();
    assert_eq!(
        (of("refund"), of("shippingRefund"), of("fee")),
        ("6.50".into(), "2.00".into(), "1.50".into()),
        "{approved}"
    );
    let requested = order.request_return(1).await;
    let left = order.approve(&requested, &json!({"shippingRefund": "2.97"})).await;
    assert_eq!(left.refused(422, "SHIPPING_REFUND_EXCEEDS_PAID")["left"], "2.96");
    assert_eq!(order.approve(&requested, &json!({"shippingRefund": "2.96"})).await.expect(200)["refund"], "8.96");
    order.wait_for_status("DELIVERED", "PARTIALLY_REFUNDED").await;
    order.refund("1.50").await;
    order.wait_for_status("REFUNDED", "REFUNDED").await;
    order.wait_for_stock(100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn written_off_units_stay_out_of_stock_when_the_rest_is_cancelled() {
    let shop = start().await;
    for (restock, left) in [(true, 100), (false, 99)] {
        let order = PlacedOrder::two_units(&shop, card()).await;
        let requested = order.request_return(1).await;
        order.approve(&requested, &json!({"restock": restock})).await.expect(200);
        order.cancel().await.expect(200);
        order.wait_for_status("CANCELLED", "REFUNDED").await;
        order.wait_for_stock(left).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_order_rejects_its_open_returns() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, card()).await;
    let requested = order.request_return(1).await;
    order.cancel().await.expect(200);
    assert_eq!(order.current().await["returns"][0]["status"], "REJECTED");
    let decided = order.approve(&requested, &json!({})).await;
    decided.refused(409, "RETURN_DECIDED");
    order.wait_for_stock(100).await;
    assert_eq!(order.payment().await.1, "16.96");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fulfilment_without_units_left_to_ship_is_refused() {
    let shop = start().await;
    let order = PlacedOrder::two_units(&shop, card()).await;
    order.return_units(2).await;
    // Nothing of it was shipped and nothing is left, so the shipping is given back too.
    order.wait_for_status("REFUNDED", "REFUNDED").await;
    let all = json!({"carrier": "Post", "trackingNumber": "1"});
    order.post("/fulfilments", &all).await.refused(409, "NOT_SHIPPABLE");
    order.cancel().await.refused(409, "NOT_CANCELLABLE");
    order.wait_for_stock(100).await;
    assert_eq!(order.payment().await, payment_of(["REFUNDED", "16.96", "0.00"]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_racing_a_return_refunds_the_money_once() {
    let shop = start().await;
    for _ in 0..12 {
        let order = PlacedOrder::two_units(&shop, card()).await;
        order.ship(2, false).await.expect(201);
        let requested = order.request_return(2).await;
        let body = json!({"amount": "9.00", "reason": "race"});
        let admin = shop.admin.own_connection();
        let path = order.payment_path("/refunds");
        let nothing = json!({});
        let (refunded, approved) = tokio::join!(admin.post(&path, &body), order.approve(&requested, &nothing));
        let approved = approved.expect(200);
        let refund = approved["refund"].as_str().unwrap();
        match refunded.status {
            201 => assert_eq!(refund, "7.96"),
            422 => assert_eq!(refund, "12.00"),
            _ => panic!("{refunded:?}"),
        }
        order.wait_for_stock(100).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_paid_for_shipping_are_restored_with_it() {
    let shop = start().await;
    shop.admin.patch("/api/rewards/settings", &json!({"pointValue": "0.01"})).await.expect(200);
    let ada = shop.customer("ada@example.com").await;
    let id = ada.get("/api/users/me").await.expect(200)["id"].clone();
    let gift = json!({"points": 1_696, "reason": "a present"});
    shop.admin.post(&format!("/api/rewards/account/{id}/adjust"), &gift).await.expect(200);
    let mut all = body(2, card());
    let members = all.as_object_mut().unwrap();
    members.remove("payment");
    members.remove("email");
    members.insert("pointsToRedeem".to_owned(), json!(1_696));
    let order = PlacedOrder::place(&shop, &ada, &all).await;
    assert_eq!(order.order["totals"]["total"], "0.00");
    order.ship(2, false).await.expect(201);
    let requested = order.request_return(1).await;
    let refused = order.approve(&requested, &json!({"shippingRefund": "4.97"})).await;
    assert_eq!(refused.refused(422, "SHIPPING_REFUND_EXCEEDS_PAID")["left"], "4.96");
    let approved = order.approve(&requested, &json!({"shippingRefund": "2.48"})).await.expect(200);
    assert_eq!((&approved["refund"], &approved["points"]), (&json!("0.00"), &json!(848)), "{approved}");
    let requested = order.request_return(1).await;
    order
        .approve(&requested, &json!({"shippingRefund": "2.48", "fee": "0.01"}))
        .await
        .refused(422, "FEE_EXCEEDS_REFUND");
    let approved = order.approve(&requested, &json!({"shippingRefund": "2.48"})).await.expect(200);
    assert_eq!((&approved["refund"], &approved["points"]), (&json!("0.00"), &json!(848)), "{approved}");
    let account = ada.get(&format!("/api/rewards/account/{id}")).await.expect(200);
    assert_eq!(account["balance"], 1_696, "all points are restored: {account}");
    assert_eq!(order.current().await["status"], "REFUNDED");
    order.wait_for_stock(100).await;
    shop.close().await;
}
