//! Shoppers: each next action follows from the seed, the shopper's number and the number of actions done, whatever
//! happened in between. So a shopper whose node has stopped repeats the action with the same keys.

use std::time::Duration;

use promox_kernel::{Entropy, UserId};
use serde_json::{Value, json};

use crate::client::{Answer, Call, Caller, Client};
use crate::setup::Shop;

/// SKUs with large, moderate and insufficient stock.
pub(crate) const SKUS: [&str; 3] = ["PLENTY", "SOME", "SCARCE"];
/// Payment tokens: most succeed, two are declined, one times out at first, one fails at first.
const TOKENS: [&str; 8] = [
    "tok_visa",
    "tok_visa",
    "tok_visa",
    "tok_visa",
    "tok_declined",
    "tok_timeout",
    "tok_flaky",
    "tok_insufficient_funds",
];

/// The state of a shopper, which outlives the node.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    pub(crate) number: u64,
    pub(crate) user: Option<UserId>,
    /// The number of actions done.
    pub(crate) done: u64,
    /// The contents of its cart by the last acknowledged change; `None` when they are unknown.
    pub(crate) cart: Option<Value>,
}

/// One action of a shopper.
pub(crate) struct Action<'a> {
    pub(crate) client: &'a Client,
    pub(crate) shopper: &'a mut Shopper,
    pub(crate) shop: &'a Shop,
    rng: Entropy,
    key: String,
}

impl<'a> Action<'a> {
    pub(crate) fn new(client: &'a Client, shopper: &'a mut Shopper, shop: &'a Shop, seed: u64) -> Self {
        let rng = Entropy::seeded(seed ^ (shopper.number << 32) ^ (shopper.done << 16));
        let key = format!("{}-{}", shopper.number, shopper.done);
        Self { client, shopper, shop, rng, key }
    }

    /// Waits a random time, then performs the action as far as the answers allow.
    pub(crate) async fn run(mut self) {
        self.client.promox.node().clock.sleep(Duration::from_millis(self.rng.below(2_000))).await;
        match (self.rng.below(12), self.shopper.user) {
            (0..=1, Some(user)) => self.order_cart(user).await,
            (2, Some(user)) => self.add_to_cart(user).await,
            (3..=4, Some(user)) => self.join_flash_sale(user).await,
            (5, _) => self.restock().await,
            (6..=7, _) => self.order_and_return().await,
            (8, Some(user)) => self.redeem_offer(user).await,
            (9, Some(user)) => self.adjust_points(user).await,
            _ => self.order_and_maybe_cancel().await,
        }
        self.shopper.done += 1;
    }

    /// The user, or a guest.
    fn caller(&self) -> Caller {
        self.shopper.user.map_or(Caller::Guest, Caller::User)
    }

    /// Calls an operation under a key of this action until the answer is final.
    async fn request(
        &self,
        part: &str,
        caller: Caller,
        operation: &'static str,
        path: &[(&'static str, &Value)],
        body: Value,
    ) -> Option<Answer> {
        let key = format!("{}-{part}", self.key);
        let path = path.iter().map(|(name, value)| (*name, path_text(value))).collect();
        // A call that was made before the node stopped is repeated unchanged, as its key requires.
        let before = self.client.log.calls.lock().get(&key).map(|(call, _)| call.clone());
        self.client.call_until_final(&key, &before.unwrap_or(Call { caller, operation, path, body })).await
    }

    /// The body of a random order, with lines or of the cart, perhaps with a code or points.
    fn order(&self, with_lines: bool) -> Value {
        let token = TOKENS[self.pick(TOKENS.len())];
        let mut body = json!({
            "email": format!("shopper-{}@example.com", self.shopper.number),
            "payment": {"method": "CARD", "provider": "sandbox", "token": token},
        });
        if with_lines {
            let line = || json!({"sku": SKUS[self.pick(SKUS.len())], "quantity": 1 + self.rng.below(3)});
            body["items"] = (0..=self.rng.below(2)).map(|_| line()).collect();
        }
        match self.rng.below(6) {
            0 | 1 => body["couponCode"] = json!("SAVE"),
            2 => body["promotionCode"] = json!("SPRING"),
            _ => {}
        }
        // Sometimes more points than the user has, or than the order costs.
        if self.shopper.user.is_some() && self.rng.below(3) == 0 {
            body["pointsToRedeem"] = json!(50 + 50 * self.rng.below(8));
        }
        body
    }

    /// A random index below `bound`.
    fn pick(&self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    /// Places an order, sometimes with a quote, and returns it if it is confirmed.
    async fn place(&self, mut body: Value) -> Option<Value> {
        if self.rng.below(3) == 0 {
            let call = Call { caller: self.caller(), operation: "order.quote", path: Vec::new(), body: body.clone() };
            if let Some((200, quote)) = self.client.call_once(&call).await {
                body["quoteId"] = quote["quoteId"].clone();
            }
        }
        let (status, order) = self.request("order", self.caller(), "order.place", &[], body).await?;
        (status == 201).then_some(order)
    }

    async fn order_and_maybe_cancel(&self) {
        let Some(order) = self.place(self.order(true)).await else { return };
        if self.rng.below(2) == 0 {
            self.request(
                "cancel",
                Caller::System,
                "order.cancel",
                &[("id", &order["id"])],
                json!({"reason": "changed"}),
            )
            .await;
        }
    }

    async fn order_and_return(&self) {
        let Some(order) = self.place(self.order(true)).await else { return };
        let id = &order["id"];
        let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
        let Some((201, parcel)) = self.request("ship", Caller::System, "order.ship", &[("id", id)], parcel).await
        else {
            return;
        };
        let fulfilment = [("id", id), ("fid", &parcel["id"])];
        let Some((200, _)) = self.request("deliver", Caller::System, "order.deliver", &fulfilment, Value::Null).await
        else {
            return;
        };
        let items = json!([{"sku": order["lines"][0]["sku"], "quantity": 1}]);
        let body = json!({"items": items, "reason": "wrong"});
        let Some((201, requested)) =
            self.request("return", Caller::System, "order.request_return", &[("id", id)], body).await
        else {
            return;
        };
        let path = [("id", id), ("rid", &requested["id"])];
        self.request(
            "approve",
            Caller::System,
            "order.approve_return",
            &path,
            json!({"restock": self.rng.below(2) == 0}),
        )
        .await;
    }

    /// Adds a random item to the cart. Returns whether the contents of the cart are known afterwards.
    async fn add_item(&mut self, user: UserId) -> bool {
        let caller = Caller::User(user);
        self.shopper.cart = None;
        let body = json!({"sku": SKUS[self.pick(SKUS.len())], "quantity": 1 + self.rng.below(2)});
        let call = Call { caller, operation: "cart.add_item", path: Vec::new(), body };
        let answer = self.client.call_once(&call).await;
        self.shopper.cart = answer.filter(|(status, _)| *status == 200).map(|(_, cart)| cart_contents(&cart));
        self.shopper.cart.is_some()
    }

    async fn add_to_cart(&mut self, user: UserId) {
        self.add_item(user).await;
    }

    async fn order_cart(&mut self, user: UserId) {
        if !self.client.log.calls.lock().contains_key(&format!("{}-order", self.key)) && !self.add_item(user).await {
            return;
        }
        self.shopper.cart = None;
        self.place(self.order(false)).await;
    }

    /// Reserves a unit of the flash sale, and orders it, releases it or lets it expire.
    async fn join_flash_sale(&self, user: UserId) {
        let (caller, sale) = (Caller::User(user), json!(self.shop.sale));
        let body = json!({"sku": "SOME", "quantity": 1 + self.rng.below(2)});
        let Some((201, reservation)) =
            self.request("reserve", caller, "flashsale.reserve", &[("id", &sale)], body).await
        else {
            return;
        };
        match self.rng.below(4) {
            0 => {}
            1 => {
                let path = vec![("id", path_text(&sale)), ("rid", path_text(&reservation["reservationId"]))];
                let call = Call { caller, operation: "flashsale.release_reservation", path, body: Value::Null };
                self.client.call_once(&call).await;
            }
            _ => {
                let mut body = self.order(true);
                body["flashSaleReservationIds"] = json!([reservation["reservationId"]]);
                self.place(body).await;
            }
        }
    }

    /// Redeems points for a personal coupon, and places an order with it, which may be refused.
    async fn redeem_offer(&self, user: UserId) {
        let offer = json!(self.shop.offer);
        let answer =
            self.request("offer", Caller::User(user), "reward.redeem_offer", &[("id", &offer)], Value::Null).await;
        let Some((201, redeemed)) = answer else { return };
        let mut body = self.order(true);
        body["couponCode"] = redeemed["couponCode"].clone();
        self.place(body).await;
    }

    /// The shop adjusts the user's points manually, up or down.
    async fn adjust_points(&self, user: UserId) {
        let points = if self.rng.below(4) == 0 { -60 } else { 40 };
        let body = json!({"points": points, "reason": "manual"});
        self.request("points", Caller::System, "reward.adjust", &[("id", &json!(user.0))], body).await;
    }

    /// The shop adds stock of a random SKU.
    async fn restock(&self) {
        let sku = json!(SKUS[self.pick(SKUS.len())]);
        let body = json!({"delta": 1 + self.rng.below(5), "reason": "a delivery"});
        self.request("restock", Caller::System, "inventory.adjust", &[("sku", &sku)], body).await;
    }
}

/// The SKUs and quantities of a cart.
pub(crate) fn cart_contents(cart: &Value) -> Value {
    let items = cart["items"].as_array().unwrap();
    json!(items.iter().map(|line| (path_text(&line["sku"]), line["quantity"].clone())).collect::<Vec<_>>())
}

/// A string or number as text, as paths contain it.
pub(crate) fn path_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
