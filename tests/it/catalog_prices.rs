//! Price rules: the prices that product pages, lists, carts and quotes show, and that orders charge.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

/// Creates and activates a promotion and returns its path.
async fn activate(shop: &Shop, promotion: Value) -> String {
    let created = shop.admin.post("/api/promotions", &promotion).await.expect(201);
    let path = format!("/api/promotions/{}", created["id"]);
    shop.admin.post(&format!("{path}/activate"), &json!({})).await.expect(200);
    path
}

/// A price rule of `off` percent with additional members.
fn percent(off: &str, more: Value) -> Value {
    let mut rule = json!({"name": format!("{off} off"), "stage": "CATALOG", "stacking": {"mode": "STACKABLE"},
        "actions": [{"type": "PERCENT_OFF", "value": off, "scope": "ITEMS"}]});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

/// The price and the list price of the product A as a client sees them.
async fn prices(client: &Client, query: &str) -> (String, String) {
    let page = client.get(&format!("/api/products/sku/A{query}")).await.expect(200);
    let variant = &page["variants"][0];
    assert_eq!((&variant["price"], &variant["listPrice"]), (&page["price"], &page["listPrice"]));
    (page["price"].as_str().unwrap().to_owned(), page["listPrice"].as_str().unwrap().to_owned())
}

async fn price(client: &Client) -> String {
    prices(client, "").await.0
}

/// Waits until a list has these SKUs in this order and returns it.
async fn wait_for_list(shop: &Shop, query: &str, expected_skus: &[&str]) -> Value {
    loop {
        let list = shop.anyone.get(&format!("/api/products?{query}")).await.expect(200);
        let skus: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap()).collect();
        if skus == expected_skus {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_rule_applies_everywhere_at_once_and_is_charged_once() {
    let shop = Shop::start().await;
    shop.product("A", "19.99", 50).await;
    shop.product("B", "18.50", 50).await;
    let rule = activate(
        &shop,
        percent(
            "10",
            json!({"actions": [
        {"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "items": {"skus": ["a"]}}]}),
        ),
    )
    .await;
    assert_eq!(prices(&shop.anyone, "").await, ("17.99".into(), "19.99".into()), "17.991 is rounded to the penny");
    assert_eq!(price(&shop.admin).await, "17.99");
    let list = wait_for_list(&shop, "sort=price", &["A", "B"]).await;
    assert_eq!(list["items"][0]["price"], "17.99");
    assert_eq!(list["facets"]["price"], json!({"min": "17.99", "max": "18.50"}));
    wait_for_list(&shop, "maxPrice=18", &["A"]).await;
    wait_for_list(&shop, "minPrice=18", &["B"]).await;

    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let guest = shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap());
    guest.post("/api/carts/current/items", &json!({"sku": "A", "quantity": 3})).await.expect(200);
    let cart = guest.get("/api/carts/current").await.expect(200);
    assert_eq!((&cart["items"][0]["unitPrice"], &cart["totals"]["total"]), (&json!("17.99"), &json!("53.97")));

    let body = order_of(&[("A", 3), ("B", 1)], "tok_visa");
    let quote = shop.anyone.post("/api/orders/quote", &body).await.expect(200);
    let order = shop.anyone.post("/api/orders", &body).await.expect(201);
    for priced in [&quote, &order] {
        let line = &priced["lines"][0];
        assert_eq!((&line["unitPrice"], &line["listPrice"]), (&json!("17.99"), &json!("19.99")));
        assert_eq!(
            (&line["discount"], &line["discounts"]),
            (&json!("0.00"), &json!([])),
            "the unit price already includes the rule"
        );
        assert_eq!(priced["totals"]["total"], "72.47");
        assert_eq!(priced["appliedPromotions"].as_array().unwrap().len(), 1);
        assert_eq!(priced["appliedPromotions"][0]["amount"], "6.00");
    }
    let calculated = json!({"items": [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]});
    let calculated = shop.anyone.post("/api/promotions/calculate", &calculated).await.expect(200);
    assert_eq!(calculated["totals"]["total"], "72.47");

    let pause = format!("{rule}/pause");
    shop.admin.post(&pause, &json!({})).await.expect(200);
    assert_eq!(prices(&shop.anyone, "").await, ("19.99".into(), "19.99".into()));
    let list = wait_for_list(&shop, "sort=price", &["B", "A"]).await;
    assert_eq!(list["facets"]["price"]["max"], "19.99");
    let quoted = json!({"quoteId": quote["quoteId"]});
    let mut with_quote = body.clone();
    with_quote.as_object_mut().unwrap().extend(quoted.as_object().unwrap().clone());
    let order = shop.anyone.post("/api/orders", &with_quote).await.expect(201);
    assert_eq!(order["totals"]["total"], "72.47", "a quoted price is kept");
    let full_price = shop.anyone.post("/api/orders", &body).await.expect(201);
    assert_eq!(full_price["totals"]["total"], "78.47");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_depends_on_customer_and_channel() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    let member = shop.customer("member@example.com").await;
    activate(&shop, percent("20", json!({"when": {"field": "customer.isGuest", "op": "EQ", "value": false}}))).await;
    activate(&shop, percent("50", json!({"when": {"field": "channel", "op": "EQ", "value": "APP"}}))).await;
    for _ in 0..2 {
        assert_eq!(price(&shop.anyone).await, "10.00");
        assert_eq!(price(&member).await, "8.00");
        assert_eq!(prices(&shop.anyone, "?channel=APP").await.0, "5.00");
        assert_eq!(prices(&member, "?channel=APP").await.0, "4.00", "both rules apply, one after the other");
    }
    let list = member.get("/api/products?maxPrice=9").await.expect(200);
    assert_eq!(list["total"], 0, "filters use the price for an anonymous visitor");
    let list = member.get("/api/products?minPrice=9").await.expect(200);
    assert_eq!(list["items"][0]["price"], "8.00", "the price shown is the caller's");
    let mut body = order_of(&[("A", 1)], "tok_visa");
    assert_eq!(member.post("/api/orders", &body).await.expect(201)["totals"]["total"], "8.00");
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["totals"]["total"], "10.00");
    body["channel"] = json!("APP");
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["totals"]["total"], "5.00");
    assert_eq!(member.post("/api/orders", &body).await.expect(201)["totals"]["total"], "4.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stackable_rules_combine_and_the_best_exclusive_rule_wins() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    activate(&shop, percent("10", json!({}))).await;
    activate(&shop, percent("10", json!({"name": "Again"}))).await;
    assert_eq!(price(&shop.anyone).await, "8.10");
    let alone = json!({"name": "Alone", "stage": "CATALOG",
        "actions": [{"type": "FIXED_PRICE", "value": "8.05", "scope": "ITEMS"}]});
    let created = shop.admin.post("/api/promotions", &alone).await.expect(201);
    assert_eq!(created["stacking"]["mode"], "EXCLUSIVE", "price rules are exclusive by default");
    shop.admin.post(&format!("/api/promotions/{}/activate", created["id"]), &json!({})).await.expect(200);
    assert_eq!(price(&shop.anyone).await, "8.05");
    let id = shop.anyone.get("/api/products/sku/A").await.expect(200)["id"].clone();
    shop.admin.patch(&format!("/api/products/{id}"), &json!({"floorPrice": "9.00"})).await.expect(200);
    assert_eq!(price(&shop.anyone).await, "9.00", "a price never falls below the floor price");
    shop.admin.patch(&format!("/api/products/{id}"), &json!({"discountable": false})).await.expect(200);
    assert_eq!(price(&shop.anyone).await, "10.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_rule_follows_its_dates_and_its_campaign() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    shop.product("B", "9.50", 50).await;
    let start = shop.seconds();
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let only_a = json!([{"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "items": {"skus": ["A"]}}]);
    let rule = activate(&shop, percent("10", json!({"startsAt": at(2), "actions": only_a}))).await;
    wait_for_list(&shop, "sort=price", &["A", "B"]).await;
    assert!(shop.seconds() >= start + 2, "a rule does not apply before its start");
    assert_eq!(price(&shop.anyone).await, "9.00");
    shop.admin.patch(&rule, &json!({"endsAt": at(2)})).await.expect(200);
    wait_for_list(&shop, "sort=price", &["B", "A"]).await;
    assert_eq!(price(&shop.anyone).await, "10.00");

    let campaign = json!({"name": "Autumn", "startsAt": at(-5), "endsAt": at(3600), "budget": "2.50"});
    let campaign = shop.admin.post("/api/campaigns", &campaign).await.expect(201);
    let moves = format!("/api/campaigns/{}/transitions", campaign["id"]);
    let rule = percent("10", json!({"campaignId": campaign["id"], "actions": only_a}));
    activate(&shop, rule).await;
    assert_eq!(price(&shop.anyone).await, "10.00", "the campaign is not active yet");
    for (to, shown, skus) in [("ACTIVE", "9.00", ["A", "B"]), ("PAUSED", "10.00", ["B", "A"])] {
        shop.admin.post(&moves, &json!({"to": to})).await.expect(200);
        assert_eq!(price(&shop.anyone).await, shown, "{to}");
        wait_for_list(&shop, "sort=price", &skus).await;
    }
    shop.admin.post(&moves, &json!({"to": "ACTIVE"})).await.expect(200);
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.expect(201);
    assert_eq!(order["totals"]["total"], "18.00");
    while shop.admin.get(&format!("/api/campaigns/{}", campaign["id"])).await.expect(200)["spent"] != "2.00" {
        tokio::task::yield_now().await;
    }
    assert_eq!(price(&shop.anyone).await, "10.00", "the remaining budget of 0.50 does not cover a discount of 1.00");
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    assert_eq!(order["totals"]["total"], "10.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_answers_with_the_prices_of_the_following_read() {
    let shop = Shop::start().await;
    activate(&shop, percent("10", json!({}))).await;
    let body = json!({"sku": "A", "name": "A", "price": "20.00", "status": "ACTIVE", "variants": [
        {"sku": "A-1", "name": "One", "price": "20.00"}, {"sku": "A-2", "name": "Two", "price": "30.00"}]});
    let created = shop.admin.post("/api/products", &body).await.expect(201);
    let path = format!("/api/products/{}", created["id"]);
    assert_eq!((&created["price"], &created["listPrice"]), (&json!("18.00"), &json!("20.00")));
    assert_eq!(created["variants"][1]["price"], "27.00");
    assert_eq!(created, shop.admin.get(&path).await.expect(200));
    let changed = shop.admin.patch(&path, &json!({"name": "B"})).await.expect(200);
    assert_eq!(changed, shop.admin.get(&path).await.expect(200));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn price_rules_apply_by_attribute_product_and_price_range() {
    let shop = Shop::start().await;
    let body = json!({"sku": "A", "name": "A", "price": "20.00", "status": "ACTIVE", "attributes": {"colour": "red"}});
    let created = shop.admin.post("/api/products", &body).await.expect(201);
    let only =
        |items: Value| json!({"actions": [{"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "items": items}]});
    for (items, expected) in [
        (json!({"attributes": {"colour": ["blue"]}}), "20.00"),
        (json!({"productIds": [999_999]}), "20.00"),
        (json!({"minPrice": "20.01"}), "20.00"),
        (json!({"maxPrice": "17.99"}), "20.00"),
        (json!({"attributes": {"colour": ["red", "green"]}}), "18.00"),
        (json!({"productIds": [created["id"]]}), "16.20"),
        // This range matches only the price that the previous rules have left.
        (json!({"minPrice": "16.00", "maxPrice": "17.00"}), "14.58"),
    ] {
        activate(&shop, percent("10", only(items.clone()))).await;
        assert_eq!(price(&shop.anyone).await, expected, "with {items}");
        let order = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
        assert_eq!(order["totals"]["subtotal"], expected, "with {items}");
    }
    shop.close().await;
}
