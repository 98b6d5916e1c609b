//! How every story begins: a shop with users, stock, and everything that takes something off a price or gives something for it.

use promox_kernel::UserId;
use serde_json::{Value, json};

use crate::ask::{Ask, Clients, Who};
use crate::shopper::{SKUS, plain};

/// The pieces of the flash sale.
const SET_ASIDE: u32 = 12;
/// Points that each user has to begin with: they are spent before the story ends.
const WELCOME: u32 = 400;

/// What shoppers need to know of the shop.
#[derive(Clone)]
pub(crate) struct Shop {
    /// The flash sale.
    pub(crate) sale: String,
    /// The offer of the rewards' catalogue.
    pub(crate) offer: String,
}

/// Asks for something that must be done.
async fn done(
    clients: &Clients,
    who: Who,
    operation: &'static str,
    path: &[(&'static str, &Value)],
    body: Value,
) -> Value {
    let path = path.iter().map(|(name, value)| (*name, plain(value))).collect();
    let answer = clients.once(&Ask { who, operation, path, body }).await;
    let Some((200 | 201, made)) = answer else { panic!("{operation}: {answer:?}") };
    made
}

/// Makes the users.
pub(crate) async fn register(clients: Clients, users: u64) -> Vec<UserId> {
    let mut made = Vec::new();
    for number in 0..users {
        let email = format!("shopper-{}@example.com", number * 2);
        let body = json!({"email": email, "password": "a long and quiet harbour", "name": "A Shopper"});
        let user = done(&clients, Who::Guest, "user.register", &[], body).await;
        made.push(UserId(plain(&user["user"]["id"]).parse().unwrap()));
    }
    made
}

/// Fills the shop.
pub(crate) async fn open(clients: Clients, users: Vec<UserId>) -> Shop {
    let desk = Desk(clients);
    for (sku, stock) in SKUS.iter().zip([100_000, 60, 12]) {
        let product = json!({"sku": sku, "name": sku, "price": "7.35", "status": "ACTIVE"});
        desk.make("product.create", &[], product).await;
        desk.make("inventory.count", &[("sku", &json!(sku))], json!({"onHand": stock})).await;
    }
    desk.promote().await;
    desk.sell_by_code().await;
    let offer = desk.reward(&users).await;
    let sale = json!({
        "name": "Rush",
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z",
        "items": [{"sku": "SOME", "salePrice": "1.00", "stock": SET_ASIDE, "perUserLimit": 3}],
        "reservationTtlSeconds": 60,
    });
    Shop { sale: plain(&desk.make("flashsale.create", &[], sale).await["id"]), offer }
}

/// Who opens the shop.
struct Desk(Clients);

impl Desk {
    async fn make(&self, operation: &'static str, path: &[(&'static str, &Value)], body: Value) -> Value {
        done(&self.0, Who::Shop, operation, path, body).await
    }

    /// Makes a promotion that applies from now on; its id.
    async fn activate(&self, promotion: Value) -> Value {
        let id = self.make("promotion.create", &[], promotion).await["id"].clone();
        self.make("promotion.activate", &[("id", &id)], Value::Null).await;
        id
    }

    /// What applies by itself: a price on the shelf, a present while it is in stock, one of two that exclude each other, more
    /// points for large carts.
    async fn promote(&self) {
        let shelf = json!({"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "items": {"skus": ["SOME"]}});
        self.activate(json!({"name": "Shelf", "stage": "CATALOG", "actions": [shelf]})).await;
        let from = |field: &str, value: Value| json!({"field": field, "op": "GTE", "value": value});
        let present = json!({"type": "GIFT", "sku": "SCARCE", "quantity": 1});
        let limits = json!({"total": 9, "perUser": 2});
        self.activate(json!({
            "name": "Present", "when": from("cart.quantity", json!(4)), "actions": [present], "limits": limits,
        }))
        .await;
        let third = json!({"type": "EVERY_NTH", "items": {}, "every": 3, "percentOff": "50"});
        let pair = json!({"type": "PACK", "items": {"skus": ["PLENTY"]}, "size": 2, "price": "12.00"});
        for (name, action) in [("Third", third), ("Pair", pair)] {
            let stacking = json!({"mode": "STACKABLE", "group": "units"});
            self.activate(json!({"name": name, "stacking": stacking, "actions": [action]})).await;
        }
        let double = json!({"type": "POINTS_MULTIPLIER", "value": "2"});
        let limits = json!({"budget": "3.00", "periods": [{"per": "EMAIL", "period": "DAY", "count": 2}]});
        let off = json!({"type": "AMOUNT_OFF", "value": "0.75", "scope": "ORDER"});
        self.activate(json!({
            "name": "Large", "when": from("cart.subtotal", json!("20.00")), "actions": [double, off], "limits": limits,
        }))
        .await;
    }

    /// What asks for a code: a coupon that many want, a campaign with two budgets.
    async fn sell_by_code(&self) {
        let save = json!({"name": "Save", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "15"}]});
        let promotion = self.activate(save).await;
        let campaign =
            self.make("campaign.create", &[], json!({"name": "Spring", "budget": "12.00"})).await["id"].clone();
        self.make("campaign.move", &[("id", &campaign)], json!({"to": "ACTIVE"})).await;
        self.activate(json!({
            "name": "Spring",
            "code": "SPRING",
            "campaignId": campaign,
            "actions": [{"type": "PERCENT_OFF", "value": "20"}],
            "limits": {"budget": "9.00", "whenShort": "GIVE_REST"},
        }))
        .await;
        self.make("coupon.create", &[], json!({"code": "SAVE", "promotionId": promotion, "maxRedemptions": 7})).await;
    }

    /// What points are good for, and some to begin with; the offer that they buy.
    async fn reward(&self, users: &[UserId]) -> String {
        let settings = json!({"pointsPerUnit": "3", "pointValue": "0.01", "returnShortfall": "CARRY"});
        self.make("reward.patch_settings", &[], settings).await;
        for user in users {
            let body = json!({"points": WELCOME, "reason": "welcome"});
            self.make("reward.adjust", &[("id", &json!(user.0))], body).await;
        }
        let off = json!({"type": "AMOUNT_OFF", "value": "2.50", "scope": "ORDER"});
        let promotion = self.activate(json!({"name": "Thanks", "couponOnly": true, "actions": [off]})).await;
        let offer = json!({"name": "Thanks", "points": 120, "promotionId": promotion, "validDays": 30});
        plain(&self.make("reward.create_offer", &[], offer).await["id"])
    }
}
