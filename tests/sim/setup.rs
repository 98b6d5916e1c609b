//! The shop that every run starts with: users, stock, promotions, coupons, a campaign, rewards and a flash sale.

use promox_kernel::UserId;
use serde_json::{Value, json};

use crate::client::{Call, Caller, Client};
use crate::shopper::{SKUS, path_text};

/// Units of the flash sale.
const ALLOCATED: u32 = 12;
/// Points that each user starts with, few enough to be spent during a run.
const WELCOME: u32 = 400;

/// Ids that shoppers need.
#[derive(Clone)]
pub(crate) struct Shop {
    /// Id of the flash sale.
    pub(crate) sale: String,
    /// Id of the offer in the rewards catalog.
    pub(crate) offer: String,
}

/// Calls an operation that must succeed, and returns the body of its answer.
async fn expect_success(
    client: &Client,
    caller: Caller,
    operation: &'static str,
    path: &[(&'static str, &Value)],
    body: Value,
) -> Value {
    let path = path.iter().map(|(name, value)| (*name, path_text(value))).collect();
    let answer = client.call_once(&Call { caller, operation, path, body }).await;
    let Some((200 | 201, body)) = answer else { panic!("{operation}: {answer:?}") };
    body
}

/// Registers `users` users and returns their ids.
pub(crate) async fn register(client: Client, users: u64) -> Vec<UserId> {
    let mut ids = Vec::new();
    for number in 0..users {
        let email = format!("shopper-{}@example.com", number * 2);
        let body = json!({"email": email, "password": "a long and quiet harbour", "name": "A Shopper"});
        let user = expect_success(&client, Caller::Guest, "user.register", &[], body).await;
        ids.push(UserId(path_text(&user["user"]["id"]).parse().unwrap()));
    }
    ids
}

/// Creates products, stock, promotions, coupons, rewards and the flash sale.
pub(crate) async fn fill(client: Client, users: Vec<UserId>) -> Shop {
    let staff = Staff(client);
    for (sku, stock) in SKUS.iter().zip([100_000, 60, 12]) {
        let product = json!({"sku": sku, "name": sku, "price": "7.35", "status": "ACTIVE"});
        staff.call("product.create", &[], product).await;
        staff.call("inventory.count", &[("sku", &json!(sku))], json!({"onHand": stock})).await;
    }
    staff.create_automatic_promotions().await;
    staff.create_coded_promotions().await;
    let offer = staff.create_rewards(&users).await;
    let sale = json!({
        "name": "Rush",
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z",
        "items": [{"sku": "SOME", "salePrice": "1.00", "stock": ALLOCATED, "perUserLimit": 3}],
        "reservationTtlSeconds": 60,
    });
    Shop { sale: path_text(&staff.call("flashsale.create", &[], sale).await["id"]), offer }
}

/// The caller that creates the shop's data.
struct Staff(Client);

impl Staff {
    /// Calls an operation that must succeed.
    async fn call(&self, operation: &'static str, path: &[(&'static str, &Value)], body: Value) -> Value {
        expect_success(&self.0, Caller::System, operation, path, body).await
    }

    /// Creates and activates a promotion and returns its id.
    async fn activate(&self, promotion: Value) -> Value {
        let id = self.call("promotion.create", &[], promotion).await["id"].clone();
        self.call("promotion.activate", &[("id", &id)], Value::Null).await;
        id
    }

    /// Creates the promotions that apply without a code: a price rule, a gift while in stock, a group of two of which
    /// one applies, and more points for large carts.
    async fn create_automatic_promotions(&self) {
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

    /// Creates what applies by a code: a coupon with few redemptions, and a campaign with two budgets.
    async fn create_coded_promotions(&self) {
        let save = json!({"name": "Save", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "15"}]});
        let promotion = self.activate(save).await;
        let campaign =
            self.call("campaign.create", &[], json!({"name": "Spring", "budget": "12.00"})).await["id"].clone();
        self.call("campaign.move", &[("id", &campaign)], json!({"to": "ACTIVE"})).await;
        self.activate(json!({
            "name": "Spring",
            "code": "SPRING",
            "campaignId": campaign,
            "actions": [{"type": "PERCENT_OFF", "value": "20"}],
            "limits": {"budget": "9.00", "whenShort": "GIVE_REST"},
        }))
        .await;
        self.call("coupon.create", &[], json!({"code": "SAVE", "promotionId": promotion, "maxRedemptions": 7})).await;
    }

    /// Configures rewards, grants points to the users, and creates an offer for points. Returns the offer's id.
    async fn create_rewards(&self, users: &[UserId]) -> String {
        let settings = json!({"pointsPerUnit": "3", "pointValue": "0.01", "returnShortfall": "CARRY"});
        self.call("reward.patch_settings", &[], settings).await;
        for user in users {
            let body = json!({"points": WELCOME, "reason": "welcome"});
            self.call("reward.adjust", &[("id", &json!(user.0))], body).await;
        }
        let off = json!({"type": "AMOUNT_OFF", "value": "2.50", "scope": "ORDER"});
        let promotion = self.activate(json!({"name": "Thanks", "couponOnly": true, "actions": [off]})).await;
        let offer = json!({"name": "Thanks", "points": 120, "promotionId": promotion, "validDays": 30});
        path_text(&self.call("reward.create_offer", &[], offer).await["id"])
    }
}
