//! Payments that are captured as goods are shipped (`captureAt: SHIPMENT`): what is captured is what was shipped, at
//! any moment and to the cent, and what is cancelled is voided.

use promox_kernel::Amount;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::shop::{Shop, order_of};

/// A shop that captures at shipment, with a SKU at 6.00 and shipping at 4.96.
async fn start() -> Shop {
    let shop = Shop::start().await;
    let method = json!({"method": "POST", "name": "Post", "amount": "4.96"});
    let zones = json!({"zones": [{"name": "Home", "countries": ["GB"], "methods": [method]}]});
    shop.admin.patch("/api/settings/shipping", &zones).await.expect(200);
    let settings = shop.admin.patch("/api/settings/payments", &json!({"captureAt": "SHIPMENT"})).await.expect(200);
    assert_eq!(settings["captureAt"], "SHIPMENT");
    shop.product("A", "6.00", 100).await;
    shop
}

/// An order of three units, for 22.96.
struct Placed<'a> {
    shop: &'a Shop,
    order: Value,
}

impl<'a> Placed<'a> {
    async fn new(shop: &'a Shop, token: &str) -> Self {
        let mut body = order_of(&[("A", 3)], token);
        body["shippingAddress"] = json!({"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"});
        Self { shop, order: shop.anyone.post("/api/orders", &body).await.expect(201) }
    }

    async fn post(&self, rest: &str, body: &Value) -> Answer {
        self.shop.admin.post(&format!("/api/orders/{}{rest}", self.order["id"]), body).await
    }

    async fn ship(&self, quantity: u32) {
        let items = json!([{"sku": "A", "quantity": quantity}]);
        self.post("/fulfilments", &json!({"items": items, "carrier": "Post", "trackingNumber": "1"})).await.expect(201);
    }

    /// Returns units and approves the return. Returns the approved return.
    async fn give_back(&self, quantity: u32, terms: Value) -> Value {
        let items = json!([{"sku": "A", "quantity": quantity}]);
        let asked = self.post("/returns", &json!({"items": items, "reason": "not needed"})).await.expect(201);
        self.post(&format!("/returns/{}/approve", asked["id"]), &terms).await.expect(200)
    }

    /// Changes the payment. A refund is of all that is left.
    async fn pay(&self, verb: &str) -> Answer {
        let path = format!("/api/payments/{}/{verb}", self.payment().await["id"]);
        let body = if verb == "refunds" { json!({"reason": "a test"}) } else { json!({}) };
        self.shop.admin.post(&path, &body).await
    }

    async fn payment(&self) -> Value {
        let page = self.shop.admin.get(&format!("/api/payments?orderId={}", self.order["id"])).await.expect(200);
        page["items"][0].clone()
    }

    /// Waits until the payment has `[status, captured, refunded, voided]` and the order knows its status.
    async fn wait_for(&self, wanted: [&str; 4]) {
        loop {
            let payment = self.payment().await;
            let now = ["status", "captured", "refunded", "voided"].map(|member| payment[member].as_str().unwrap());
            let order = self.shop.admin.get(&format!("/api/orders/{}", self.order["id"])).await.expect(200);
            if now == wanted && order["payment"]["status"] == wanted[0] {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parcel_captures_what_it_contains() {
    let shop = start().await;
    let placed = Placed::new(&shop, "tok_visa").await;
    let order = &placed.order;
    assert_eq!(
        (&order["status"], &order["payment"]["status"], &order["totals"]["total"]),
        (&json!("CONFIRMED"), &json!("AUTHORIZED"), &json!("22.96"))
    );
    let refused = placed.pay("refunds").await.refused(422, "REFUND_EXCEEDS_CAPTURED");
    assert_eq!(refused["left"], "0.00", "nothing is captured yet");
    placed.ship(1).await;
    placed.wait_for(["PARTIALLY_CAPTURED", "10.96", "0.00", "0.00"]).await;
    placed.pay("void").await.refused(409, "INVALID_TRANSITION");
    placed.post("/cancel", &json!({"reason": "too late"})).await.refused(409, "NOT_CANCELLABLE");
    placed.ship(2).await;
    placed.wait_for(["CAPTURED", "22.96", "0.00", "0.00"]).await;
    let payment = placed.payment().await;
    let parts: Vec<&Value> = payment["captures"].as_array().unwrap().iter().map(|part| &part["amount"]).collect();
    assert_eq!((parts, &payment["captureAt"]), (vec![&json!("10.96"), &json!("12.00")], &json!("SHIPMENT")));
    placed.pay("refunds").await.expect(201);
    placed.wait_for(["REFUNDED", "22.96", "22.96", "0.00"]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_or_a_cancellation_before_the_shipment_gives_everything_back() {
    let shop = start().await;
    let (voided, cancelled) = (Placed::new(&shop, "tok_visa").await, Placed::new(&shop, "tok_visa").await);
    assert_eq!(voided.pay("void").await.expect(200)["status"], "VOIDED");
    cancelled.post("/cancel", &json!({"reason": "changed my mind"})).await.expect(200);
    for placed in [&voided, &cancelled] {
        placed.wait_for(["VOIDED", "0.00", "0.00", "22.96"]).await;
        assert_eq!(shop.wait_until_decided(&placed.order["id"]).await["status"], "CANCELLED");
    }
    assert_eq!(shop.settled_stock("A").await, 100);
    let shipped = Placed::new(&shop, "tok_visa").await;
    shipped.ship(3).await;
    assert_eq!(shipped.pay("void").await.status, 409);
    shipped.wait_for(["CAPTURED", "22.96", "0.00", "0.00"]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_voided_when_it_is_cancelled_and_shipped_goods_are_refunded() {
    let shop = start().await;
    let placed = Placed::new(&shop, "tok_visa").await;
    placed.ship(1).await;
    placed.wait_for(["PARTIALLY_CAPTURED", "10.96", "0.00", "0.00"]).await;
    // One unit is with the buyer and two were never shipped, of which the first is cancelled first.
    assert_eq!(placed.give_back(1, json!({})).await["refund"], "0.00");
    placed.wait_for(["PARTIALLY_CAPTURED", "10.96", "0.00", "6.00"]).await;
    let rest = placed.give_back(2, json!({"fee": "1.50"})).await;
    assert_eq!((&rest["refund"], &rest["status"]), (&json!("4.50"), &json!("APPROVED")));
    placed.wait_for(["PARTIALLY_REFUNDED", "10.96", "4.50", "12.00"]).await;
    shop.close().await;
}

/// What an order's buyer has paid in the end: captured and not refunded.
async fn kept(placed: &Placed<'_>) -> String {
    loop {
        let payment = placed.payment().await;
        let text = |member: &str| payment[member].as_str().unwrap().parse::<Amount>().unwrap();
        let waits = payment["captures"].as_array().is_some_and(|it| it.iter().any(|it| it["status"] == "PENDING"))
            || payment["refunds"].as_array().is_some_and(|it| it.iter().any(|it| it["status"] == "PENDING"));
        let (due, captured) = (text("amount") - text("voided"), text("captured"));
        if !waits && captured >= due {
            return (captured - text("refunded")).to_string();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_buyer_pays_does_not_depend_on_when_it_is_captured() {
    let shop = start().await;
    for (shipped, returned, terms, wanted) in [
        (0, &[3][..], json!({}), "0.00"),
        (0, &[1, 2], json!({}), "0.00"),
        (0, &[3], json!({"fee": "2.00"}), "2.00"),
        (0, &[3], json!({"shippingRefund": "0.00"}), "4.96"),
        (1, &[3], json!({}), "4.96"),
        (3, &[3], json!({}), "4.96"),
        (3, &[3], json!({"shippingRefund": "4.96"}), "0.00"),
        (1, &[2], json!({}), "10.96"),
    ] {
        for capture_at in ["ORDER", "SHIPMENT"] {
            shop.admin.patch("/api/settings/payments", &json!({"captureAt": capture_at})).await.expect(200);
            let placed = Placed::new(&shop, "tok_visa").await;
            if shipped > 0 {
                placed.ship(shipped).await;
            }
            for (n, quantity) in returned.iter().enumerate() {
                let is_last = n + 1 == returned.len();
                placed.give_back(*quantity, if is_last { terms.clone() } else { json!({}) }).await;
            }
            let case = format!("{capture_at}: {shipped} shipped, {returned:?} returned, {terms}");
            assert_eq!(kept(&placed).await, wanted, "{case}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_must_act_confirms_an_order_that_is_authorised() {
    let shop = start().await;
    let placed = Placed::new(&shop, "tok_requires_action").await;
    assert_eq!(placed.order["status"], "PENDING");
    assert_eq!(placed.pay("confirm").await.expect(200)["status"], "AUTHORIZED");
    assert_eq!(shop.wait_until_decided(&placed.order["id"]).await["status"], "CONFIRMED");
    let captured = placed.pay("capture").await.expect(200);
    assert_eq!((&captured["status"], &captured["captured"]), (&json!("CAPTURED"), &json!("22.96")));
    placed.pay("capture").await.refused(409, "INVALID_TRANSITION");
    placed.ship(3).await;
    // A later change of the setting applies to later orders only.
    shop.admin.patch("/api/settings/payments", &json!({"captureAt": "ORDER"})).await.expect(200);
    assert_eq!(Placed::new(&shop, "tok_visa").await.order["payment"]["status"], "CAPTURED");
    placed.wait_for(["CAPTURED", "22.96", "0.00", "0.00"]).await;
    shop.close().await;
}
