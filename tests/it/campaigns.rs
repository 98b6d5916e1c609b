//! Campaigns over HTTP: transitions, start and end times, budgets, segments and audiences, and their flash sales.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::promotions::activate;
use crate::shop::{Shop, order_of};

async fn campaign(shop: &Shop, more: Value) -> Value {
    let mut body = json!({"name": "Autumn"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.admin.post("/api/campaigns", &body).await.expect(201)
}

async fn transition(shop: &Shop, campaign: &Value, to: &str) -> Answer {
    shop.admin.post(&format!("/api/campaigns/{}/transitions", campaign["id"]), &json!({"to": to})).await
}

fn at(shop: &Shop, seconds: i64) -> String {
    promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string()
}

/// Waits until a campaign has a status and returns it.
async fn wait_for_status(shop: &Shop, campaign: &Value, status: &str) -> Value {
    loop {
        let seen = shop.admin.get(&format!("/api/campaigns/{}", campaign["id"])).await.expect(200);
        if seen["status"] == status {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

async fn order(client: &Client, quantity: u32) -> Answer {
    client.post("/api/orders", &order_of(&[("A", quantity)], "tok_visa")).await
}

/// The total of a quote for one A.
async fn price(client: &Client) -> Value {
    let quote = client.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
    quote["totals"]["total"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_follows_its_transitions_and_keeps_its_history() {
    let shop = Shop::start().await;
    let created = campaign(&shop, json!({"startsAt": at(&shop, 3600), "endsAt": at(&shop, 7200)})).await;
    let path = format!("/api/campaigns/{}", created["id"]);
    assert_eq!(
        (&created["status"], &created["spent"], &created["timezone"]),
        (&json!("DRAFT"), &json!("0.00"), &json!("UTC"))
    );
    transition(&shop, &created, "PAUSED").await.refused(409, "INVALID_TRANSITION");
    transition(&shop, &created, "NOWHERE").await.expect(422);
    for to in ["SCHEDULED", "ACTIVE", "PAUSED", "ACTIVE", "ENDED"] {
        assert_eq!(transition(&shop, &created, to).await.expect(200)["status"], to);
    }
    let refused = transition(&shop, &created, "ACTIVE").await.refused(409, "INVALID_TRANSITION");
    assert_eq!(refused["allowed"], json!([]));
    let history = shop.admin.get(&format!("{path}/history")).await.expect(200);
    let mut statuses: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|item| item["to"].as_str().unwrap()).collect();
    if statuses.first() == Some(&"ENDED") {
        statuses.reverse();
    }
    assert_eq!(statuses, ["DRAFT", "SCHEDULED", "ACTIVE", "PAUSED", "ACTIVE", "ENDED"]);
    assert!(history["items"].as_array().unwrap().iter().all(|item| !item["at"].is_null()), "{history}");
    assert_eq!(shop.admin.delete(&path).await.status, 409, "a campaign that was active cannot be deleted");
    let draft = campaign(&shop, json!({})).await;
    let answer = shop.admin.get(&format!("/api/campaigns/{}", draft["id"])).await;
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("/api/campaigns/{}", draft["id"]);
    shop.admin.patch(&path, &json!({"name": "Winter", "budget": "5"})).await.expect(200);
    let stale = shop.admin.with("if-match", tag);
    stale.patch(&path, &json!({"name": "x"})).await.refused(412, "VERSION_MISMATCH");
    stale.delete(&path).await.refused(412, "VERSION_MISMATCH");
    let cleared = shop.admin.patch(&path, &json!({"budget": null})).await.expect(200);
    assert_eq!((&cleared["name"], &cleared["budget"]), (&json!("Winter"), &Value::Null));
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.admin.get(&path).await.refused(404, "NOT_FOUND");
    shop.anyone.get("/api/campaigns").await.refused(401, "UNAUTHENTICATED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_campaigns_and_segments_are_refused_with_a_pointer() {
    let shop = Shop::start().await;
    let hours = |from: &str, to: &str| json!({"days": ["SUN"], "from": from, "to": to});
    for (members, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"budget": "0"}), "/budget"),
        (json!({"budget": "1.001"}), "/budget"),
        (json!({"timezone": "Nowhere/Now"}), "/timezone"),
        (json!({"startsAt": "2030-01-02T00:00:00Z", "endsAt": "2030-01-01T00:00:00Z"}), "/endsAt"),
        (json!({"endsAt": "2020-01-01T00:00:00Z"}), "/endsAt"),
        (
            json!({"startsAt": "2030-01-01T00:00:00Z", "endsAt": "2030-01-03T00:00:00Z", "schedule": hours("10:00", "11:00")}),
            "/schedule",
        ),
        (
            json!({"startsAt": "2030-03-31T00:00:00Z", "endsAt": "2030-03-31T06:00:00Z", "timezone": "Europe/London",
            "schedule": hours("01:10", "01:50")}),
            "/schedule",
        ),
        (json!({"audience": ["Nobody"]}), "/audience/0"),
        (json!({"adience": []}), "/adience"),
    ] {
        let mut body = json!({"name": "C"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let problem = shop.admin.post("/api/campaigns", &body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for (rule, pointer) in [
        (json!({"field": "customer.tier", "op": "GT", "value": "GOLD"}), "/rule/op"),
        (json!({"field": "cart.subtotal", "op": "GT", "value": "1"}), "/rule/field"),
        (json!({"all": [{"field": "customer.orderCount", "op": "GTE", "value": "x"}]}), "/rule/all/0/value"),
    ] {
        let problem = shop.admin.post("/api/segments", &json!({"name": "S", "rule": rule})).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_starts_and_ends_on_time_across_a_restart() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let created = campaign(&shop, json!({"startsAt": at(&shop, 2)})).await;
    activate(
        &shop,
        json!({"name": "P", "campaignId": created["id"], "actions": [{"type": "PERCENT_OFF", "value": "10"}]}),
    )
    .await;
    assert_eq!(price(&shop.anyone).await, "10.00");
    transition(&shop, &created, "SCHEDULED").await.expect(200);
    wait_for_status(&shop, &created, "ACTIVE").await;
    assert_eq!(price(&shop.anyone).await, "9.00");
    let end = json!({"endsAt": at(&shop, 2)});
    shop.admin.patch(&format!("/api/campaigns/{}", created["id"]), &end).await.expect(200);
    let shop = shop.restart().await;
    let ended = wait_for_status(&shop, &created, "ENDED").await;
    assert_eq!(price(&shop.anyone).await, "10.00");
    let history = shop.admin.get(&format!("/api/campaigns/{}/history", created["id"])).await.expect(200);
    let moves: Vec<_> = history["items"].as_array().unwrap().iter().map(|item| item["to"].as_str().unwrap()).collect();
    assert_eq!(
        moves.iter().filter(|to| ["ACTIVE", "ENDED"].contains(to)).count(),
        2,
        "each transition happens once: {moves:?}"
    );
    assert_eq!(
        ended["version"].as_i64().unwrap(),
        i64::try_from(moves.len()).unwrap() + 1,
        "one version per transition and one for the change"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_spent_to_the_penny_and_then_the_campaign_ends() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let created = campaign(&shop, json!({"budget": "5.00"})).await;
    transition(&shop, &created, "ACTIVE").await.expect(200);
    let rest = json!({"name": "P", "campaignId": created["id"], "limits": {"whenShort": "GIVE_REST"},
        "actions": [{"type": "PERCENT_OFF", "value": "20"}]});
    activate(&shop, rest).await;
    let first = order(&shop.anyone, 1).await.expect(201);
    assert_eq!(first["totals"]["discount"], "2.00");
    assert_eq!(order(&shop.anyone, 1).await.expect(201)["totals"]["discount"], "2.00");
    while shop.admin.get(&format!("/api/campaigns/{}", created["id"])).await.expect(200)["spent"] != "4.00" {
        tokio::task::yield_now().await;
    }
    let low = shop.admin.patch(&format!("/api/campaigns/{}", created["id"]), &json!({"budget": "3.00"})).await;
    assert!([409, 422].contains(&low.status), "{low:?}");
    let cancel = format!("/api/orders/{}/cancel", first["id"]);
    shop.admin.post(&cancel, &json!({"reason": "x"})).await.expect(200);
    assert_eq!(
        order(&shop.anyone, 1).await.expect(201)["totals"]["discount"],
        "2.00",
        "the budget of a cancelled order is available again"
    );
    assert_eq!(order(&shop.anyone, 1).await.expect(201)["totals"]["discount"], "1.00", "the rest of the budget");
    let ended = wait_for_status(&shop, &created, "ENDED").await;
    assert_eq!(ended["spent"], "5.00");
    assert_eq!(order(&shop.anyone, 1).await.expect(201)["totals"]["discount"], "0.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_applies_to_the_segments_of_its_audience() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let (member, other) = (shop.customer("member@example.com").await, shop.customer("other@example.com").await);
    let me = member.get("/api/users/me").await.expect(200)["id"].clone();
    let listed = shop.admin.post("/api/segments", &json!({"name": "Friends", "userIds": [me]})).await.expect(201);
    let rule = json!({"field": "customer.orderCount", "op": "GTE", "value": 1});
    shop.admin.post("/api/segments", &json!({"name": "Buyers", "rule": rule})).await.expect(201);
    shop.admin.post("/api/segments", &json!({"name": "Buyers", "userIds": []})).await.expect(409);
    let created = campaign(&shop, json!({"audience": ["Friends"]})).await;
    transition(&shop, &created, "ACTIVE").await.expect(200);
    activate(
        &shop,
        json!({"name": "P", "campaignId": created["id"], "actions": [{"type": "PERCENT_OFF", "value": "10"}]}),
    )
    .await;
    let loyal = json!({"field": "customer.segments", "op": "CONTAINS", "value": "Buyers"});
    activate(&shop, json!({"name": "L", "when": loyal, "actions": [{"type": "AMOUNT_OFF", "value": "1.00"}]})).await;
    for (client, expected) in [(&member, "9.00"), (&other, "10.00"), (&shop.anyone, "10.00")] {
        assert_eq!(price(client).await, expected);
    }
    let mut mine = order_of(&[("A", 1)], "tok_visa");
    mine["email"] = json!("other@example.com");
    other.post("/api/orders", &mine).await.expect(201);
    for (client, expected) in [(&member, "9.00"), (&other, "9.00"), (&shop.anyone, "10.00")] {
        assert_eq!(price(client).await, expected, "a customer who has ordered is in the segment");
    }
    let path = format!("/api/segments/{}", listed["id"]);
    assert_eq!(shop.admin.delete(&path).await.status, 409, "a campaign's audience names the segment");
    shop.admin.patch(&path, &json!({"userIds": []})).await.expect(200);
    assert_eq!(price(&member).await, "10.00", "a customer removed from the segment is not in the audience");

    let in_sale = json!({"name": "Flash", "campaignId": created["id"], "startsAt": at(&shop, 0), "endsAt": at(&shop, 600),
        "items": [{"sku": "A", "salePrice": "5.00", "stock": 10, "perUserLimit": 2}]});
    let sale = shop.admin.post("/api/flash-sales", &in_sale).await.expect(201);
    let reserve = format!("/api/flash-sales/{}/reservations", sale["id"]);
    let one = json!({"sku": "A", "quantity": 1});
    let refused = member.post(&reserve, &one).await.refused(409, "NOT_ACTIVE");
    assert_eq!(refused["reason"], "NOT_ELIGIBLE");
    shop.admin.patch(&path, &json!({"userIds": [me]})).await.expect(200);
    member.post(&reserve, &one).await.expect(201);
    other.post(&reserve, &one).await.refused(409, "NOT_ACTIVE");
    transition(&shop, &created, "PAUSED").await.expect(200);
    member.post(&reserve, &one).await.refused(409, "NOT_ACTIVE");
    assert_eq!(shop.anyone.get("/api/flash-sales/active").await.expect(200)["items"], json!([]));
    shop.close().await;
}

/// A flash sale of A at 4.00.
fn flash(shop: &Shop, stock: u32, more: Value) -> Value {
    let mut body = json!({"name": "Flash", "startsAt": at(shop, 0), "endsAt": at(shop, 600),
        "items": [{"sku": "A", "salePrice": "4.00", "stock": stock, "perUserLimit": 3}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_flash_sale_is_refused_with_a_pointer_and_allocates_nothing() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let sale = |stock: u32, more: Value| flash(&shop, stock, more);
    for (body, pointer) in [
        (sale(11, json!({})), "/items/0/stock"),
        (sale(0, json!({})), "/items/0/stock"),
        (sale(1, json!({"items": []})), "/items"),
        (sale(1, json!({"items": [{"sku": "NONE", "salePrice": "1", "stock": 1}]})), "/items/0/sku"),
        (sale(1, json!({"items": [{"sku": "A", "salePrice": "-1", "stock": 1}]})), "/items/0/salePrice"),
        (sale(1, json!({"reservationTtlSeconds": 59})), "/reservationTtlSeconds"),
        (sale(1, json!({"reservationTtlSeconds": 3601})), "/reservationTtlSeconds"),
        (sale(1, json!({"endsAt": at(&shop, -10)})), "/endsAt"),
        (sale(1, json!({"campaignId": 99})), "/campaignId"),
    ] {
        let problem = shop.admin.post("/api/flash-sales", &body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(shop.stock_of("A").await, (10, 0), "a refused sale allocates no stock");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_sale_allocates_stock_and_releases_the_rest() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let member = shop.customer("member@example.com").await;
    let sale = |stock: u32, more: Value| flash(&shop, stock, more);
    let created = shop.admin.post("/api/flash-sales", &sale(6, json!({}))).await.expect(201);
    let path = format!("/api/flash-sales/{}", created["id"]);
    assert_eq!((&created["status"], &created["reservationTtlSeconds"]), (&json!("ACTIVE"), &json!(600)));
    assert_eq!(shop.stock_of("A").await, (10, 6));
    let reserve = format!("{path}/reservations");
    shop.anyone.post(&reserve, &json!({"sku": "A", "quantity": 1})).await.refused(401, "UNAUTHENTICATED");
    let two = member.post(&reserve, &json!({"sku": "a", "quantity": 2})).await.expect(201);
    assert_eq!(two["unitPrice"], "4.00");
    let limited = member.post(&reserve, &json!({"sku": "A", "quantity": 2})).await.refused(409, "LIMIT_REACHED");
    assert_eq!(limited["perUserLimit"], 3);
    let other = shop.customer("other@example.com").await;
    let foreign = format!("{reserve}/{}", two["reservationId"]);
    assert_eq!(other.delete(&foreign).await.status, 404, "another user's reservation is not visible");
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body["flashSaleReservationIds"] = json!([two["reservationId"]]);
    let wrong = other.post("/api/orders", &body).await.refused(422, "FLASH_RESERVATION_INVALID");
    assert_eq!(wrong["reason"], "UNKNOWN");
    // Price rules and cart promotions skip flash lines unless they include them explicitly.
    activate(&shop, json!({"name": "All", "actions": [{"type": "PERCENT_OFF", "value": "50", "scope": "ITEMS"}]}))
        .await;
    activate(&shop, json!({"name": "Shelf", "stage": "CATALOG", "actions": [{"type": "AMOUNT_OFF", "value": "2", "scope": "ITEMS"}]}))
        .await;
    let placed = member.post("/api/orders", &body).await.expect(201);
    let flash = placed["lines"].as_array().unwrap().iter().find(|line| line["flashSaleId"] == created["id"]).unwrap();
    assert_eq!((&flash["unitPrice"], &flash["quantity"], &flash["total"]), (&json!("4.00"), &json!(2), &json!("8.00")));
    assert_eq!(placed["totals"]["total"], "12.00", "8.00 and half of 8.00: {placed}");
    let seen = shop.anyone.get(&path).await.expect(200);
    assert_eq!((&seen["items"][0]["remaining"], &seen["items"][0]["stock"]), (&json!(4), &json!(6)));
    member.delete(&foreign).await.refused(409, "RESERVATION_ORDERED");
    let again = member.post("/api/orders", &body).await;
    assert_eq!(again.status, 422, "a reservation is ordered once");
    other.post(&reserve, &json!({"sku": "A", "quantity": 3})).await.expect(201);
    let third = shop.customer("third@example.com").await;
    let last = third.post(&reserve, &json!({"sku": "A", "quantity": 1})).await.expect(201);
    assert_eq!(shop.anyone.get(&path).await.expect(200)["status"], "SOLD_OUT");
    third.post(&reserve, &json!({"sku": "A", "quantity": 1})).await.refused(409, "SOLD_OUT");
    assert_eq!(third.delete(&format!("{reserve}/{}", last["reservationId"])).await.status, 204);
    assert_eq!(shop.anyone.get(&path).await.expect(200)["status"], "ACTIVE", "the released unit is for sale again");
    let plain = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
    assert_ne!(plain["lines"][0]["unitPrice"], "4.00", "the sale price requires a reservation");
    shop.admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    other.post(&reserve, &json!({"sku": "A", "quantity": 1})).await.refused(409, "NOT_ACTIVE");
    loop {
        if shop.stock_of("A").await == (7, 0) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let cancel = format!("/api/orders/{}/cancel", placed["id"]);
    member.post(&cancel, &json!({"reason": "x"})).await.expect(200);
    while shop.stock_of("A").await != (10, 0) {
        tokio::task::yield_now().await;
    }
    shop.close().await;
}
