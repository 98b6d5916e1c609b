//! Points over HTTP: earning, paying with points, restoring them once, concurrent spending, tiers, achievements,
//! referrals and the rewards catalog.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, all, order_of};

const CONNECTIONS: usize = 64;

/// A shop in which a point is worth a penny, with additional rewards settings.
async fn start(settings: Value) -> Shop {
    let shop = Shop::start().await;
    let mut body = json!({"pointValue": "0.01"});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    shop.admin.patch("/api/rewards/settings", &body).await.expect(200);
    shop.product("A", "10.00", 1_000).await;
    shop
}

/// Registers a customer and returns their client and the path of their rewards account.
async fn member(shop: &Shop, email: &str) -> (Client, String) {
    let user = shop.customer(email).await;
    let id = user.get("/api/users/me").await.expect(200)["id"].clone();
    (user, format!("/api/rewards/account/{id}"))
}

/// Adds points to an account by a manual adjustment.
async fn grant(shop: &Shop, account: &str, points: i64) {
    let body = json!({"points": points, "reason": "a present"});
    shop.admin.post(&format!("{account}/adjust"), &body).await.expect(200);
}

/// An order of `quantity` units of A that spends `points`.
fn order(quantity: u32, points: u32) -> Value {
    let mut body = order_of(&[("A", quantity)], "tok_visa");
    body.as_object_mut().unwrap().remove("email");
    body["pointsToRedeem"] = json!(points);
    body
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value}"))
}

/// Balance and pending points of an account. Asserts that its ledger adds up to them.
async fn points_of(user: &Client, account: &str) -> (i64, i64) {
    loop {
        let before = user.get(account).await.expect(200);
        let entries = all(user, &format!("{account}/transactions")).await;
        let after = user.get(account).await.expect(200);
        if before != after {
            continue;
        }
        let sum = |pending: bool| {
            let matching = entries.iter().filter(|entry| entry["availableAt"].is_string() == pending);
            matching.map(|item| number(&item["points"])).sum::<i64>()
        };
        let sums = (number(&after["balance"]), number(&after["pending"]));
        assert_eq!((sum(false), sum(true)), sums, "{entries:?}");
        return sums;
    }
}

/// Waits until an account has this balance and these pending points, as rewards process the shop's events with a delay.
async fn wait_for_points(user: &Client, account: &str, expected: (i64, i64)) {
    for _ in 0..20_000 {
        if points_of(user, account).await == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?} is not {expected:?}", points_of(user, account).await);
}

/// Sends a request over `CONNECTIONS` connections at once, and returns the bodies of the successful answers and the
/// refusals.
async fn race(client: &Client, path: &str, body: &Value) -> (Vec<Value>, Vec<Answer>) {
    let running: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, path, body) = (client.own_connection(), path.to_owned(), body.clone());
            tokio::spawn(async move { client.post(&path, &body).await })
        })
        .collect();
    let (mut succeeded, mut refused) = (Vec::new(), Vec::new());
    for answer in running {
        let answer = answer.await.unwrap();
        if answer.status < 300 { succeeded.push(answer.json()) } else { refused.push(answer) }
    }
    (succeeded, refused)
}

/// Requests and approves a return of units of A.
async fn return_units(shop: &Shop, order: &Value, quantity: u32) {
    let path = format!("/api/orders/{}/returns", order["id"]);
    let items = json!({"items": [{"sku": "A", "quantity": quantity}], "reason": "too many"});
    let requested = shop.admin.post(&path, &items).await.expect(201);
    shop.admin.post(&format!("{path}/{}/approve", requested["id"]), &json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_earns_points_that_pay_for_the_next() {
    let shop = start(json!({})).await;
    let taxes =
        json!({"pricesIncludeTax": false, "rates": [{"country": "GB", "taxClass": "STANDARD", "percent": "20"}]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    let (user, account) = member(&shop, "ada@example.com").await;
    let address = json!({"name": "A", "line1": "1 Road", "city": "Town", "country": "GB"});
    let mut body = order(10, 0);
    body["shippingAddress"] = address.clone();
    let first = user.post("/api/orders", &body).await.expect(201);
    assert_eq!((&first["totals"]["total"], &first["pointsEarned"]), (&json!("120.00"), &json!(100)));
    wait_for_points(&user, &account, (100, 0)).await;

    let mut body = order(2, 100);
    body["shippingAddress"] = address;
    let quote = user.post("/api/orders/quote", &body).await.expect(200);
    let second = user.post("/api/orders", &body).await.expect(201);
    let totals = &second["totals"];
    assert_eq!(quote["totals"], *totals);
    assert_eq!(
        (&totals["tax"], &totals["total"]),
        (&json!("4.00"), &json!("23.00")),
        "tax is calculated before points are deducted"
    );
    assert_eq!((&totals["pointsRedeemed"], &totals["pointsValue"]), (&json!(100), &json!("1.00")));
    assert_eq!(second["pointsEarned"], 19, "the amount paid with points earns none");
    wait_for_points(&user, &account, (19, 0)).await;
    let entries = all(&user, &format!("{account}/transactions")).await;
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry["type"].as_str().unwrap(), number(&entry["points"]))).collect();
    assert_eq!(entries, [("EARN", 19), ("REDEEM", -100), ("EARN", 100)]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_unusable_points_is_refused() {
    let shop = start(json!({"minSharePercent": "10", "maxSharePercent": "50"})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 600).await;
    for (points, reason) in [(99, "BELOW_SHARE"), (501, "ABOVE_SHARE"), (1_000_000, "ABOVE_SHARE")] {
        let refused = user.post("/api/orders", &order(1, points)).await.refused(422, "POINTS_INSUFFICIENT");
        assert_eq!(refused["reason"], reason, "{points}");
    }
    let refused = user.post("/api/orders", &order(2, 700)).await.refused(422, "POINTS_INSUFFICIENT");
    assert_eq!((&refused["reason"], &refused["spendable"]), (&json!("NOT_ENOUGH"), &json!(600)));
    let mut guest = order(1, 100);
    guest["email"] = json!("guest@example.com");
    let refused = shop.anyone.post("/api/orders", &guest).await.refused(422, "POINTS_INSUFFICIENT");
    assert_eq!(refused["reason"], "NOT_LOGGED_IN");
    shop.admin.patch("/api/rewards/settings", &json!({"pointValue": null})).await.expect(200);
    let refused = user.post("/api/orders", &order(1, 100)).await.refused(422, "POINTS_INSUFFICIENT");
    assert_eq!(refused["reason"], "WORTH_NOTHING");
    assert_eq!(shop.all("/api/orders").await, Vec::<Value>::new());
    assert_eq!(points_of(&user, &account).await, (600, 0));
    assert_eq!(shop.stock_of("A").await, (1_000, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_alone_can_pay_an_order_and_a_declined_card_restores_them() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 1_500).await;
    let mut declined = order(1, 400);
    declined["payment"]["token"] = json!("tok_declined");
    user.post("/api/orders", &declined).await.refused(402, "PAYMENT_DECLINED");
    wait_for_points(&user, &account, (1_500, 0)).await;
    let mut free = order(1, 1_000);
    free.as_object_mut().unwrap().remove("payment");
    let order = user.post("/api/orders", &free).await.expect(201);
    assert_eq!((&order["status"], &order["totals"]["total"]), (&json!("CONFIRMED"), &json!("0.00")));
    assert_eq!(order["pointsEarned"], 0);
    assert_eq!(points_of(&user, &account).await, (500, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_order_restores_its_points_once() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 500).await;
    let order = user.post("/api/orders", &order(2, 300)).await.expect(201);
    wait_for_points(&user, &account, (217, 0)).await;
    let cancel = format!("/api/orders/{}/cancel", order["id"]);
    let (succeeded, refused) = race(&user, &cancel, &json!({"reason": "changed my mind"})).await;
    assert!(!succeeded.is_empty() && refused.iter().all(|answer| answer.status == 409), "{refused:?}");
    wait_for_points(&user, &account, (500, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["lifetimeEarned"], 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_restore_spent_points_and_revoke_earned_ones() {
    let shop = start(json!({"pendingDays": 30})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 1_000).await;
    let order = user.post("/api/orders", &order(3, 1_000)).await.expect(201);
    assert_eq!((&order["totals"]["total"], &order["pointsEarned"]), (&json!("20.00"), &json!(20)));
    wait_for_points(&user, &account, (0, 20)).await;
    for expected in [(333, 13), (667, 7), (1_000, 0)] {
        return_units(&shop, &order, 1).await;
        wait_for_points(&user, &account, expected).await;
    }
    let order = user.get(&format!("/api/orders/{}", order["id"])).await.expect(200);
    assert_eq!(order["status"], "REFUNDED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_multiply_what_orders_earn() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    let names = ["BRONZE", "SILVER", "GOLD", "PLATINUM", "DIAMOND"];
    let tiers = |steps: [u32; 5]| {
        let step = |(tier, threshold): (&str, u32)| {
            let multiplier = if tier == "BRONZE" { "1" } else { "1.5" };
            json!({"tier": tier, "threshold": threshold, "multiplier": multiplier, "perks": ["a smile"]})
        };
        let steps: Vec<Value> = names.into_iter().zip(steps).map(step).collect();
        json!({ "tiers": steps })
    };
    let crossed = shop.admin.put("/api/rewards/tiers", &tiers([0, 50, 40, 500, 1_000])).await.expect(422);
    assert_eq!(crossed["errors"][0]["pointer"], "/tiers/2/threshold");
    let saved = shop.admin.put("/api/rewards/tiers", &tiers([0, 50, 100, 500, 1_000])).await;
    let read = shop.anyone.get("/api/rewards/tiers").await;
    assert_eq!((&read.headers["etag"], read.expect(200)), (&saved.headers["etag"], saved.expect(200)));
    let stale = shop.admin.with("if-match", "\"7\"").put("/api/rewards/tiers", &tiers([0, 1, 2, 3, 4])).await;
    assert_eq!(stale.status, 412);

    let first = user.post("/api/orders", &order(7, 0)).await.expect(201);
    assert_eq!(first["pointsEarned"], 70);
    wait_for_points(&user, &account, (70, 0)).await;
    let silver = user.get(&account).await.expect(200);
    assert_eq!(
        (&silver["tier"], &silver["nextTier"], &silver["pointsToNextTier"]),
        (&json!("SILVER"), &json!("GOLD"), &json!(30))
    );
    let second = user.post("/api/orders", &order(3, 0)).await.expect(201);
    assert_eq!(second["pointsEarned"], 45);
    wait_for_points(&user, &account, (115, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["tier"], "GOLD");
    shop.admin.post(&format!("/api/orders/{}/cancel", second["id"]), &json!({"reason": "x"})).await.expect(200);
    wait_for_points(&user, &account, (70, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["tier"], "SILVER");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_points_multiplier_discounts_nothing() {
    let shop = start(json!({"pointsPerUnit": "1.5"})).await;
    let body = json!({"name": "Double", "code": "DOUBLE", "actions": [{"type": "POINTS_MULTIPLIER", "value": "2"}]});
    let id = shop.admin.post("/api/promotions", &body).await.expect(201)["id"].clone();
    shop.admin.post(&format!("/api/promotions/{id}/activate"), &json!({})).await.expect(200);
    let (user, account) = member(&shop, "ada@example.com").await;
    let mut body = order(1, 0);
    assert_eq!(user.post("/api/orders", &body).await.expect(201)["pointsEarned"], 15);
    body["promotionCode"] = json!("double");
    let double = user.post("/api/orders", &body).await.expect(201);
    assert_eq!((&double["pointsEarned"], &double["totals"]["total"]), (&json!(30), &json!("10.00")));
    wait_for_points(&user, &account, (45, 0)).await;
    body["email"] = json!("guest@example.com");
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["pointsEarned"], 0, "guests earn none");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_orders_cannot_spend_the_same_points() {
    let shop = start(json!({"pointsPerUnit": "0"})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 1_050).await;
    let (orders, refused) = race(&user, "/api/orders", &order(1, 300)).await;
    assert_eq!(orders.len(), 3);
    for answer in refused {
        assert_eq!(answer.refused(422, "POINTS_INSUFFICIENT")["reason"], "NOT_ENOUGH");
    }
    assert_eq!(points_of(&user, &account).await, (150, 0));
    assert_eq!(shop.settled_stock("A").await, 997);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_redemptions_cannot_spend_the_same_points() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    let five = json!({"name": "Five off", "couponOnly": true, "actions": [{"type": "AMOUNT_OFF", "value": "5.00"}]});
    let promotion = shop.admin.post("/api/promotions", &five).await.expect(201)["id"].clone();
    shop.admin.post(&format!("/api/promotions/{promotion}/activate"), &json!({})).await.expect(200);
    let offer = json!({"name": "Five off", "points": 100, "promotionId": promotion, "validDays": 30});
    let offer = shop.admin.post("/api/rewards/catalogue", &offer).await.expect(201);
    assert_eq!(shop.anyone.get("/api/rewards/catalogue").await.expect(200)["items"][0], offer);
    grant(&shop, &account, 250).await;

    let path = format!("/api/rewards/catalogue/{}/redeem", offer["id"]);
    let (redeemed, refused) = race(&user, &path, &json!({})).await;
    assert_eq!((redeemed.len(), refused.len()), (2, CONNECTIONS - 2));
    refused.iter().for_each(|answer| drop(answer.refused(422, "POINTS_INSUFFICIENT")));
    assert_ne!(redeemed[0]["couponCode"], redeemed[1]["couponCode"]);
    assert_eq!(points_of(&user, &account).await, (50, 0));
    grant(&shop, &account, 100).await;
    let first = user.key("again").post(&path, &json!({})).await;
    let again = user.key("again").post(&path, &json!({})).await;
    assert_eq!((first.status, &first.bytes), (201, &again.bytes));
    assert_eq!(points_of(&user, &account).await, (50, 0));

    let mut body = order(1, 0);
    body["couponCode"] = first.json()["couponCode"].clone();
    let stranger = shop.customer("eve@example.com").await;
    stranger.post("/api/orders", &body).await.refused(422, "COUPON_INVALID");
    assert_eq!(user.post("/api/orders", &body).await.expect(201)["totals"]["total"], "5.00");
    assert_eq!(all(&user, &format!("{account}/redemptions")).await.len(), 3);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_unlock_an_achievement_once_per_user() {
    let shop = start(json!({"pointsPerUnit": "0"})).await;
    let rule = json!({"event": "ORDER_CONFIRMED", "count": 2, "sum": "30.00", "within": "P30D"});
    let body = json!({"code": "REGULAR", "name": "A regular", "rule": rule, "points": 25, "badge": "star"});
    let created = shop.admin.post("/api/rewards/achievements", &body).await.expect(201);
    shop.admin.post("/api/rewards/achievements", &body).await.refused(409, "CODE_TAKEN");
    assert_eq!(shop.anyone.get("/api/rewards/achievements").await.expect(200)["items"], json!([created]));
    let (user, account) = member(&shop, "ada@example.com").await;
    let list = format!("{account}/achievements");
    user.post("/api/orders", &order(1, 0)).await.expect(201);
    for quantity in [2, 1, 1] {
        user.post("/api/orders", &order(quantity, 0)).await.expect(201);
    }
    wait_for_points(&user, &account, (25, 0)).await;
    shop.settled_stock("A").await;
    let unlocked = all(&user, &list).await;
    assert_eq!((unlocked.len(), &unlocked[0]["code"], &unlocked[0]["badge"]), (1, &json!("REGULAR"), &json!("star")));
    shop.admin.delete(&format!("/api/rewards/achievements/{}", created["id"])).await.expect(204);
    assert_eq!(all(&user, &list).await.len(), 1, "a user keeps an unlocked achievement");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn referrals_earn_points_and_erasure_forfeits_them() {
    let shop = start(json!({"signupBonus": 50, "referralBonus": 20})).await;
    let (ada, ada_account) = member(&shop, "ada@example.com").await;
    wait_for_points(&ada, &ada_account, (50, 0)).await;
    let code = ada.get("/api/users/me").await.expect(200)["referralCode"].clone();
    let friend = json!({"email": "eve@example.com", "password": crate::shop::PASSWORD, "referralCode": code});
    let friend = shop.anyone.post("/api/auth/register", &friend).await.expect(201);
    let eve = shop.anyone.bearer(friend["accessToken"].as_str().unwrap());
    let eve_account = format!("/api/rewards/account/{}", friend["user"]["id"]);
    wait_for_points(&eve, &eve_account, (50, 0)).await;
    eve.post("/api/orders", &order_of(&[("A", 1)], "tok_declined")).await.expect(402);
    // The order names her own email address. With the referrer's she would count as the same person, not as a new
    // customer.
    let mut first = order_of(&[("A", 1)], "tok_visa");
    first["email"] = json!("eve@example.com");
    let first = eve.post("/api/orders", &first).await.expect(201);
    wait_for_points(&eve, &eve_account, (70 + first["pointsEarned"].as_i64().unwrap(), 0)).await;
    wait_for_points(&ada, &ada_account, (70, 0)).await;
    let cancel = format!("/api/orders/{}/cancel", first["id"]);
    eve.post(&cancel, &json!({"reason": "changed my mind"})).await.expect(200);
    wait_for_points(&eve, &eve_account, (50, 0)).await;
    wait_for_points(&ada, &ada_account, (50, 0)).await;
    let mut second = order_of(&[("A", 1)], "tok_visa");
    second["email"] = json!("eve@example.com");
    let second = eve.post("/api/orders", &second).await.expect(201);
    wait_for_points(&eve, &eve_account, (70 + second["pointsEarned"].as_i64().unwrap(), 0)).await;
    wait_for_points(&ada, &ada_account, (70, 0)).await;
    for path in ["", "/transactions", "/achievements", "/redemptions"] {
        assert_eq!(ada.get(&format!("{eve_account}{path}")).await.status, 404, "{path}");
        assert_eq!(shop.anyone.get(&format!("{eve_account}{path}")).await.status, 401);
    }
    let export = eve.get("/api/users/me/export").await.expect(200);
    assert!(export["rewards"]["account"]["balance"].as_i64() >= Some(70), "{export}");
    let paid = eve.post("/api/orders", &order(1, 70)).await.expect(201);
    // Both orders are open; her points are forfeited when they have ended.
    let erasure = eve.delete("/api/users/me").await.expect(202);
    assert_eq!((&erasure["status"], &erasure["openOrders"]), (&json!("ERASING"), &json!(2)));
    for order in [&second, &paid] {
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        shop.admin.post(&cancel, &json!({"reason": "gone"})).await.expect(200);
    }
    wait_for_points(&shop.admin, &eve_account, (0, 0)).await;
    wait_for_points(&ada, &ada_account, (50, 0)).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_survive_a_restart() {
    let shop = start(json!({"expiryMonths": 12})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    grant(&shop, &account, 500).await;
    user.post("/api/orders", &order(2, 300)).await.expect(201);
    wait_for_points(&user, &account, (217, 0)).await;
    let before = shop.admin.get(&account).await.expect(200);
    let shop = shop.restart().await;
    assert_eq!(shop.admin.get(&account).await.expect(200), before);
    shop.admin
        .post(&format!("{account}/adjust"), &json!({"points": -218, "reason": "x"}))
        .await
        .refused(409, "POINTS_INSUFFICIENT");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn achievements_count_coupons_promotions_and_points() {
    let shop = start(json!({})).await;
    let create = async |code: &str, rule: Value| {
        let body = json!({"code": code, "name": code, "rule": rule, "points": 10});
        shop.admin.post("/api/rewards/achievements", &body).await
    };
    for (code, rule) in [
        ("HUNTER", json!({"event": "COUPON_REDEEMED", "count": 2})),
        ("SAVER", json!({"event": "PROMOTION_APPLIED", "sum": "2.00"})),
        ("EARNER", json!({"event": "POINTS_AWARDED", "sum": 18})),
    ] {
        create(code, rule).await.expect(201);
    }
    let refused = create("LOOKER", json!({"event": "PRODUCT_VIEWED"})).await.expect(422);
    let detail = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("ORDER_CONFIRMED") && detail.contains("COUPON_REDEEMED"), "{refused}");
    let promotion = json!({"name": "Tenth", "couponOnly": true, "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    let promotion = shop.admin.post("/api/promotions", &promotion).await.expect(201)["id"].clone();
    shop.admin.post(&format!("/api/promotions/{promotion}/activate"), &json!({})).await.expect(200);
    let coupon = json!({"code": "TENTH", "promotionId": promotion});
    shop.admin.post("/api/coupons", &coupon).await.expect(201);
    let (user, account) = member(&shop, "ada@example.com").await;
    let mut body = order(1, 0);
    body["couponCode"] = json!("TENTH");
    let mut declined = body.clone();
    declined["payment"]["token"] = json!("tok_declined");
    user.post("/api/orders", &declined).await.expect(402);
    let first = user.post("/api/orders", &body).await.expect(201);
    user.post(&format!("/api/orders/{}/cancel", first["id"]), &json!({"reason": "no"})).await.expect(200);
    // Each order earns nine points. A cancelled order no longer counts, and points of achievements never do.
    wait_for_points(&user, &account, (0, 0)).await;
    user.post("/api/orders", &body).await.expect(201);
    wait_for_points(&user, &account, (9, 0)).await;
    user.post("/api/orders", &body).await.expect(201);
    wait_for_points(&user, &account, (48, 0)).await;
    let mine = all(&user, &format!("{account}/achievements")).await;
    let mut codes: Vec<&str> = mine.iter().map(|item| item["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["EARNER", "HUNTER", "SAVER"]);
    shop.close().await;
}
