//! Races over real sockets: 64 connections compete for the last of something, with an exact outcome every time.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

const CONNECTIONS: usize = 64;

/// Sends each request over a connection of its own, all at once.
async fn race(requests: Vec<(Client, String, Value)>) -> Vec<Answer> {
    let running: Vec<_> = requests
        .into_iter()
        .map(|(client, path, body)| {
            let client = client.own_connection();
            tokio::spawn(async move { client.post(&path, &body).await })
        })
        .collect();
    let mut answers = Vec::with_capacity(running.len());
    for answer in running {
        answers.push(answer.await.unwrap());
    }
    answers
}

/// Sends a request to `path` from every connection at once, with a body made for each.
async fn race_all(client: &Client, path: &str, body: impl Fn(usize) -> Value) -> Vec<Answer> {
    race((0..CONNECTIONS).map(|n| (client.clone(), path.to_owned(), body(n))).collect()).await
}

/// The bodies of the successful answers. Asserts that all others were refused with this status, code and reason.
fn winners(answers: &[Answer], status: u16, code: &str, reason: Option<&str>) -> Vec<Value> {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    for answer in lost {
        let refusal = answer.refused(status, code);
        assert!(reason.is_none() || refusal["reason"].as_str() == reason, "{refusal}");
    }
    won.into_iter().map(Answer::json).collect()
}

/// Creates and activates a promotion and returns its id.
async fn promotion(shop: &Shop, body: &Value) -> i64 {
    let id = shop.admin.post("/api/promotions", body).await.expect(201)["id"].as_i64().unwrap();
    shop.admin.post(&format!("/api/promotions/{id}/activate"), &json!({})).await.expect(200);
    id
}

fn percent_off(value: &str) -> Value {
    json!([{"type": "PERCENT_OFF", "value": value}])
}

/// An order of one `A` by a guest, with additional members.
fn order(guest: usize, more: &Value) -> Value {
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body["email"] = json!(format!("guest-{guest}@example.com"));
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The sum of the discounts of orders, in hundredths.
fn total_discount(orders: &[Value]) -> i64 {
    let cents = |order: &Value| order["totals"]["discount"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    orders.iter().map(cents).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_coupon_uses_are_redeemed_and_released_once() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let promotion =
        promotion(&shop, &json!({"name": "By coupon", "couponOnly": true, "actions": percent_off("50")})).await;
    let coupon = json!({"code": "LAST-5", "promotionId": promotion, "maxRedemptions": 5});
    shop.admin.post("/api/coupons", &coupon).await.expect(201);
    let with_code = |n: usize| order(n, &json!({"couponCode": "last 5"}));

    let answers = race_all(&shop.anyone, "/api/orders", with_code).await;
    let won = winners(&answers, 422, "COUPON_INVALID", Some("LIMIT_REACHED"));
    assert_eq!(won.len(), 5);
    assert_eq!(total_discount(&won), 5 * 500);
    assert_eq!(shop.all("/api/coupons/LAST5/redemptions").await.len(), 5);

    let cancel = format!("/api/orders/{}/cancel", won[0]["id"]);
    for answer in race_all(&shop.admin, &cancel, |_| json!({"reason": "changed my mind"})).await {
        assert!(matches!(answer.status, 200 | 409), "{answer:?}");
    }
    assert_eq!(shop.all("/api/coupons/LAST5/redemptions").await.len(), 4);
    let answers = race_all(&shop.anyone, "/api/orders", |n| with_code(100 + n)).await;
    assert_eq!(winners(&answers, 422, "COUPON_INVALID", Some("LIMIT_REACHED")).len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_per_user_limit_holds_across_guest_and_account() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let limits = json!({"perUser": 2});
    promotion(&shop, &json!({"name": "Twice", "code": "TWICE", "actions": percent_off("10"), "limits": limits})).await;
    let user = shop.customer("ann@example.com").await;
    let guest = shop.anyone.clone();
    // Half of the requests are logged in, the others are a guest's with the same email address in other case: one
    // person.
    let requests = (0..CONNECTIONS).map(|n| {
        let body = order(n, &json!({"promotionCode": "TWICE", "email": "Ann@Example.com"}));
        (if n % 2 == 0 { user.clone() } else { guest.clone() }, "/api/orders".to_owned(), body)
    });
    let answers = race(requests.collect()).await;
    assert_eq!(winners(&answers, 422, "PROMOTION_INVALID", Some("USER_LIMIT_REACHED")).len(), 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_never_exceeded_under_concurrency() {
    for (when_short, spent, discounted_orders) in [("REFUSE", 930, 6), ("GIVE_REST", 1_000, 7)] {
        let shop = Shop::start().await;
        shop.product("A", "15.50", 1_000).await;
        let limits = json!({"budget": "10.00", "whenShort": when_short});
        let ten = json!({"name": "A tenth off", "actions": percent_off("10"), "limits": limits});
        let id = promotion(&shop, &ten).await;
        let answers = race_all(&shop.anyone, "/api/orders", |n| order(n, &json!({}))).await;
        let orders = winners(&answers, 201, "", None);
        assert_eq!(orders.len(), CONNECTIONS, "an automatic promotion never refuses an order");
        assert_eq!(total_discount(&orders), spent, "{when_short}");
        let uses = shop.all(&format!("/api/promotions/{id}/usage")).await;
        assert_eq!(uses.len(), discounted_orders, "{when_short}: an order without discount is not a use");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_with_a_code_grants_the_rest_of_its_budget_under_concurrency() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let limits = json!({"budget": "12.00", "whenShort": "GIVE_REST"});
    let half = json!({"name": "Half", "code": "HALF", "actions": percent_off("50"), "limits": limits});
    promotion(&shop, &half).await;
    let answers = race_all(&shop.anyone, "/api/orders", |n| order(n, &json!({"promotionCode": "HALF"}))).await;
    let orders = winners(&answers, 422, "PROMOTION_INVALID", Some("BUDGET_EXHAUSTED"));
    assert_eq!((orders.len(), total_discount(&orders)), (3, 1_200), "5.00, 5.00 and the rest");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_never_exceeds_its_budget() {
    let shop = Shop::start().await;
    shop.product("A", "20.00", 1_000).await;
    let campaign = json!({"name": "Autumn", "budget": "25.00"});
    let campaign = shop.admin.post("/api/campaigns", &campaign).await.expect(201)["id"].as_i64().unwrap();
    let start = format!("/api/campaigns/{campaign}/transitions");
    shop.admin.post(&start, &json!({"to": "ACTIVE"})).await.expect(200);
    promotion(&shop, &json!({"name": "Fifth", "campaignId": campaign, "actions": percent_off("20")})).await;
    let answers = race_all(&shop.anyone, "/api/orders", |n| order(n, &json!({}))).await;
    let orders = winners(&answers, 201, "", None);
    assert_eq!(total_discount(&orders), 6 * 400);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_flash_sale_units_are_reserved_and_sold_once() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let items = json!([{"sku": "A", "salePrice": "1.00", "stock": 12, "perUserLimit": 2}]);
    let hours = json!({"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z"});
    let sale = json!({"name": "Flash", "items": items, "startsAt": hours["startsAt"], "endsAt": hours["endsAt"]});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let path = format!("/api/flash-sales/{}/reservations", sale["id"]);
    let mut users = Vec::new();
    for n in 0..8 {
        users.push(shop.customer(&format!("user-{n}@example.com")).await);
    }

    // First a single user reaches the limit per user, then all users compete for the remaining stock.
    let answers = race_all(&users[0], &path, |_| json!({"sku": "A", "quantity": 1})).await;
    let first_reservations = winners(&answers, 409, "LIMIT_REACHED", None);
    assert_eq!(first_reservations.len(), 2);
    let requests = (0..CONNECTIONS).map(|n| (users[n % 8].clone(), path.clone(), json!({"sku": "A", "quantity": 1})));
    let answers = race(requests.collect()).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 10, "12 units were allocated and 2 are reserved");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let code = answer.expect(409)["code"].clone();
        assert!(code == "SOLD_OUT" || code == "LIMIT_REACHED", "{answer:?}");
    }

    // Of 64 orders with the same reservation one succeeds.
    let body = json!({
        "flashSaleReservationIds": [first_reservations[0]["reservationId"]],
        "payment": {"method": "CARD", "provider": "sandbox", "token": "tok_visa"},
    });
    let answers = race_all(&users[0], "/api/orders", |_| body.clone()).await;
    let sold = winners(&answers, 422, "FLASH_RESERVATION_INVALID", None);
    assert_eq!(sold.len(), 1);
    assert_eq!(sold[0]["totals"]["total"], "1.00");
    shop.close().await;
}
