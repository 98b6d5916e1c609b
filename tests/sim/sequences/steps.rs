//! One case: an order is placed, things are done to it, and it is brought to an end.

use promox_contract::ids::OrderId;
use promox_contract::order::ListOrderFigures;
use promox_kernel::{Entropy, UserId};
use serde_json::{Value, json};

use super::model::{Asked, Line, Model, Units, Way};
use super::{Desk, SKUS, STOCK};
use crate::ask::Who;

/// Things done to one order at most.
const MOST: u64 = 9;

/// An amount in minor units.
fn minor(value: &Value) -> i64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// An amount as it is written.
fn amount(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// What the shop had before the case.
struct Before {
    stock: Vec<i64>,
    points: i64,
    coupons: i64,
}

/// A case that runs.
struct Case<'a> {
    desk: &'a Desk,
    number: u64,
    dice: Entropy,
    buyer: UserId,
    order: Value,
    payment: Value,
    with_coupon: bool,
    before: Before,
    model: Model,
}

/// Plays a case through: one thing after the other against the model, or several at once.
pub(crate) async fn play(desk: &Desk, number: u64) {
    let mut case = Case::place(desk, number).await;
    for step in 0..=case.dice.below(MOST) {
        if number % 3 == 2 {
            let pair = (case.storm(2 * step), case.storm(2 * step + 1));
            tokio::join!(pair.0, pair.1);
            continue;
        }
        case.step().await;
        desk.rest().await;
        case.check().await;
    }
    desk.rest().await;
    case.end().await;
}

impl<'a> Case<'a> {
    async fn place(desk: &'a Desk, number: u64) -> Self {
        let dice = Entropy::seeded(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let buyer = desk.buyers[usize::try_from(number).unwrap() % desk.buyers.len()];
        let way = Way::ALL[pick(&dice, Way::ALL.len())];
        let before =
            Before { stock: stock(desk).await, points: points(desk, buyer).await, coupons: coupons(desk).await };
        let with_coupon = dice.below(2) == 0;
        let mut body = json!({
            "items": [{"sku": SKUS[0], "quantity": 1 + dice.below(3)}],
            "shippingAddress": {"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"},
        });
        if dice.below(2) == 0 {
            body["items"].as_array_mut().unwrap().push(json!({"sku": SKUS[1], "quantity": 1 + dice.below(4)}));
        }
        if with_coupon {
            body["couponCode"] = json!("OFF");
        }
        let quote = desk.ask(Who::User(buyer), "order.quote", &[], body.clone()).await.1;
        let total = minor(&quote["totals"]["total"]);
        match way {
            Way::Card => body["payment"] = json!({"method": "CARD", "token": "tok_visa"}),
            Way::Action => body["payment"] = json!({"method": "CARD", "token": "tok_requires_action"}),
            Way::OnDelivery => body["payment"] = json!({"method": "CASH_ON_DELIVERY"}),
            Way::Transfer => body["payment"] = json!({"method": "BANK_TRANSFER"}),
            Way::Points => body["pointsToRedeem"] = json!(total),
        }
        if way != Way::Points && dice.below(3) == 0 {
            body["pointsToRedeem"] = json!(1 + dice.below(u64::try_from(total - 1).unwrap()));
        }
        let (status, order) = desk.ask(Who::User(buyer), "order.place", &[], body).await;
        assert_eq!(status, 201, "case {number}: {order}");
        let (model, payment) = (model(way, &order), order["payment"]["id"].clone());
        let case = Self { desk, number, dice, buyer, order, payment, with_coupon, before, model };
        desk.rest().await;
        case.check().await;
        case
    }

    fn id(&self) -> &Value {
        &self.order["id"]
    }

    /// Some of what each line has of this, at least one unit of all; none when there is none.
    fn some(&self, of: impl Fn(&Line) -> i64) -> Units {
        let mut units: Units = self.model.lines.iter().map(|line| below(&self.dice, of(line).max(0) + 1)).collect();
        if units.iter().sum::<i64>() == 0 {
            units[0] = 1;
        }
        units
    }

    /// Units as they are written in a request.
    fn items(&self, units: &Units) -> Value {
        let lines = self.model.lines.iter().zip(units).filter(|(_, units)| **units > 0);
        lines.map(|(line, units)| json!({"sku": line.sku, "quantity": units})).collect()
    }

    async fn ask(&self, operation: &'static str, more: Option<(&'static str, &Value)>, body: Value) -> (u16, Value) {
        let of_payment = operation.starts_with("payment.");
        let mut path = vec![("id", if of_payment { &self.payment } else { self.id() })];
        path.extend(more);
        self.desk.ask(Who::Shop, operation, &path, body).await
    }

    /// The answer is what the model expects.
    fn expect(&self, what: &str, wanted: Result<(), &'static str>, (status, answer): &(u16, Value)) {
        let got = if matches!(status, 200 | 201) { Ok(()) } else { Err(answer["code"].as_str().unwrap_or_default()) };
        assert_eq!(got, wanted, "case {}: {what} of {:?} gives {answer}", self.number, self.model);
    }

    /// Does one thing.
    async fn step(&mut self) {
        let paid = self.model.way != Way::Points;
        match self.dice.below(12) {
            0 | 1 if paid => self.refund().await,
            2 | 3 => self.ask_for_a_return().await,
            4 | 5 => self.decide().await,
            6 if self.dice.below(2) == 0 => {
                let (wanted, answer) = (self.model.cancel(), self.ask("order.cancel", None, reason()).await);
                self.expect("cancel", wanted, &answer);
            }
            7 if paid && self.dice.below(2) == 0 => {
                let (wanted, answer) = (self.model.void(), self.ask("payment.void", None, Value::Null).await);
                self.expect("void", wanted, &answer);
            }
            8 if paid => {
                let (wanted, answer) = (self.model.capture(), self.ask("payment.capture", None, Value::Null).await);
                self.expect("capture", wanted, &answer);
            }
            9 if paid => {
                let (wanted, answer) = (self.model.confirm(), self.ask("payment.confirm", None, Value::Null).await);
                self.expect("confirm", wanted, &answer);
            }
            10 => self.deliver().await,
            _ => {
                let units = self.some(Line::shippable);
                self.ship(units, self.dice.below(3) == 0).await;
            }
        }
    }

    async fn refund(&mut self) {
        let left = self.model.left();
        let money = match self.dice.below(4) {
            0 => 1,
            1 => left + 1,
            2 => left.max(1),
            _ => 1 + below(&self.dice, left.max(1)),
        };
        let wanted = self.model.refund(money);
        let answer = self.ask("payment.refund", None, json!({"amount": amount(money), "reason": "sorry"})).await;
        self.expect("refund", wanted, &answer);
    }

    async fn ask_for_a_return(&mut self) {
        let units = self.some(Line::returnable);
        let wanted = self.model.ask(&units);
        let body = json!({"items": self.items(&units), "reason": "too blue"});
        let answer = self.ask("order.request_return", None, body).await;
        self.expect("request", wanted, &answer);
        if wanted.is_ok() {
            self.model.asked.push(Asked { id: answer.1["id"].as_i64().unwrap(), units, open: true });
        }
    }

    /// Approves or rejects a return that waits, with shipping and fee now and then.
    async fn decide(&mut self) {
        let waiting: Vec<usize> = (0..self.model.asked.len()).filter(|at| self.model.asked[*at].open).collect();
        if waiting.is_empty() {
            return self.ask_for_a_return().await;
        }
        let at = waiting[pick(&self.dice, waiting.len())];
        if self.dice.below(4) == 0 {
            let wanted = self.model.reject(at);
            let answer =
                self.ask("order.reject_return", Some(("rid", &json!(self.model.asked[at].id))), Value::Null).await;
            return self.expect("reject", wanted, &answer);
        }
        let (most, _) = self.model.limits(&self.model.asked[at].units, 0);
        let shipping = if self.dice.below(3) == 0 { below(&self.dice, most.max(0) + 2) } else { 0 };
        let (_, most) = self.model.limits(&self.model.asked[at].units, shipping);
        let fee = if self.dice.below(3) == 0 { below(&self.dice, most + 2) } else { 0 };
        self.approve(at, (shipping, fee), self.dice.below(4) > 0).await;
    }

    async fn approve(&mut self, at: usize, (shipping, fee): (i64, i64), restock: bool) {
        let gives = self.model.approve(at, (shipping, fee), restock);
        let terms = json!({"restock": restock, "shippingRefund": amount(shipping), "fee": amount(fee)});
        let id = json!(self.model.asked[at].id);
        let answer = self.ask("order.approve_return", Some(("rid", &id)), terms).await;
        self.expect("approve", gives.map(drop), &answer);
        if let Ok(gives) = gives {
            let said = (minor(&answer.1["refund"]), minor(&answer.1["voided"]), answer.1["points"].as_i64().unwrap());
            assert_eq!(said, (gives.refund, gives.voided, gives.points), "case {}: {}", self.number, answer.1);
        }
    }

    async fn ship(&mut self, units: Units, confirm: bool) {
        let wanted = self.model.ship(&units, confirm);
        let items = self.items(&units);
        let parcel = json!({"items": items, "carrier": "Post", "trackingNumber": "1", "confirm": confirm});
        let answer = self.ask("order.ship", None, parcel).await;
        self.expect("ship", wanted, &answer);
        if wanted.is_ok() {
            self.model.parcels.push((answer.1["id"].as_i64().unwrap(), units, false));
        }
    }

    async fn deliver(&mut self) {
        if self.model.parcels.is_empty() {
            return;
        }
        let at = pick(&self.dice, self.model.parcels.len());
        self.model.deliver(at);
        let answer = self.ask("order.deliver", Some(("fid", &json!(self.model.parcels[at].0))), Value::Null).await;
        self.expect("deliver", Ok(()), &answer);
    }

    /// Everything is as the model says: state, money, goods, points, coupon and figures.
    async fn check(&self) {
        let (model, tag) = (&self.model, format!("case {}: {:?}", self.number, self.model));
        let order = self.desk.done("order.get", &[("id", self.id())], Value::Null).await;
        assert_eq!(order["status"], model.status, "{tag}");
        if model.way != Way::Points {
            let payment = self.desk.done("payment.get", &[("id", &self.payment)], Value::Null).await;
            assert_eq!(order["payment"]["status"], payment["status"], "{tag}");
            let money = (minor(&payment["captured"]), minor(&payment["refunded"]));
            assert_eq!(money, (model.captured, model.refunded), "{tag}");
        }
        for (line, (sku, before)) in model.lines.iter().zip(SKUS.iter().zip(&self.before.stock)) {
            let row = self.desk.done("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
            assert_eq!(row["available"].as_i64().unwrap(), before - model.out(line), "{tag}: {row}");
        }
        let moved = points(self.desk, self.buyer).await - self.before.points;
        assert_eq!(moved, model.points_moved(), "{tag}");
        let used = i64::from(self.with_coupon && model.status != "CANCELLED");
        assert_eq!(coupons(self.desk).await - self.before.coupons, used, "{tag}");
        if !matches!(model.status, "CANCELLED" | "PENDING") {
            let figure = self.figure().await;
            assert_eq!(figure, model.returned_net, "{tag}");
        }
    }

    /// What of the order's revenue went back, as its figures say.
    async fn figure(&self) -> i64 {
        let id = OrderId(self.id().as_i64().unwrap());
        let asked = ListOrderFigures { ids: vec![id], from: None, to: None, after: None, limit: None };
        let figures = self.desk.cx().call(asked).await.unwrap();
        minor(&json!(figures.items[0].returned))
    }

    /// Does something of which nothing is known before: others do things at the same time.
    async fn storm(&self, step: u64) {
        let dice = Entropy::seeded(self.number ^ (step << 40));
        let units = |most: u64| json!([{"sku": SKUS[0], "quantity": 1 + dice.below(most)}]);
        let parcel =
            json!({"items": units(2), "carrier": "Post", "trackingNumber": "1", "confirm": dice.below(2) == 0});
        let asked = json!({"items": units(2), "reason": "too blue"});
        let refund = json!({"amount": amount(1 + below(&dice, 900)), "reason": "sorry"});
        let paid = self.model.way != Way::Points;
        match dice.below(10) {
            0 | 1 if paid => drop(self.ask("payment.refund", None, refund).await),
            2 | 3 => drop(self.ask("order.request_return", None, asked).await),
            4 | 5 => self.approve_one(&dice).await,
            6 => drop(self.ask("order.cancel", None, reason()).await),
            7 if paid => drop(self.ask("payment.void", None, Value::Null).await),
            8 if paid && dice.below(2) == 0 => drop(self.ask("payment.capture", None, Value::Null).await),
            8 if paid => drop(self.ask("payment.confirm", None, Value::Null).await),
            _ => drop(self.ask("order.ship", None, parcel).await),
        }
    }

    /// Approves the first return that waits; what it says that it gives is what it says later.
    async fn approve_one(&self, dice: &Entropy) {
        let order = self.desk.done("order.get", &[("id", self.id())], Value::Null).await;
        let waiting = order["returns"].as_array().into_iter().flatten().find(|item| item["status"] == "REQUESTED");
        let Some(asked) = waiting else { return };
        let terms = json!({"restock": dice.below(4) > 0, "fee": amount(below(dice, 100))});
        let (status, said) = self.ask("order.approve_return", Some(("rid", &asked["id"])), terms).await;
        if status == 200 {
            let now = self.desk.done("order.get", &[("id", self.id())], Value::Null).await;
            let found =
                now["returns"].as_array().unwrap().iter().find(|item| item["id"] == asked["id"]).unwrap().clone();
            assert_eq!(
                (&found["refund"], &found["voided"]),
                (&said["refund"], &said["voided"]),
                "case {}",
                self.number
            );
        }
    }

    /// Brings the order to an end from wherever it is, and looks whether everything is where it belongs.
    async fn end(&self) {
        let tag = format!("case {}", self.number);
        let now = async || self.desk.done("order.get", &[("id", self.id())], Value::Null).await;
        let mut order = now().await;
        match order["status"].as_str().unwrap() {
            "PENDING" | "CONFIRMED" => {
                let (status, answer) = self.ask("order.cancel", None, reason()).await;
                assert_eq!(status, 200, "{tag}: {answer}");
            }
            "CANCELLED" | "REFUNDED" => {}
            _ => self.send_all_back(&order).await,
        }
        self.desk.rest().await;
        order = now().await;
        assert!(matches!(order["status"].as_str().unwrap(), "CANCELLED" | "REFUNDED"), "{tag}: {order}");
        let (captured, refunded) = self.money().await;
        assert_eq!(captured, refunded, "{tag}: {order}");
        let lost = |sku: &str| lost(&order, sku);
        for (sku, before) in SKUS.iter().zip(&self.before.stock) {
            let row = self.desk.done("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
            let there = (row["onHand"].as_i64().unwrap(), row["reserved"].as_i64().unwrap());
            assert_eq!(there, (before - lost(sku), 0), "{tag}: {order}");
        }
        let all = if order["status"] == "CANCELLED" {
            0
        } else {
            -self.model.points + self.points_of_goods() + self.model.shipping_points
        };
        assert_eq!(points(self.desk, self.buyer).await - self.before.points, all, "{tag}: {order}");
    }

    /// Points that all goods give back.
    fn points_of_goods(&self) -> i64 {
        let mut fresh = model(Way::Points, &self.order);
        let units = fresh.lines.iter().map(|line| line.quantity).collect();
        fresh.asked.push(Asked { id: 0, units, open: true });
        fresh.approve(0, (0, 0), true).unwrap().points
    }

    async fn money(&self) -> (i64, i64) {
        if self.model.way == Way::Points {
            return (0, 0);
        }
        let payment = self.desk.done("payment.get", &[("id", &self.payment)], Value::Null).await;
        (minor(&payment["captured"]), minor(&payment["refunded"]))
    }

    /// All goods and all money of an order that has left.
    async fn send_all_back(&self, order: &Value) {
        for asked in order["returns"].as_array().into_iter().flatten().filter(|item| item["status"] == "REQUESTED") {
            let (status, answer) = self.ask("order.reject_return", Some(("rid", &asked["id"])), Value::Null).await;
            assert_eq!(status, 200, "case {}: {answer}", self.number);
        }
        let rest: Vec<Value> = order["lines"].as_array().unwrap().iter().filter_map(|line| left(order, line)).collect();
        if !rest.is_empty() {
            let body = json!({"items": rest, "reason": "all of it"});
            let (status, asked) = self.ask("order.request_return", None, body).await;
            assert_eq!(status, 201, "case {}: {asked} of {order}", self.number);
            let (status, said) =
                self.ask("order.approve_return", Some(("rid", &asked["id"])), json!({"restock": true})).await;
            assert_eq!(status, 200, "case {}: {said}", self.number);
        }
        self.desk.rest().await;
        if self.model.way == Way::Points {
            return;
        }
        let payment = self.desk.done("payment.get", &[("id", &self.payment)], Value::Null).await;
        if payment["status"] == "PENDING" {
            // A fee is all that is due.
            let verb = if self.number.is_multiple_of(2) { "payment.capture" } else { "payment.void" };
            let (status, answer) = self.ask(verb, None, Value::Null).await;
            assert_eq!(status, 200, "case {}: {answer}", self.number);
            self.desk.rest().await;
        }
        let (captured, refunded) = self.money().await;
        if captured > refunded {
            let (status, answer) = self.ask("payment.refund", None, json!({"reason": "the rest"})).await;
            assert_eq!(status, 201, "case {}: {answer}", self.number);
        }
    }
}

/// Units of a SKU that were returned and written off.
fn lost(order: &Value, sku: &str) -> i64 {
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

/// What of a line has not come back, as an item of a return.
fn left(order: &Value, line: &Value) -> Option<Value> {
    let sku = line["sku"].as_str().unwrap();
    let back: i64 = returns(order).filter(|row| row["status"] == "APPROVED").map(|row| units(&row["items"], sku)).sum();
    let left = line["quantity"].as_i64().unwrap() - back;
    (left > 0).then(|| json!({"sku": sku, "quantity": left}))
}

fn model(way: Way, order: &Value) -> Model {
    let line = |line: &Value| Line {
        sku: line["sku"].as_str().unwrap().to_owned(),
        quantity: line["quantity"].as_i64().unwrap(),
        total: minor(&line["total"]),
        net: minor(&line["subtotal"]) - minor(&line["discount"]) - minor(&line["tax"]),
        shipped: 0,
        delivered: 0,
        returned: 0,
        withdrawn: 0,
        lost: 0,
    };
    let lines: Vec<Line> = order["lines"].as_array().unwrap().iter().map(line).collect();
    let totals = &order["totals"];
    let (total, value) = (minor(&totals["total"]), minor(&totals["pointsValue"]));
    let shipping = total + value - lines.iter().map(|line| line.total).sum::<i64>();
    let points = (totals["pointsRedeemed"].as_i64().unwrap(), value, order["pointsEarned"].as_i64().unwrap());
    Model::new(way, lines, (total, shipping), points)
}

fn reason() -> Value {
    json!({"reason": "changed my mind"})
}

fn below(dice: &Entropy, bound: i64) -> i64 {
    i64::try_from(dice.below(u64::try_from(bound).unwrap())).unwrap()
}

fn pick(dice: &Entropy, bound: usize) -> usize {
    usize::try_from(dice.below(bound as u64)).unwrap()
}

async fn stock(desk: &Desk) -> Vec<i64> {
    let mut stock = Vec::new();
    for sku in SKUS {
        let row = desk.done("inventory.get", &[("sku", &json!(sku))], Value::Null).await;
        let there = row["onHand"].as_i64().unwrap();
        assert!(row["reserved"] == 0 && there <= STOCK, "{row}");
        stock.push(there);
    }
    stock
}

async fn points(desk: &Desk, user: UserId) -> i64 {
    desk.done("reward.get_account", &[("id", &json!(user.0))], Value::Null).await["balance"].as_i64().unwrap()
}

async fn coupons(desk: &Desk) -> i64 {
    let coupon = desk.done("coupon.get", &[("code", &json!("OFF"))], Value::Null).await;
    coupon["redeemed"].as_i64().unwrap_or_else(|| panic!("{coupon}"))
}
