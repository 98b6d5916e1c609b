//! The store's settings: what is taken, what is refused, and what comes of them at the till.

use serde_json::{Value, json};

use crate::shop::{Shop, order_of};

fn zone(countries: &[&str], methods: &Value) -> Value {
    json!({"name": "Zone", "countries": countries, "methods": methods})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_leave_it_open_what_counts_is_pointed_at() {
    let shop = Shop::start().await;
    let flat = |method: &str, amount: &str| json!({"method": method, "name": method, "amount": amount});
    let twice = json!([flat("STANDARD", "1"), flat("STANDARD", "2")]);
    let (one, stepped) = (
        json!([flat("STANDARD", "1")]),
        json!([{"method": "A", "name": "A",
        "rates": [{"from": "0", "amount": "2"}, {"from": "0.00", "amount": "1"}]}]),
    );
    let rate =
        |region: Value, class: &str| json!({"country": "US", "region": region, "taxClass": class, "percent": "5"});
    for (path, body, at) in [
        ("shipping", json!({"zones": [zone(&[], &one)]}), "/zones/0/countries"),
        ("shipping", json!({"zones": [zone(&["GB", "GB"], &one)]}), "/zones/0/countries/1"),
        ("shipping", json!({"zones": [zone(&["GB"], &one), zone(&["FR", "GB"], &one)]}), "/zones/1/countries/1"),
        ("shipping", json!({"zones": [zone(&["GB"], &twice)]}), "/zones/0/methods/1/method"),
        ("shipping", json!({"zones": [zone(&["GB"], &stepped)]}), "/zones/0/methods/0/rates/1/from"),
        ("shipping", json!({"zones": [zone(&["GB"], &json!([flat("", "1")]))]}), "/zones/0/methods/0/method"),
        ("taxes", json!({"rates": [rate(json!("CA"), "STANDARD"), rate(json!("ca"), "STANDARD")]}), "/rates/1"),
        ("taxes", json!({"rates": [rate(json!(""), "STANDARD")]}), "/rates/0/region"),
        ("taxes", json!({"rates": [rate(Value::Null, "")]}), "/rates/0/taxClass"),
        ("taxes", json!({"shippingTaxClass": ""}), "/shippingTaxClass"),
        ("store", json!({"locale": "zz_zz"}), "/locale"),
    ] {
        let refused = shop.admin.put(&format!("/api/settings/{path}"), &body).await.refused(422, "VALIDATION_FAILED");
        assert!(refused["errors"].as_array().unwrap().iter().any(|fault| fault["pointer"] == at), "{at}: {refused}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_can_be_sent_back_and_names_its_version() {
    let shop = Shop::start().await;
    let tiers = shop.admin.get("/api/rewards/tiers").await.expect(200)["tiers"].clone();
    for (path, body) in [
        ("/api/settings/store", json!({})),
        ("/api/settings/shipping", json!({})),
        ("/api/settings/taxes", json!({})),
        ("/api/rewards/settings", json!({"pendingDays": 14})),
        ("/api/rewards/tiers", json!({ "tiers": tiers })),
    ] {
        let fresh = shop.admin.get(path).await.expect(200);
        let first = shop.admin.put(path, &body).await.expect(200);
        assert_eq!(first["version"], fresh["version"].as_i64().unwrap() + 1);
        let read = shop.admin.get(path).await.expect(200);
        assert_eq!(read, first);
        let second = shop.admin.put(path, &read).await.expect(200);
        assert_eq!(second["version"], read["version"].as_i64().unwrap() + 1);
        shop.admin.put(path, &read).await.refused(412, "VERSION_MISMATCH");
        shop.admin.with("if-match", "\"1\"").put(path, &body).await.refused(412, "VERSION_MISMATCH");
    }
    let customer = shop.customer("ada@example.com").await;
    let preferences = customer.get("/api/notifications/preferences").await.expect(200);
    assert_eq!(customer.put("/api/notifications/preferences", &preferences).await.expect(200), preferences);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_currency_changes_only_when_it_is_named() {
    let shop = Shop::start_with(&[("PROMOX_STORE__CURRENCY", "JPY")]).await;
    let renamed = shop.admin.put("/api/settings/store", &json!({"name": "Kiosk"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["currency"]), (&json!("Kiosk"), &json!("JPY")));
    let changed = shop.admin.put("/api/settings/store", &json!({"currency": "KWD"})).await.expect(200);
    assert_eq!(changed["currency"], "KWD");
    shop.product("A", "1.005", 5).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.admin.put("/api/settings/store", &json!({"currency": "EUR"})).await.refused(409, "CURRENCY_FIXED");
    shop.admin.put("/api/settings/store", &json!({"name": "Shop"})).await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_have_the_currencys_digits_and_regions_no_case() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    let methods = json!([{"method": "AIR", "name": "Air", "amount": 4}]);
    let shipping =
        shop.admin.put("/api/settings/shipping", &json!({"zones": [zone(&["US"], &methods)]})).await.expect(200);
    assert_eq!(shipping["zones"][0]["methods"][0]["amount"], "4.00");
    let rate = |region: Value, percent: &str| json!({"country": "US", "region": region, "taxClass": "STANDARD", "percent": percent});
    let taxes = json!({"pricesIncludeTax": false, "rates": [rate(Value::Null, "1"), rate(json!("CA"), "7.25")]});
    shop.admin.put("/api/settings/taxes", &taxes).await.expect(200);
    let blind = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
    let warned =
        blind["warnings"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("where it is shipped"));
    assert!(warned, "a price without tax and shipping says so: {blind}");
    for (region, tax) in [("CA", "0.73"), ("ca", "0.73"), (" Ca ", "0.73"), ("NY", "0.10")] {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["shippingAddress"] = json!({"name": "N", "line1": "1", "city": "C", "region": region, "country": "US"});
        let quote = shop.anyone.post("/api/orders/quote", &order).await.expect(200);
        assert_eq!(quote["totals"]["tax"], tax, "{region}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_knows_no_price_of_what_is_not_sold() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    for lines in [&[("A", 1), ("NOPE", 1)][..], &[("NOPE", 1)]] {
        for path in ["/api/orders", "/api/orders/quote"] {
            let refused = shop.anyone.post(path, &order_of(lines, "tok_visa")).await.refused(422, "VALIDATION_FAILED");
            let at = format!("/items/{}/sku", lines.len() - 1);
            assert_eq!(
                (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
                (&json!(at), &json!("UNKNOWN_SKU"))
            );
        }
    }
    let product = shop.admin.get("/api/products/sku/A").await.expect(200);
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let guest = shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap());
    guest.post("/api/carts/current/items", &json!({"sku": "A", "quantity": 1})).await.expect(200);
    shop.admin.delete(&format!("/api/products/{}", product["id"])).await;
    guest.get("/api/carts/current").await.expect(200);
    shop.close().await;
}
