//! Shoppers: what each does next follows from the seed, its number and how much it has done, whatever happened between. So
//! one whose node has died does the same again, with the same keys.

use std::time::Duration;

use promox_kernel::{Entropy, UserId};
use serde_json::{Value, json};

use crate::ask::{Answer, Ask, Clients, Who};
use crate::opening::Shop;

/// What is sold: plenty, some, and what is asked for more often than it is there.
pub(crate) const SKUS: [&str; 3] = ["PLENTY", "SOME", "SCARCE"];
/// Means of payment: most are good, some say no, one is silent at first, one fails and then works.
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

/// What outlives the node of a shopper.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    pub(crate) number: u64,
    pub(crate) user: Option<UserId>,
    /// How much it has done.
    pub(crate) done: u64,
    /// What it knows to be in its cart, by what was acknowledged last; `None` when it cannot know.
    pub(crate) cart: Option<Value>,
}

/// One thing that a shopper does.
pub(crate) struct Errand<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) shopper: &'a mut Shopper,
    pub(crate) shop: &'a Shop,
    dice: Entropy,
    key: String,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(clients: &'a Clients, shopper: &'a mut Shopper, shop: &'a Shop, seed: u64) -> Self {
        let dice = Entropy::seeded(seed ^ (shopper.number << 32) ^ (shopper.done << 16));
        let key = format!("{}-{}", shopper.number, shopper.done);
        Self { clients, shopper, shop, dice, key }
    }

    /// Does it, to the end or as far as it comes.
    pub(crate) async fn run(mut self) {
        self.clients.promox.node().clock.sleep(Duration::from_millis(self.dice.below(2_000))).await;
        match (self.dice.below(12), self.shopper.user) {
            (0..=1, Some(user)) => self.order_the_cart(user).await,
            (2, Some(user)) => self.fill_the_cart(user).await,
            (3..=4, Some(user)) => self.rush(user).await,
            (5, _) => self.restock().await,
            (6..=7, _) => self.order_and_return().await,
            (8, Some(user)) => self.take_an_offer(user).await,
            (9, Some(user)) => self.be_thanked(user).await,
            _ => self.order_and_perhaps_cancel().await,
        }
        self.shopper.done += 1;
    }

    fn who(&self) -> Who {
        self.shopper.user.map_or(Who::Guest, Who::User)
    }

    async fn ask(
        &self,
        part: &str,
        who: Who,
        operation: &'static str,
        path: &[(&'static str, &Value)],
        body: Value,
    ) -> Option<Answer> {
        let key = format!("{}-{part}", self.key);
        let path = path.iter().map(|(name, value)| (*name, plain(value))).collect();
        // What was asked before, in a life that ended, is asked again word by word.
        let before = self.clients.log.asked.lock().get(&key).map(|(ask, _)| ask.clone());
        self.clients.decided(&key, &before.unwrap_or(Ask { who, operation, path, body })).await
    }

    /// The body of an order: lines, how it is paid, perhaps a coupon or a code.
    fn order(&self, lines: bool) -> Value {
        let token = TOKENS[self.pick(TOKENS.len())];
        let mut body = json!({
            "email": format!("shopper-{}@example.com", self.shopper.number),
            "payment": {"method": "CARD", "provider": "sandbox", "token": token},
        });
        if lines {
            let line = || json!({"sku": SKUS[self.pick(SKUS.len())], "quantity": 1 + self.dice.below(3)});
            body["items"] = (0..=self.dice.below(2)).map(|_| line()).collect();
        }
        match self.dice.below(6) {
            0 | 1 => body["couponCode"] = json!("SAVE"),
            2 => body["promotionCode"] = json!("SPRING"),
            _ => {}
        }
        // Now and then more than there are, or more than the order comes to.
        if self.shopper.user.is_some() && self.dice.below(3) == 0 {
            body["pointsToRedeem"] = json!(50 + 50 * self.dice.below(8));
        }
        body
    }

    fn pick(&self, most: usize) -> usize {
        usize::try_from(self.dice.below(most as u64)).unwrap()
    }

    /// Places an order, perhaps at a quoted price; the order when it is confirmed.
    async fn place(&self, mut body: Value) -> Option<Value> {
        if self.dice.below(3) == 0 {
            let ask = Ask { who: self.who(), operation: "order.quote", path: Vec::new(), body: body.clone() };
            if let Some((200, quote)) = self.clients.once(&ask).await {
                body["quoteId"] = quote["quoteId"].clone();
            }
        }
        let (status, order) = self.ask("order", self.who(), "order.place", &[], body).await?;
        (status == 201).then_some(order)
    }

    async fn order_and_perhaps_cancel(&self) {
        let Some(order) = self.place(self.order(true)).await else { return };
        if self.dice.below(2) == 0 {
            self.ask("cancel", Who::Shop, "order.cancel", &[("id", &order["id"])], json!({"reason": "changed"})).await;
        }
    }

    async fn order_and_return(&self) {
        let Some(order) = self.place(self.order(true)).await else { return };
        let id = &order["id"];
        let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
        let Some((201, parcel)) = self.ask("ship", Who::Shop, "order.ship", &[("id", id)], parcel).await else {
            return;
        };
        let to = [("id", id), ("fid", &parcel["id"])];
        let Some((200, _)) = self.ask("deliver", Who::Shop, "order.deliver", &to, Value::Null).await else { return };
        let items = json!([{"sku": order["lines"][0]["sku"], "quantity": 1}]);
        let asked = json!({"items": items, "reason": "wrong"});
        let Some((201, back)) = self.ask("return", Who::Shop, "order.request_return", &[("id", id)], asked).await
        else {
            return;
        };
        let which = [("id", id), ("rid", &back["id"])];
        self.ask("approve", Who::Shop, "order.approve_return", &which, json!({"restock": self.dice.below(2) == 0}))
            .await;
    }

    /// Sets how much of something is in the cart; whether that is known.
    async fn put(&mut self, user: UserId) -> bool {
        let who = Who::User(user);
        self.shopper.cart = None;
        let body = json!({"sku": SKUS[self.pick(SKUS.len())], "quantity": 1 + self.dice.below(2)});
        let ask = Ask { who, operation: "cart.add_item", path: Vec::new(), body };
        let answer = self.clients.once(&ask).await;
        self.shopper.cart = answer.filter(|(status, _)| *status == 200).map(|(_, cart)| in_cart(&cart));
        self.shopper.cart.is_some()
    }

    async fn fill_the_cart(&mut self, user: UserId) {
        self.put(user).await;
    }

    async fn order_the_cart(&mut self, user: UserId) {
        if !self.clients.log.asked.lock().contains_key(&format!("{}-order", self.key)) && !self.put(user).await {
            return;
        }
        self.shopper.cart = None;
        self.place(self.order(false)).await;
    }

    /// Takes part in the flash sale: reserves, and buys, gives back or forgets.
    async fn rush(&self, user: UserId) {
        let (who, sale) = (Who::User(user), json!(self.shop.sale));
        let body = json!({"sku": "SOME", "quantity": 1 + self.dice.below(2)});
        let Some((201, made)) = self.ask("reserve", who, "flashsale.reserve", &[("id", &sale)], body).await else {
            return;
        };
        match self.dice.below(4) {
            0 => {}
            1 => {
                let path = vec![("id", plain(&sale)), ("rid", plain(&made["reservationId"]))];
                let ask = Ask { who, operation: "flashsale.release_reservation", path, body: Value::Null };
                self.clients.once(&ask).await;
            }
            _ => {
                let mut body = self.order(true);
                body["flashSaleReservationIds"] = json!([made["reservationId"]]);
                self.place(body).await;
            }
        }
    }

    /// Buys a personal coupon with points, and pays with it, whether it goes with the rest or not.
    async fn take_an_offer(&self, user: UserId) {
        let offer = json!(self.shop.offer);
        let taken = self.ask("offer", Who::User(user), "reward.redeem_offer", &[("id", &offer)], Value::Null).await;
        let Some((201, taken)) = taken else { return };
        let mut body = self.order(true);
        body["couponCode"] = taken["couponCode"].clone();
        self.place(body).await;
    }

    /// The shop gives points by hand, or takes some back.
    async fn be_thanked(&self, user: UserId) {
        let points = if self.dice.below(4) == 0 { -60 } else { 40 };
        let body = json!({"points": points, "reason": "by hand"});
        self.ask("points", Who::Shop, "reward.adjust", &[("id", &json!(user.0))], body).await;
    }

    async fn restock(&self) {
        let sku = json!(SKUS[self.pick(SKUS.len())]);
        let body = json!({"delta": 1 + self.dice.below(5), "reason": "a delivery"});
        self.ask("restock", Who::Shop, "inventory.adjust", &[("sku", &sku)], body).await;
    }
}

/// What is in a cart, by SKU.
pub(crate) fn in_cart(cart: &Value) -> Value {
    let items = cart["items"].as_array().unwrap();
    json!(items.iter().map(|line| (plain(&line["sku"]), line["quantity"].clone())).collect::<Vec<_>>())
}

/// A value as it stands in a path.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
