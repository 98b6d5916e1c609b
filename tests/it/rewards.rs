//! Points over real sockets: earned, spent as a tender, given back once, raced for; tiers, achievements, the catalogue.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, all, order_of};

const CONNECTIONS: usize = 64;

/// A shop whose points are worth a penny, with some more settings.
async fn start(settings: Value) -> Shop {
    let shop = Shop::start().await;
    let mut body = json!({"pointValue": "0.01"});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    shop.admin.patch("/api/rewards/settings", &body).await.expect(200);
    shop.product("A", "10.00", 1_000).await;
    shop
}

/// A customer, and the path of their account.
async fn member(shop: &Shop, email: &str) -> (Client, String) {
    let user = shop.customer(email).await;
    let id = user.get("/api/users/me").await.expect(200)["id"].clone();
    (user, format!("/api/rewards/account/{id}"))
}

async fn give(shop: &Shop, account: &str, points: i64) {
    let body = json!({"points": points, "reason": "a present"});
    shop.admin.post(&format!("{account}/adjust"), &body).await.expect(200);
}

/// An order of so many pieces of A, with points.
fn order(pieces: u32, points: u32) -> Value {
    let mut body = order_of(&[("A", pieces)], "tok_visa");
    body.as_object_mut().unwrap().remove("email");
    body["pointsToRedeem"] = json!(points);
    body
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value}"))
}

/// Balance and pending points, as the account says; the ledger must say the same.
async fn has(user: &Client, account: &str) -> (i64, i64) {
    loop {
        let before = user.get(account).await.expect(200);
        let entries = all(user, &format!("{account}/transactions")).await;
        let after = user.get(account).await.expect(200);
        if before != after {
            continue;
        }
        let sum = |pending: bool| {
            let of = entries.iter().filter(|entry| entry["availableAt"].is_string() == pending);
            of.map(|item| number(&item["points"])).sum::<i64>()
        };
        let sums = (number(&after["balance"]), number(&after["pending"]));
        assert_eq!((sum(false), sum(true)), sums, "{entries:?}");
        return sums;
    }
}

/// Waits until rewards have followed the shop's events so far that the account has this.
async fn comes_to(user: &Client, account: &str, want: (i64, i64)) {
    for _ in 0..20_000 {
        if has(user, account).await == want {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?} is not {want:?}", has(user, account).await);
}

/// Sends a request over each of so many connections, all at once; the good answers and the refusals.
async fn race(client: &Client, path: &str, body: &Value) -> (Vec<Value>, Vec<Answer>) {
    let running: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, path, body) = (client.own_connection(), path.to_owned(), body.clone());
            tokio::spawn(async move { client.post(&path, &body).await })
        })
        .collect();
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for answer in running {
        let answer = answer.await.unwrap();
        if answer.status < 300 { good.push(answer.json()) } else { refused.push(answer) }
    }
    (good, refused)
}

/// Returns pieces of an order's A.
async fn give_back(shop: &Shop, order: &Value, pieces: u32) {
    let path = format!("/api/orders/{}/returns", order["id"]);
    let ask = json!({"items": [{"sku": "A", "quantity": pieces}], "reason": "too many"});
    let asked = shop.admin.post(&path, &ask).await.expect(201);
    shop.admin.post(&format!("{path}/{}/approve", asked["id"]), &json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_earns_and_points_pay_the_next() {
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
    comes_to(&user, &account, (100, 0)).await;

    let mut body = order(2, 100);
    body["shippingAddress"] = address;
    let quote = user.post("/api/orders/quote", &body).await.expect(200);
    let second = user.post("/api/orders", &body).await.expect(201);
    let totals = &second["totals"];
    assert_eq!(quote["totals"], *totals);
    assert_eq!(
        (&totals["tax"], &totals["total"]),
        (&json!("4.00"), &json!("23.00")),
        "tax is worked out before points"
    );
    assert_eq!((&totals["pointsRedeemed"], &totals["pointsValue"]), (&json!(100), &json!("1.00")));
    assert_eq!(second["pointsEarned"], 19, "what points paid earns nothing");
    comes_to(&user, &account, (19, 0)).await;
    let entries = all(&user, &format!("{account}/transactions")).await;
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry["type"].as_str().unwrap(), number(&entry["points"]))).collect();
    assert_eq!(entries, [("EARN", 19), ("REDEEM", -100), ("EARN", 100)]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_do_not_pay_refuse_the_order() {
    let shop = start(json!({"minSharePercent": "10", "maxSharePercent": "50"})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 600).await;
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
    assert_eq!(has(&user, &account).await, (600, 0));
    assert_eq!(shop.stock_of("A").await, (1_000, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_alone_can_pay_an_order_and_a_declined_card_gives_them_back() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 1_500).await;
    let mut declined = order(1, 400);
    declined["payment"]["token"] = json!("tok_declined");
    user.post("/api/orders", &declined).await.refused(402, "PAYMENT_DECLINED");
    comes_to(&user, &account, (1_500, 0)).await;
    let mut free = order(1, 1_000);
    free.as_object_mut().unwrap().remove("payment");
    let order = user.post("/api/orders", &free).await.expect(201);
    assert_eq!((&order["status"], &order["totals"]["total"]), (&json!("CONFIRMED"), &json!("0.00")));
    assert_eq!(order["pointsEarned"], 0);
    assert_eq!(has(&user, &account).await, (500, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_gives_its_points_back_once() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 500).await;
    let order = user.post("/api/orders", &order(2, 300)).await.expect(201);
    comes_to(&user, &account, (217, 0)).await;
    let cancel = format!("/api/orders/{}/cancel", order["id"]);
    let (good, refused) = race(&user, &cancel, &json!({"reason": "changed my mind"})).await;
    assert!(!good.is_empty() && refused.iter().all(|answer| answer.status == 409), "{refused:?}");
    comes_to(&user, &account, (500, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["lifetimeEarned"], 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_give_points_back_as_points_and_take_earned_ones_back() {
    let shop = start(json!({"pendingDays": 30})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 1_000).await;
    let order = user.post("/api/orders", &order(3, 1_000)).await.expect(201);
    assert_eq!((&order["totals"]["total"], &order["pointsEarned"]), (&json!("20.00"), &json!(20)));
    comes_to(&user, &account, (0, 20)).await;
    for want in [(333, 13), (667, 7), (1_000, 0)] {
        give_back(&shop, &order, 1).await;
        comes_to(&user, &account, want).await;
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
    comes_to(&user, &account, (70, 0)).await;
    let silver = user.get(&account).await.expect(200);
    assert_eq!(
        (&silver["tier"], &silver["nextTier"], &silver["pointsToNextTier"]),
        (&json!("SILVER"), &json!("GOLD"), &json!(30))
    );
    let second = user.post("/api/orders", &order(3, 0)).await.expect(201);
    assert_eq!(second["pointsEarned"], 45);
    comes_to(&user, &account, (115, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["tier"], "GOLD");
    shop.admin.post(&format!("/api/orders/{}/cancel", second["id"]), &json!({"reason": "x"})).await.expect(200);
    comes_to(&user, &account, (70, 0)).await;
    assert_eq!(user.get(&account).await.expect(200)["tier"], "SILVER");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_multiplies_points_and_takes_nothing_off() {
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
    comes_to(&user, &account, (45, 0)).await;
    body["email"] = json!("guest@example.com");
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["pointsEarned"], 0, "guests earn none");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_points_pay_one_order_however_many_ask_at_once() {
    let shop = start(json!({"pointsPerUnit": "0"})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 1_050).await;
    let (orders, refused) = race(&user, "/api/orders", &order(1, 300)).await;
    assert_eq!(orders.len(), 3);
    for answer in refused {
        assert_eq!(answer.refused(422, "POINTS_INSUFFICIENT")["reason"], "NOT_ENOUGH");
    }
    assert_eq!(has(&user, &account).await, (150, 0));
    assert_eq!(shop.posted("A").await, 997);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_sells_each_point_once() {
    let shop = start(json!({})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    let five = json!({"name": "Five off", "couponOnly": true, "actions": [{"type": "AMOUNT_OFF", "value": "5.00"}]});
    let promotion = shop.admin.post("/api/promotions", &five).await.expect(201)["id"].clone();
    shop.admin.post(&format!("/api/promotions/{promotion}/activate"), &json!({})).await.expect(200);
    let offer = json!({"name": "Five off", "points": 100, "promotionId": promotion, "validDays": 30});
    let offer = shop.admin.post("/api/rewards/catalogue", &offer).await.expect(201);
    assert_eq!(shop.anyone.get("/api/rewards/catalogue").await.expect(200)["items"][0], offer);
    give(&shop, &account, 250).await;

    let path = format!("/api/rewards/catalogue/{}/redeem", offer["id"]);
    let (taken, refused) = race(&user, &path, &json!({})).await;
    assert_eq!((taken.len(), refused.len()), (2, CONNECTIONS - 2));
    refused.iter().for_each(|answer| drop(answer.refused(422, "POINTS_INSUFFICIENT")));
    assert_ne!(taken[0]["couponCode"], taken[1]["couponCode"]);
    assert_eq!(has(&user, &account).await, (50, 0));
    give(&shop, &account, 100).await;
    let once = user.key("again").post(&path, &json!({})).await;
    let again = user.key("again").post(&path, &json!({})).await;
    assert_eq!((once.status, &once.bytes), (201, &again.bytes));
    assert_eq!(has(&user, &account).await, (50, 0));

    let mut body = order(1, 0);
    body["couponCode"] = once.json()["couponCode"].clone();
    let stranger = shop.customer("eve@example.com").await;
    stranger.post("/api/orders", &body).await.refused(422, "COUPON_INVALID");
    assert_eq!(user.post("/api/orders", &body).await.expect(201)["totals"]["total"], "5.00");
    assert_eq!(all(&user, &format!("{account}/redemptions")).await.len(), 3);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn achievements_are_unlocked_by_orders_once_a_user() {
    let shop = start(json!({"pointsPerUnit": "0"})).await;
    let rule = json!({"event": "ORDER_CONFIRMED", "count": 2, "sum": "30.00", "within": "P30D"});
    let body = json!({"code": "REGULAR", "name": "A regular", "rule": rule, "points": 25, "badge": "star"});
    let made = shop.admin.post("/api/rewards/achievements", &body).await.expect(201);
    shop.admin.post("/api/rewards/achievements", &body).await.refused(409, "CODE_TAKEN");
    assert_eq!(shop.anyone.get("/api/rewards/achievements").await.expect(200)["items"], json!([made]));
    let (user, account) = member(&shop, "ada@example.com").await;
    let list = format!("{account}/achievements");
    user.post("/api/orders", &order(1, 0)).await.expect(201);
    for pieces in [2, 1, 1] {
        user.post("/api/orders", &order(pieces, 0)).await.expect(201);
    }
    comes_to(&user, &account, (25, 0)).await;
    shop.posted("A").await;
    let unlocked = all(&user, &list).await;
    assert_eq!((unlocked.len(), &unlocked[0]["code"], &unlocked[0]["badge"]), (1, &json!("REGULAR"), &json!("star")));
    shop.admin.delete(&format!("/api/rewards/achievements/{}", made["id"])).await.expect(204);
    assert_eq!(all(&user, &list).await.len(), 1, "who has it keeps it");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn friends_bring_points_and_who_leaves_forfeits_them() {
    let shop = start(json!({"signupBonus": 50, "referralBonus": 20})).await;
    let (ada, of_ada) = member(&shop, "ada@example.com").await;
    comes_to(&ada, &of_ada, (50, 0)).await;
    let code = ada.get("/api/users/me").await.expect(200)["referralCode"].clone();
    let friend = json!({"email": "eve@example.com", "password": crate::shop::PASSWORD, "referralCode": code});
    let friend = shop.anyone.post("/api/auth/register", &friend).await.expect(201);
    let eve = shop.anyone.bearer(friend["accessToken"].as_str().unwrap());
    let of_eve = format!("/api/rewards/account/{}", friend["user"]["id"]);
    comes_to(&eve, &of_eve, (50, 0)).await;
    eve.post("/api/orders", &order_of(&[("A", 1)], "tok_declined")).await.expect(402);
    // As a guest with the address of who sent her she would be the same person; with her own she is a new customer.
    let mut first = order_of(&[("A", 1)], "tok_visa");
    first["email"] = json!("eve@example.com");
    let first = eve.post("/api/orders", &first).await.expect(201);
    comes_to(&eve, &of_eve, (70 + first["pointsEarned"].as_i64().unwrap(), 0)).await;
    comes_to(&ada, &of_ada, (70, 0)).await;
    let cancel = format!("/api/orders/{}/cancel", first["id"]);
    eve.post(&cancel, &json!({"reason": "changed my mind"})).await.expect(200);
    comes_to(&eve, &of_eve, (50, 0)).await;
    comes_to(&ada, &of_ada, (50, 0)).await;
    let mut second = order_of(&[("A", 1)], "tok_visa");
    second["email"] = json!("eve@example.com");
    let second = eve.post("/api/orders", &second).await.expect(201);
    comes_to(&eve, &of_eve, (70 + second["pointsEarned"].as_i64().unwrap(), 0)).await;
    comes_to(&ada, &of_ada, (70, 0)).await;
    for path in ["", "/transactions", "/achievements", "/redemptions"] {
        assert_eq!(ada.get(&format!("{of_eve}{path}")).await.status, 404, "{path}");
        assert_eq!(shop.anyone.get(&format!("{of_eve}{path}")).await.status, 401);
    }
    let export = eve.get("/api/users/me/export").await.expect(200);
    assert!(export["rewards"]["account"]["balance"].as_i64() >= Some(70), "{export}");
    let paid = eve.post("/api/orders", &order(1, 70)).await.expect(201);
    // Both orders are still to be shipped: what she has is forfeited when they have ended.
    let asked = eve.delete("/api/users/me").await.expect(202);
    assert_eq!((&asked["status"], &asked["openOrders"]), (&json!("ERASING"), &json!(2)));
    for order in [&second, &paid] {
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        shop.admin.post(&cancel, &json!({"reason": "gone"})).await.expect(200);
    }
    comes_to(&shop.admin, &of_eve, (0, 0)).await;
    comes_to(&ada, &of_ada, (50, 0)).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_outlast_a_restart() {
    let shop = start(json!({"expiryMonths": 12})).await;
    let (user, account) = member(&shop, "ada@example.com").await;
    give(&shop, &account, 500).await;
    user.post("/api/orders", &order(2, 300)).await.expect(201);
    comes_to(&user, &account, (217, 0)).await;
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
    let make = async |code: &str, rule: Value| {
        let body = json!({"code": code, "name": code, "rule": rule, "points": 10});
        shop.admin.post("/api/rewards/achievements", &body).await
    };
    for (code, rule) in [
        ("HUNTER", json!({"event": "COUPON_REDEEMED", "count": 2})),
        ("SAVER", json!({"event": "PROMOTION_APPLIED", "sum": "2.00"})),
        ("EARNER", json!({"event": "POINTS_AWARDED", "sum": 18})),
    ] {
        make(code, rule).await.expect(201);
    }
    let refused = make("LOOKER", json!({"event": "PRODUCT_VIEWED"})).await.expect(422);
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
    // Each earns nine points. What was cancelled counts no more, and no achievement counts what an achievement gave.
    comes_to(&user, &account, (0, 0)).await;
    user.post("/api/orders", &body).await.expect(201);
    comes_to(&user, &account, (9, 0)).await;
    user.post("/api/orders", &body).await.expect(201);
    comes_to(&user, &account, (48, 0)).await;
    let mine = all(&user, &format!("{account}/achievements")).await;
    let mut codes: Vec<&str> = mine.iter().map(|item| item["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["EARNER", "HUNTER", "SAVER"]);
    shop.close().await;
}
