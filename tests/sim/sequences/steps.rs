//! One case: an order is placed, random operations run on it, and it is brought to an end.

use promox_contract::ids::OrderId;
use promox_contract::order::ListOrderFigures;
use promox_kernel::{Entropy, UserId};
use serde_json::{Value, json};

use super::model::{Line, Method, Model, Return, Units};
use super::{SKUS, STOCK, Shop};
use crate::client::Caller;

/// Maximum number of operations on an order.
const MAX_STEPS: u64 = 9;

/// An amount in minor units.
fn minor(value: &Value) -> i64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// An amount in minor units as decimal text.
fn amount(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// Stock, points of the buyer and uses of the coupon before the case.
struct Before {
    stock: Vec<i64>,
    points: i64,
    coupons: i64,
}

/// A running case.
struct Case<'a> {
    shop: &'a Shop,
    number: u64,
    rng: Entropy,
    buyer: UserId,
    order: Value,
    payment: Value,
    with_coupon: bool,
    before: Before,
    model: Model,
}

/// Runs a case: its operations in turn, compared with the model, or two at a time, without the model.
pub(crate) async fn play(shop: &Shop, number: u64) {
    let mut case = Case::place(shop, number).await;
    for step in 0..=case.rng.below(MAX_STEPS) {
        if number % 3 == 2 {
            tokio::join!(case.concurrent_step(2 * step), case.concurrent_step(2 * step + 1));
            continue;
        }
        case.step().await;
        shop.run_background().await;
        case.check().await;
    }
    shop.run_background().await;
    case.end().await;
}

impl<'a> Case<'a> {
    /// Places a random order with a random payment method.
    async fn place(shop: &'a Shop, number: u64) -> Self {
        let rng = Entropy::seeded(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let buyer = shop.buyers[usize::try_from(number).unwrap() % shop.buyers.len()];
        let method = Method::ALL[pick(&rng, Method::ALL.len())];
        let before =
            Before { stock: stock(shop).await, points: points(shop, buyer).await, coupons: coupons(shop).await };
        let with_coupon = rng.below(2) == 0;
        let mut body = json!({
            "items": [{"sku": SKUS[0], "quantity": 1 + rng.below(3)}],
            "shippingAddress": {"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"},
        });
        if rng.below(2) == 0 {
            body["items"].as_array_mut().unwrap().push(json!({"sku": SKUS[1], "quantity": 1 + rng.below(4)}));
        }
        if with_coupon {
            body["couponCode"] = json!("OFF");
        }
        let quote = shop.request(Caller::User(buyer), "order.quote", &[], body.clone()).await.1;
        let total = minor(&quote["totals"]["total"]);
        match method {
            Method::Card => body["payment"] = json!({"method": "CARD", "token": "tok_visa"}),
            Method::CardWithAction => body["payment"] = json!({"method": "CARD", "token": "tok_requires_action"}),
            Method::OnDelivery => body["payment"] = json!({"method": "CASH_ON_DELIVERY"}),
            Method::Transfer => body["payment"] = json!({"method": "BANK_TRANSFER"}),
            Method::Points => body["pointsToRedeem"] = json!(total),
        }
        if method != Method::Points && rng.below(3) == 0 {
            body["pointsToRedeem"] = json!(1 + rng.below(u64::try_from(total - 1).unwrap()));
        }
        let (status, order) = shop.request(Caller::User(buyer), "order.place", &[], body).await;
        assert_eq!(status, 201, "case {number}: {order}");
        let (model, payment) = (model(method, &order), order["payment"]["id"].clone());
        let case = Self { shop, number, rng, buyer, order, payment, with_coupon, before, model };
        shop.run_background().await;
        case.check().await;
        case
    }

    fn order_id(&self) -> &Value {
        &self.order["id"]
    }

    /// A random number of the units that `of` gives for each line, but at least one unit in total.
    fn random_units(&self, of: impl Fn(&Line) -> i64) -> Units {
        let mut units: Units = self.model.lines.iter().map(|line| below(&self.rng, of(line).max(0) + 1)).collect();
        if units.iter().sum::<i64>() == 0 {
            units[0] = 1;
        }
        units
    }

    /// The `items` of a request for these units.
    fn items(&self, units: &Units) -> Value {
        let lines = self.model.lines.iter().zip(units).filter(|(_, units)| **units > 0);
        lines.map(|(line, units)| json!({"sku": line.sku, "quantity": units})).collect()
    }

    /// Calls an operation on the order or its payment.
    async fn request(
        &self,
        operation: &'static str,
        more: Option<(&'static str, &Value)>,
        body: Value,
    ) -> (u16, Value) {
        let is_payment = operation.starts_with("payment.");
        let mut path = vec![("id", if is_payment { &self.payment } else { self.order_id() })];
        path.extend(more);
        self.shop.request(Caller::System, operation, &path, body).await
    }

    /// Asserts that the answer is the one that the model expects.
    fn expect(&self, operation: &str, expected: Result<(), &'static str>, (status, answer): &(u16, Value)) {
        let actual =
            if matches!(status, 200 | 201) { Ok(()) } else { Err(answer["code"].as_str().unwrap_or_default()) };
        assert_eq!(actual, expected, "case {}: {operation} of {:?} gives {answer}", self.number, self.model);
    }

    /// Runs one random operation and compares its answer with the model.
    async fn step(&mut self) {
        let has_payment = self.model.method != Method::Points;
        match self.rng.below(12) {
            0 | 1 if has_payment => self.refund().await,
            2 | 3 => self.request_return().await,
            4 | 5 => self.decide_return().await,
            6 if self.rng.below(2) == 0 => {
                let (expected, answer) = (self.model.cancel(), self.request("order.cancel", None, reason()).await);
                self.expect("cancel", expected, &answer);
            }
            7 if has_payment && self.rng.below(2) == 0 => {
                let (expected, answer) = (self.model.void(), self.request("payment.void", None, Value::Null).await);
                self.expect("void", expected, &answer);
            }
            8 if has_payment => {
                let (expected, answer) =
                    (self.model.capture(), self.request("payment.capture", None, Value::Null).await);
                self.expect("capture", expected, &answer);
            }
            9 if has_payment => {
                let (expected, answer) =
                    (self.model.confirm(), self.request("payment.confirm", None, Value::Null).await);
                self.expect("confirm", expected, &answer);
            }
            10 => self.deliver().await,
            _ => {
                let units = self.random_units(Line::shippable);
                self.ship(units, self.rng.below(3) == 0).await;
            }
        }
    }

    async fn refund(&mut self) {
        let left = self.model.left();
        let money = match self.rng.below(4) {
            0 => 1,
            1 => left + 1,
            2 => left.max(1),
            _ => 1 + below(&self.rng, left.max(1)),
        };
        let expected = self.model.refund(money);
        let answer = self.request("payment.refund", None, json!({"amount": amount(money), "reason": "sorry"})).await;
        self.expect("refund", expected, &answer);
    }

    async fn request_return(&mut self) {
        let units = self.random_units(Line::returnable);
        let expected = self.model.request_return(&units);
        let body = json!({"items": self.items(&units), "reason": "too blue"});
        let answer = self.request("order.request_return", None, body).await;
        self.expect("request", expected, &answer);
        if expected.is_ok() {
            self.model.returns.push(Return { id: answer.1["id"].as_i64().unwrap(), units, open: true });
        }
    }

    /// Approves or rejects an open return, sometimes with a shipping refund and a fee. Requests a return when none is
    /// open.
    async fn decide_return(&mut self) {
        let open: Vec<usize> = (0..self.model.returns.len()).filter(|at| self.model.returns[*at].open).collect();
        if open.is_empty() {
            return self.request_return().await;
        }
        let at = open[pick(&self.rng, open.len())];
        if self.rng.below(4) == 0 {
            let expected = self.model.reject(at);
            let answer = self
                .request("order.reject_return", Some(("rid", &json!(self.model.returns[at].id))), Value::Null)
                .await;
            return self.expect("reject", expected, &answer);
        }
        let (max, _) = self.model.limits(&self.model.returns[at].units, 0);
        let shipping = if self.rng.below(3) == 0 { below(&self.rng, max.max(0) + 2) } else { 0 };
        let (_, max) = self.model.limits(&self.model.returns[at].units, shipping);
        let fee = if self.rng.below(3) == 0 { below(&self.rng, max + 2) } else { 0 };
        self.approve(at, (shipping, fee), self.rng.below(4) > 0).await;
    }

    async fn approve(&mut self, at: usize, (shipping, fee): (i64, i64), restock: bool) {
        let expected = self.model.approve(at, (shipping, fee), restock);
        let terms = json!({"restock": restock, "shippingRefund": amount(shipping), "fee": amount(fee)});
        let id = json!(self.model.returns[at].id);
        let answer = self.request("order.approve_return", Some(("rid", &id)), terms).await;
        self.expect("approve", expected.map(drop), &answer);
        if let Ok(expected) = expected {
            let actual = (minor(&answer.1["refund"]), minor(&answer.1["voided"]), answer.1["points"].as_i64().unwrap());
            assert_eq!(
                actual,
                (expected.refund, expected.voided, expected.points),
                "case {}: {}",
                self.number,
                answer.1
            );
        }
    }

    async fn ship(&mut self, units: Units, confirm: bool) {
        let expected = self.model.ship(&units, confirm);
        let items = self.items(&units);
        let parcel = json!({"items": items, "carrier": "Post", "trackingNumber": "1", "confirm": confirm});
        let answer = self.request("order.ship", None, parcel).await;
        self.expect("ship", expected, &answer);
        if expected.is_ok() {
            self.model.parcels.push((answer.1["id"].as_i64().unwrap(), units, false));
        }
    }

    async fn deliver(&mut self) {
        if self.model.parcels.is_empty() {
            return;
        }
        let at = pick(&self.rng, self.model.parcels.len());
        self.model.deliver(at);
        let answer = self.request("order.deliver", Some(("fid", &json!(self.model.parcels[at].0))), Value::Null).await;
        self.expect("deliver", Ok(()), &answer);
    }

    /// Asserts that status, money, stock, points, coupon and figures agree with the model.
    async fn check(&self) {
        let (model, tag) = (&self.model, format!("case {}: {:?}", self.number, self.model));
        let order = self.shop.expect_success("order.get", &[("id", self.order_id())], Value::Null).await;
        assert_eq!(order["status"], model.status, "{tag}");
        if model.method != Method::Points {
            let payment = self.shop.expect_success("payment.get", &[("id", &self.payment)], Value::Null).await;
            assert_eq!(order["payment"]["status"], payment["status"], "{tag}");
            let money = (minor(&payment["captured"]), minor(&payment["refunded"]));
            assert_eq!(money, (model.captured, model.refunded), "{tag}");
        }
        for (line, (sku, before)) in model.lines.iter().zip(SKUS.iter().zip(&self.before.stock)) {
            let row = self.shop.expect_success("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
            assert_eq!(row["available"].as_i64().unwrap(), before - model.out_of_stock(line), "{tag}: {row}");
        }
        let change = points(self.shop, self.buyer).await - self.before.points;
        assert_eq!(change, model.points_change(), "{tag}");
        let used = i64::from(self.with_coupon && model.status != "CANCELLED");
        assert_eq!(coupons(self.shop).await - self.before.coupons, used, "{tag}");
        if !matches!(model.status, "CANCELLED" | "PENDING") {
            assert_eq!(self.returned_revenue().await, model.returned_net, "{tag}");
        }
    }

    /// The returned revenue of the order as the order service reports it.
    async fn returned_revenue(&self) -> i64 {
        let id = OrderId(self.order_id().as_i64().unwrap());
        let op = ListOrderFigures { ids: vec![id], from: None, to: None, after: None, limit: None };
        let figures = self.shop.cx().call(op).await.unwrap();
        minor(&json!(figures.items[0].returned))
    }

    /// Runs one random operation concurrently with another, so that its outcome is not predictable.
    async fn concurrent_step(&self, step: u64) {
        let rng = Entropy::seeded(self.number ^ (step << 40));
        let units = |most: u64| json!([{"sku": SKUS[0], "quantity": 1 + rng.below(most)}]);
        let parcel = json!({"items": units(2), "carrier": "Post", "trackingNumber": "1", "confirm": rng.below(2) == 0});
        let request = json!({"items": units(2), "reason": "too blue"});
        let refund = json!({"amount": amount(1 + below(&rng, 900)), "reason": "sorry"});
        let has_payment = self.model.method != Method::Points;
        match rng.below(10) {
            0 | 1 if has_payment => drop(self.request("payment.refund", None, refund).await),
            2 | 3 => drop(self.request("order.request_return", None, request).await),
            4 | 5 => self.approve_one(&rng).await,
            6 => drop(self.request("order.cancel", None, reason()).await),
            7 if has_payment => drop(self.request("payment.void", None, Value::Null).await),
            8 if has_payment && rng.below(2) == 0 => drop(self.request("payment.capture", None, Value::Null).await),
            8 if has_payment => drop(self.request("payment.confirm", None, Value::Null).await),
            _ => drop(self.request("order.ship", None, parcel).await),
        }
    }

    /// Approves the first open return, and asserts that the order then shows the amounts of the answer.
    async fn approve_one(&self, rng: &Entropy) {
        let order = self.shop.expect_success("order.get", &[("id", self.order_id())], Value::Null).await;
        let open = order["returns"].as_array().into_iter().flatten().find(|item| item["status"] == "REQUESTED");
        let Some(requested) = open else { return };
        let fee = amount(below(rng, 100));
        let terms = json!({"restock": rng.below(4) > 0, "shippingRefund": amount(0), "fee": fee});
        let (status, approved) = self.request("order.approve_return", Some(("rid", &requested["id"])), terms).await;
        if status == 200 {
            let now = self.shop.expect_success("order.get", &[("id", self.order_id())], Value::Null).await;
            let found =
                now["returns"].as_array().unwrap().iter().find(|item| item["id"] == requested["id"]).unwrap().clone();
            assert_eq!(
                (&found["refund"], &found["voided"]),
                (&approved["refund"], &approved["voided"]),
                "case {}",
                self.number
            );
        }
    }

    /// Brings the order to an end from any status, and asserts that money, stock and points are where they belong.
    async fn end(&self) {
        let tag = format!("case {}", self.number);
        let now = async || self.shop.expect_success("order.get", &[("id", self.order_id())], Value::Null).await;
        let mut order = now().await;
        match order["status"].as_str().unwrap() {
            "PENDING" | "CONFIRMED" => {
                let (status, answer) = self.request("order.cancel", None, reason()).await;
                assert_eq!(status, 200, "{tag}: {answer}");
            }
            "CANCELLED" | "REFUNDED" => {}
            _ => self.return_everything(&order).await,
        }
        self.shop.run_background().await;
        order = now().await;
        assert!(matches!(order["status"].as_str().unwrap(), "CANCELLED" | "REFUNDED"), "{tag}: {order}");
        let (captured, refunded) = self.money().await;
        assert_eq!(captured, refunded, "{tag}: {order}");
        let written_off = |sku: &str| written_off(&order, sku);
        for (sku, before) in SKUS.iter().zip(&self.before.stock) {
            let row = self.shop.expect_success("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
            let actual = (row["onHand"].as_i64().unwrap(), row["reserved"].as_i64().unwrap());
            assert_eq!(actual, (before - written_off(sku), 0), "{tag}: {order}");
        }
        let change = if order["status"] == "CANCELLED" {
            0
        } else {
            -self.model.points + self.points_of_goods() + self.model.shipping_points
        };
        assert_eq!(points(self.shop, self.buyer).await - self.before.points, change, "{tag}: {order}");
    }

    /// The points that returning all goods restores.
    fn points_of_goods(&self) -> i64 {
        let mut fresh = model(Method::Points, &self.order);
        let units = fresh.lines.iter().map(|line| line.quantity).collect();
        fresh.returns.push(Return { id: 0, units, open: true });
        fresh.approve(0, (0, 0), true).unwrap().points
    }

    /// Captured and refunded amount of the payment.
    async fn money(&self) -> (i64, i64) {
        if self.model.method == Method::Points {
            return (0, 0);
        }
        let payment = self.shop.expect_success("payment.get", &[("id", &self.payment)], Value::Null).await;
        (minor(&payment["captured"]), minor(&payment["refunded"]))
    }

    /// Returns all goods of a shipped order and refunds all its money.
    async fn return_everything(&self, order: &Value) {
        for requested in order["returns"].as_array().into_iter().flatten().filter(|item| item["status"] == "REQUESTED")
        {
            let (status, answer) =
                self.request("order.reject_return", Some(("rid", &requested["id"])), Value::Null).await;
            assert_eq!(status, 200, "case {}: {answer}", self.number);
        }
        let rest: Vec<Value> =
            order["lines"].as_array().unwrap().iter().filter_map(|line| remaining_item(order, line)).collect();
        if !rest.is_empty() {
            let body = json!({"items": rest, "reason": "all of it"});
            let (status, requested) = self.request("order.request_return", None, body).await;
            assert_eq!(status, 201, "case {}: {requested} of {order}", self.number);
            let terms = json!({"restock": true, "shippingRefund": amount(0)});
            let (status, approved) = self.request("order.approve_return", Some(("rid", &requested["id"])), terms).await;
            assert_eq!(status, 200, "case {}: {approved}", self.number);
        }
        self.shop.run_background().await;
        if self.model.method == Method::Points {
            return;
        }
        let payment = self.shop.expect_success("payment.get", &[("id", &self.payment)], Value::Null).await;
        if payment["status"] == "PENDING" {
            // Only the fees of returns are still due.
            let operation = if self.number.is_multiple_of(2) { "payment.capture" } else { "payment.void" };
            let (status, answer) = self.request(operation, None, Value::Null).await;
            assert_eq!(status, 200, "case {}: {answer}", self.number);
            self.shop.run_background().await;
        }
        let (captured, refunded) = self.money().await;
        if captured > refunded {
            let (status, answer) = self.request("payment.refund", None, json!({"reason": "the rest"})).await;
            assert_eq!(status, 201, "case {}: {answer}", self.number);
        }
    }
}

/// Units of a SKU that were returned and written off.
fn written_off(order: &Value, sku: &str) -> i64 {
    let approved = returns(order).filter(|item| item["status"] == "APPROVED" && item["restock"] == false);
    approved.map(|item| units(&item["items"], sku)).sum()
}

fn returns(order: &Value) -> impl Iterator<Item = &Value> {
    order["returns"].as_array().into_iter().flatten()
}

fn units(items: &Value, sku: &str) -> i64 {
    let of_sku = items.as_array().unwrap().iter().filter(|item| item["sku"] == sku);
    of_sku.map(|item| item["quantity"].as_i64().unwrap()).sum()
}

/// The units of a line that are not returned, as an item of a return, or `None` when there are none.
fn remaining_item(order: &Value, line: &Value) -> Option<Value> {
    let sku = line["sku"].as_str().unwrap();
    let returned: i64 =
        returns(order).filter(|row| row["status"] == "APPROVED").map(|row| units(&row["items"], sku)).sum();
    let left = line["quantity"].as_i64().unwrap() - returned;
    (left > 0).then(|| json!({"sku": sku, "quantity": left}))
}

/// The model of a placed order.
fn model(method: Method, order: &Value) -> Model {
    let line = |line: &Value| Line {
        sku: line["sku"].as_str().unwrap().to_owned(),
        quantity: line["quantity"].as_i64().unwrap(),
        total: minor(&line["total"]),
        net: minor(&line["subtotal"]) - minor(&line["discount"]) - minor(&line["tax"]),
        shipped: 0,
        delivered: 0,
        returned: 0,
        withdrawn: 0,
        written_off: 0,
    };
    let lines: Vec<Line> = order["lines"].as_array().unwrap().iter().map(line).collect();
    let totals = &order["totals"];
    let (total, value) = (minor(&totals["total"]), minor(&totals["pointsValue"]));
    let shipping = total + value - lines.iter().map(|line| line.total).sum::<i64>();
    let points = (totals["pointsRedeemed"].as_i64().unwrap(), value, order["pointsEarned"].as_i64().unwrap());
    Model::new(method, lines, (total, shipping), points)
}

fn reason() -> Value {
    json!({"reason": "changed my mind"})
}

fn below(rng: &Entropy, bound: i64) -> i64 {
    i64::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
}

fn pick(rng: &Entropy, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap()
}

async fn stock(shop: &Shop) -> Vec<i64> {
    let mut stock = Vec::new();
    for sku in SKUS {
        let row = shop.expect_success("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
        let on_hand = row["onHand"].as_i64().unwrap();
        assert!(row["reserved"] == 0 && on_hand <= STOCK, "{row}");
        stock.push(on_hand);
    }
    stock
}

async fn points(shop: &Shop, user: UserId) -> i64 {
    shop.expect_success("reward.get_account", &[("id", &json!(user.0))], Value::Null).await["balance"].as_i64().unwrap()
}

async fn coupons(shop: &Shop) -> i64 {
    let coupon = shop.expect_success("coupon.get", &[("code", &json!("OFF"))], Value::Null).await;
    coupon["redeemed"].as_i64().unwrap_or_else(|| panic!("{coupon}"))
}
