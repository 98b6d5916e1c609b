//! What follows an order: refunds of money alone, returns, cancels and voids in any order, by every way to pay. What is said is what
//! is given, the goods go back all the same, and nothing ends where nothing works.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

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

/// An order of so many pieces, paid like this.
fn body(pieces: u32, payment: Value) -> Value {
    let mut order = order_of(&[("A", pieces)], "");
    order["payment"] = payment;
    order["shippingAddress"] = json!({"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"});
    order
}

fn card() -> Value {
    json!({"method": "CARD", "token": "tok_visa"})
}

fn on_delivery() -> Value {
    json!({"method": "CASH_ON_DELIVERY"})
}

/// An order and what is done to it.
struct Placed<'a> {
    shop: &'a Shop,
    order: Value,
}

impl<'a> Placed<'a> {
    async fn by(shop: &'a Shop, client: &Client, body: &Value) -> Self {
        Self { shop, order: client.post("/api/orders", body).await.expect(201) }
    }

    /// An order of two pieces: 16.96.
    async fn two(shop: &'a Shop, payment: Value) -> Self {
        let placed = Self::by(shop, &shop.anyone, &body(2, payment)).await;
        assert_eq!(placed.order["totals"]["total"], "16.96");
        placed
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/orders/{}{rest}", self.order["id"])
    }

    async fn post(&self, rest: &str, body: &Value) -> Answer {
        self.shop.admin.post(&self.path(rest), body).await
    }

    async fn ship(&self, pieces: u32, confirm: bool) -> Answer {
        let items = json!([{"sku": "A", "quantity": pieces}]);
        let parcel = json!({"items": items, "carrier": "Post", "trackingNumber": "1", "confirm": confirm});
        self.post("/fulfilments", &parcel).await
    }

    async fn ask(&self, pieces: u32) -> Value {
        let items = json!([{"sku": "A", "quantity": pieces}]);
        self.post("/returns", &json!({"items": items, "reason": "too small"})).await.expect(201)
    }

    async fn approve(&self, asked: &Value, terms: &Value) -> Answer {
        self.post(&format!("/returns/{}/approve", asked["id"]), terms).await
    }

    /// Returns pieces; what is answered.
    async fn give_back(&self, pieces: u32) -> Value {
        self.approve(&self.ask(pieces).await, &json!({})).await.expect(200)
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

    async fn pay(&self, verb: &str) -> Answer {
        self.shop.admin.post(&self.payment_path(verb), &json!({})).await
    }

    /// Status, what was refunded and what is no longer due of the payment.
    async fn payment(&self) -> (String, String, String) {
        let it = self.shop.admin.get(&self.payment_path("")).await.expect(200);
        let text = |name: &str| it[name].as_str().unwrap_or("0.00").to_owned();
        (text("status"), text("refunded"), text("voided"))
    }

    async fn now(&self) -> Value {
        self.shop.admin.get(&self.path("")).await.expect(200)
    }

    /// Waits until the order stands like this.
    async fn becomes(&self, status: &str, payment: &str) {
        for _ in 0..20_000 {
            let now = self.now().await;
            if now["status"] == status && now["payment"]["status"] == payment {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} is not {status} and {payment}", self.now().await);
    }

    async fn stock_is(&self, want: i64) {
        for _ in 0..20_000 {
            if self.shop.stock_of("A").await == (want, 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{:?} is not {want}", self.shop.stock_of("A").await);
    }

    /// What the timeline says of a step, the last time.
    async fn told(&self, step: &str) -> String {
        let timeline = self.shop.admin.get(&self.path("/timeline")).await.expect(200);
        let entries = timeline["items"].as_array().unwrap();
        let last = entries.iter().rev().find(|entry| entry["step"] == step).unwrap();
        last["detail"].as_str().unwrap().to_owned()
    }
}

fn three(texts: [&str; 3]) -> (String, String, String) {
    let [a, b, c] = texts.map(str::to_owned);
    (a, b, c)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_gives_what_money_is_left_and_says_how_much() {
    let shop = start().await;
    for (refunded, given, ends) in [("10.00", "6.96", true), ("0.01", "12.00", false), ("16.96", "0.00", true)] {
        let order = Placed::two(&shop, card()).await;
        order.ship(2, false).await.expect(201);
        order.stock_is(98).await;
        order.refund(refunded).await;
        let asked = order.ask(2).await;
        assert_eq!(asked["refund"], given, "also the estimate: {asked}");
        let back = order.approve(&asked, &json!({})).await.expect(200);
        assert_eq!((&back["status"], &back["refund"]), (&json!("APPROVED"), &json!(given)), "{back}");
        assert!(order.told("RETURN").await.contains(given), "{}", order.told("RETURN").await);
        order.stock_is(100).await;
        if ends {
            order.becomes("REFUNDED", "REFUNDED").await;
        } else {
            // 4.95 of the shipping are left; when they are given back too, nothing is.
            order.becomes("SHIPPED", "PARTIALLY_REFUNDED").await;
            order.refund("4.95").await;
            order.becomes("REFUNDED", "REFUNDED").await;
        }
        assert_eq!(order.now().await["returns"][0]["refund"], given);
    }
    shop.close().await;
}

/// Every mail below a directory.
fn mails(dir: &std::path::Path) -> Vec<String> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        if path.is_dir() { mails(&path) } else { vec![std::fs::read_to_string(path).unwrap()] }
    };
    paths.flat_map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_says_what_was_given() {
    let shop = start().await;
    let order = Placed::two(&shop, card()).await;
    order.ship(2, false).await.expect(201);
    order.refund("10.00").await;
    order.give_back(2).await;
    loop {
        let sent = shop.all("/api/notifications/deliveries").await;
        if sent.iter().any(|item| item["kind"] == "ORDER_RETURNED" && item["status"] == "SENT") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mails = mails(&shop.dir().join("mail"));
    let about: Vec<&String> = mails.iter().filter(|mail| mail.contains("Your return of order")).collect();
    assert!(about.len() == 1 && about[0].contains("6.96 ") && !about[0].contains("12.00"), "{about:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cash_that_was_never_taken_is_no_longer_due() {
    let shop = start().await;
    let order = Placed::two(&shop, on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.stock_is(98).await;
    let part = order.give_back(1).await;
    assert_eq!((&part["refund"], &part["voided"]), (&json!("0.00"), &json!("6.00")), "{part}");
    order.stock_is(99).await;
    assert_eq!(order.payment().await, three(["PENDING", "0.00", "6.00"]));
    let rest = order.give_back(1).await;
    assert_eq!((&rest["refund"], &rest["voided"]), (&json!("0.00"), &json!("10.96")), "{rest}");
    order.stock_is(100).await;
    assert_eq!(order.payment().await, three(["VOIDED", "0.00", "16.96"]));
    order.becomes("REFUNDED", "VOIDED").await;
    order.pay("/capture").await.refused(409, "INVALID_TRANSITION");

    let order = Placed::two(&shop, on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.give_back(1).await;
    let asked = order.ask(1).await;
    let back = order.approve(&asked, &json!({"fee": "3.00"})).await.expect(200);
    assert_eq!((&back["voided"], &back["fee"]), (&json!("7.96"), &json!("3.00")), "{back}");
    order.becomes("SHIPPED", "PENDING").await;
    assert_eq!(order.pay("/void").await.expect(200)["status"], "VOIDED", "nobody pays the fee");
    order.becomes("REFUNDED", "VOIDED").await;
    order.stock_is(100).await;

    let order = Placed::two(&shop, on_delivery()).await;
    order.ship(2, false).await.expect(201);
    order.give_back(1).await;
    assert_eq!(order.pay("/capture").await.expect(200)["captured"], "10.96", "what is still due");
    order.becomes("SHIPPED", "CAPTURED").await;
    assert_eq!(order.give_back(1).await["refund"], "6.00");
    order.refund("4.96").await;
    order.becomes("REFUNDED", "REFUNDED").await;
    order.stock_is(100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_moves_money_only() {
    let shop = start().await;
    // It can still be cancelled …
    let order = Placed::two(&shop, card()).await;
    order.refund("16.96").await;
    order.becomes("CONFIRMED", "REFUNDED").await;
    for _ in 0..2 {
        assert_eq!(order.cancel().await.expect(200)["status"], "CANCELLED");
    }
    order.stock_is(100).await;
    // … which gives what is left …
    let order = Placed::two(&shop, card()).await;
    order.refund("10.00").await;
    order.cancel().await.expect(200);
    order.stock_is(100).await;
    assert_eq!(order.payment().await.1, "16.96");
    // … or returned …
    let order = Placed::two(&shop, card()).await;
    order.refund("16.96").await;
    assert_eq!(order.give_back(2).await["refund"], "0.00");
    order.becomes("REFUNDED", "REFUNDED").await;
    order.stock_is(100).await;
    order.cancel().await.refused(409, "NOT_CANCELLABLE");
    // … or shipped, if somebody says that it shall be.
    let order = Placed::two(&shop, card()).await;
    order.refund("10.00").await;
    let refused = order.ship(2, false).await.refused(409, "UNPAID");
    assert_eq!((&refused["needed"], &refused["paid"]), (&json!("12.00"), &json!("6.96")), "{refused}");
    assert_eq!(order.now().await["status"], "CONFIRMED");
    order.ship(1, false).await.expect(201);
    order.ship(1, false).await.refused(409, "UNPAID");
    order.ship(1, true).await.expect(201);
    assert_eq!(order.now().await["status"], "SHIPPED");
    order.cancel().await.refused(409, "NOT_CANCELLABLE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_cancels_before_the_shipment_and_is_refused_after_it() {
    let shop = start().await;
    let order = Placed::two(&shop, on_delivery()).await;
    for _ in 0..2 {
        assert_eq!(order.pay("/void").await.expect(200)["status"], "VOIDED", "again changes nothing");
    }
    assert_eq!(order.now().await["status"], "CANCELLED");
    order.stock_is(100).await;
    assert!(order.told("CANCEL").await.contains("void"));
    order.ship(2, true).await.refused(409, "NOT_SHIPPABLE");
    let order = Placed::two(&shop, on_delivery()).await;
    order.ship(1, false).await.expect(201);
    order.pay("/void").await.refused(409, "NOT_CANCELLABLE");
    assert_eq!(order.payment().await.0, "PENDING");
    order.ship(1, false).await.expect(201);
    assert_eq!(order.pay("/capture").await.expect(200)["captured"], "16.96");
    order.pay("/void").await.refused(409, "INVALID_TRANSITION");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_has_not_come_does_not_ship() {
    let shop = start().await;
    let order = Placed::two(&shop, json!({"method": "BANK_TRANSFER"})).await;
    let refused = order.ship(2, false).await.refused(409, "UNPAID");
    assert_eq!(refused["paid"], "0.00");
    order.pay("/capture").await.expect(200);
    order.ship(2, false).await.expect(201);
    order.becomes("SHIPPED", "CAPTURED").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_is_given_back_and_a_fee_is_kept_within_limits() {
    let shop = start().await;
    let order = Placed::two(&shop, card()).await;
    order.ship(2, false).await.expect(201);
    let asked = order.ask(1).await;
    for (terms, code) in [
        (json!({"shippingRefund": "4.97"}), "SHIPPING_REFUND_EXCEEDS_PAID"),
        (json!({"fee": "6.01"}), "FEE_EXCEEDS_REFUND"),
        (json!({"shippingRefund": "1.00", "fee": "7.01"}), "FEE_EXCEEDS_REFUND"),
        (json!({"fee": "0.001"}), "VALIDATION_FAILED"),
        (json!({"fee": "-1", "shippingRefund": "-1"}), "VALIDATION_FAILED"),
    ] {
        let refused = order.approve(&asked, &terms).await.refused(422, code);
        if terms["fee"] == "-1" {
            assert_eq!(refused["errors"].as_array().unwrap().len(), 2, "{refused}");
        }
    }
    assert_eq!(order.now().await["returns"][0]["status"], "REQUESTED");
    let back = order.approve(&asked, &json!({"shippingRefund": "2.00", "fee": "1.50"})).await.expect(200);
    let of = |name: &str| back[name].as_str().unwrap().to_owned();
    assert_eq!(
        (of("refund"), of("shippingRefund"), of("fee")),
        ("6.50".into(), "2.00".into(), "1.50".into()),
        "{back}"
    );
    let asked = order.ask(1).await;
    let left = order.approve(&asked, &json!({"shippingRefund": "2.97"})).await;
    assert_eq!(left.refused(422, "SHIPPING_REFUND_EXCEEDS_PAID")["left"], "2.96");
    assert_eq!(order.approve(&asked, &json!({"shippingRefund": "2.96"})).await.expect(200)["refund"], "8.96");
    order.becomes("SHIPPED", "PARTIALLY_REFUNDED").await;
    order.refund("1.50").await;
    order.becomes("REFUNDED", "REFUNDED").await;
    order.stock_is(100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn written_off_units_stay_out_of_stock_when_the_rest_is_cancelled() {
    let shop = start().await;
    for (restock, left) in [(true, 100), (false, 99)] {
        let order = Placed::two(&shop, card()).await;
        let asked = order.ask(1).await;
        order.approve(&asked, &json!({"restock": restock})).await.expect(200);
        order.cancel().await.expect(200);
        order.becomes("CANCELLED", "REFUNDED").await;
        order.stock_is(left).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_to_be_returned_ends_with_a_cancel() {
    let shop = start().await;
    let order = Placed::two(&shop, card()).await;
    let asked = order.ask(1).await;
    order.cancel().await.expect(200);
    assert_eq!(order.now().await["returns"][0]["status"], "REJECTED");
    let decided = order.approve(&asked, &json!({})).await;
    decided.refused(409, "RETURN_DECIDED");
    order.stock_is(100).await;
    assert_eq!(order.payment().await.1, "16.96");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_before_is_not_shipped_again_and_nothing_is_no_parcel() {
    let shop = start().await;
    let order = Placed::two(&shop, card()).await;
    order.give_back(2).await;
    order.becomes("CONFIRMED", "PARTIALLY_REFUNDED").await;
    let all = json!({"carrier": "Post", "trackingNumber": "1"});
    order.post("/fulfilments", &all).await.refused(409, "NOTHING_LEFT_TO_SHIP");
    order.cancel().await.expect(200);
    order.stock_is(100).await;
    assert_eq!(order.payment().await, three(["REFUNDED", "16.96", "0.00"]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hands_and_returns_that_race_give_the_money_once() {
    let shop = start().await;
    for _ in 0..12 {
        let order = Placed::two(&shop, card()).await;
        order.ship(2, false).await.expect(201);
        let asked = order.ask(2).await;
        let refund = json!({"amount": "9.00", "reason": "race"});
        let admin = shop.admin.own_connection();
        let path = order.payment_path("/refunds");
        let nothing = json!({});
        let (by_hand, approved) = tokio::join!(admin.post(&path, &refund), order.approve(&asked, &nothing));
        let approved = approved.expect(200);
        let given = approved["refund"].as_str().unwrap();
        match by_hand.status {
            201 => assert_eq!(given, "7.96"),
            422 => assert_eq!(given, "12.00"),
            _ => panic!("{by_hand:?}"),
        }
        order.stock_is(100).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_paid_for_shipping_go_back_with_it() {
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
    let order = Placed::by(&shop, &ada, &all).await;
    assert_eq!(order.order["totals"]["total"], "0.00");
    order.ship(2, false).await.expect(201);
    let asked = order.ask(1).await;
    let refused = order.approve(&asked, &json!({"shippingRefund": "4.97"})).await;
    assert_eq!(refused.refused(422, "SHIPPING_REFUND_EXCEEDS_PAID")["left"], "4.96");
    let back = order.approve(&asked, &json!({"shippingRefund": "2.48"})).await.expect(200);
    assert_eq!((&back["refund"], &back["points"]), (&json!("0.00"), &json!(848)), "{back}");
    let asked = order.ask(1).await;
    order.approve(&asked, &json!({"shippingRefund": "2.48", "fee": "0.01"})).await.refused(422, "FEE_EXCEEDS_REFUND");
    let back = order.approve(&asked, &json!({"shippingRefund": "2.48"})).await.expect(200);
    assert_eq!((&back["refund"], &back["points"]), (&json!("0.00"), &json!(848)), "{back}");
    let account = ada.get(&format!("/api/rewards/account/{id}")).await.expect(200);
    assert_eq!(account["balance"], 1_696, "all of them are back: {account}");
    assert_eq!(order.now().await["status"], "REFUNDED");
    order.stock_is(100).await;
    shop.close().await;
}
