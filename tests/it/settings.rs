//! The store's settings: validation, replacement and patches, and their effects on orders.

use serde_json::{Value, json};

use crate::process::{promox, promox_with};
use crate::shop::{Shop, order_of};

fn zone(countries: &[&str], methods: &Value) -> Value {
    json!({"name": "Zone", "countries": countries, "methods": methods})
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_settings_are_rejected_with_a_pointer() {
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
        ("payments", json!({"methods": ["CARD", "BANK_TRANSFER", "CARD"]}), "/methods/2"),
        ("payments", json!({"methods": ["CHEQUE"]}), "/methods/0"),
    ] {
        let refused = shop.admin.patch(&format!("/api/settings/{path}"), &body).await.refused(422, "VALIDATION_FAILED");
        assert!(refused["errors"].as_array().unwrap().iter().any(|fault| fault["pointer"] == at), "{at}: {refused}");
    }
    shop.close().await;
}

/// An object without one of its members.
fn without(object: &Value, member: &str) -> Value {
    let mut rest = object.clone();
    rest.as_object_mut().unwrap().remove(member).unwrap();
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn put_requires_every_member_and_patch_keeps_the_others() {
    let shop = Shop::start().await;
    for group in ["store", "shipping", "taxes", "payments"] {
        let path = format!("/api/settings/{group}");
        let before = shop.admin.get(&path).await.expect(200);
        for member in before.as_object().unwrap().keys().filter(|member| *member != "version") {
            let refused = shop.admin.put(&path, &without(&before, member)).await.refused(422, "VALIDATION_FAILED");
            let fault = &refused["errors"][0];
            assert_eq!(
                (&fault["pointer"], &fault["code"]),
                (&json!(format!("/{member}")), &json!("MISSING")),
                "{group}"
            );
        }
        shop.admin.patch(&path, &json!({"colour": "red"})).await.refused(422, "VALIDATION_FAILED");
        shop.admin.patch(&path, &json!({"version": 99})).await.refused(412, "VERSION_MISMATCH");
        assert_eq!(shop.admin.get(&path).await.expect(200), before, "a refusal changes nothing");
        let after = shop.admin.patch(&path, &json!({})).await.expect(200);
        assert_eq!(without(&after, "version"), without(&before, "version"));
    }
    let patch = async |body: Value| shop.admin.patch("/api/settings/store", &body).await;
    let capped = patch(json!({"maxDiscountPercent": "25", "name": "Kiosk"})).await.expect(200);
    assert_eq!((&capped["maxDiscountPercent"], &capped["name"]), (&json!("25"), &json!("Kiosk")));
    let cleared = patch(json!({"maxDiscountPercent": null})).await.expect(200);
    assert_eq!((&cleared["maxDiscountPercent"], &cleared["name"]), (&Value::Null, &json!("Kiosk")));
    let refused = patch(json!({"name": null})).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/name");
    let etag = shop.admin.get("/api/settings/store").await.headers["etag"].to_str().unwrap().to_owned();
    let guarded = shop.admin.with("if-match", etag);
    guarded.patch("/api/settings/store", &json!({"name": "Stall"})).await.expect(200);
    guarded.patch("/api/settings/store", &json!({"name": "Booth"})).await.refused(412, "VERSION_MISMATCH");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_another_currency_than_the_stores_is_refused() {
    let euro = [("PROMOX_STORE__CURRENCY", "EUR")];
    let shop = Shop::start_with(&euro).await;
    shop.product("A", "10.00", 5).await;
    let placed = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    assert_eq!(placed["currency"], "EUR");
    let dir = shop.close_and_keep().await;
    let saved = tempfile::tempdir().unwrap();
    let backup = saved.path().join("shop.backup");
    assert!(promox(dir.path(), &["backup", backup.to_str().unwrap()]).status.success());
    let mut restored = tempfile::tempdir().unwrap();
    assert!(promox(restored.path(), &["restore", backup.to_str().unwrap()]).status.success());
    for place in [dir.path(), restored.path()] {
        for verb in [&["serve"][..], &["import", "catalog", backup.to_str().unwrap()]] {
            let refused = promox_with(place, verb, &[("PROMOX_STORE__CURRENCY", "GBP")]);
            let message = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(78), "{message}");
            for part in ["store.currency", "PROMOX_STORE__CURRENCY", "GBP", "EUR"] {
                assert!(message.contains(part), "{part} in {message}");
            }
        }
    }
    for settings in [Vec::new(), euro.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()] {
        let again = Shop::open(restored, settings).await;
        assert_eq!(again.admin.get("/api/settings/store").await.expect(200)["currency"], "EUR");
        let order = again.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
        assert_eq!(order["currency"], "EUR");
        restored = again.close_and_keep().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_payment_method_takes_no_new_orders_but_finishes_existing_ones() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir, vec![("PROMOX_PAYMENT__SANDBOX".into(), "false".into())]).await;
    shop.product("A", "10.00", 50).await;
    let listed = async |shop: &Shop| {
        let page = shop.anyone.get("/api/payments/methods").await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| format!("{} {}", item["method"].as_str().unwrap(), item["provider"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let pay = |method: &str| {
        let mut body = order_of(&[("A", 1)], "");
        body["payment"] = json!({"method": method, "token": "tok_visa"});
        body
    };
    let health = shop.anyone.get("/actuator/health").await.expect(200);
    assert_eq!(health["components"]["payments"]["details"]["sandbox"], false);
    assert_eq!(listed(&shop).await, [""; 0]);
    for (method, pointer) in
        [("CARD", "/payment/provider"), ("CASH_ON_DELIVERY", "/payment/method"), ("BANK_TRANSFER", "/payment/method")]
    {
        let refused = shop.anyone.key(method).post("/api/orders", &pay(method)).await.refused(422, "VALIDATION_FAILED");
        let fault = &refused["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!(pointer), &json!("METHOD_OFF")), "{refused}");
        assert!(fault["detail"].as_str().unwrap().contains(method), "{refused}");
    }
    assert_eq!((shop.stock_of("A").await, shop.all("/api/orders").await.len()), ((50, 0), 0));
    let enable = async |methods: Value| {
        shop.admin.patch("/api/settings/payments", &json!({ "methods": methods })).await.expect(200);
    };
    enable(json!(["BANK_TRANSFER", "CASH_ON_DELIVERY"])).await;
    assert_eq!(listed(&shop).await, ["CASH_ON_DELIVERY manual", "BANK_TRANSFER manual"]);
    let transfer = pay("BANK_TRANSFER");
    let paid = shop.anyone.post("/api/orders", &transfer).await.expect(201);
    let dropped = shop.anyone.post("/api/orders", &transfer).await.expect(201);
    enable(json!([])).await;
    shop.anyone.post("/api/orders", &pay("BANK_TRANSFER")).await.refused(422, "VALIDATION_FAILED");
    let path = |order: &Value, verb: &str| format!("/api/payments/{}/{verb}", order["payment"]["id"]);
    shop.admin.post(&path(&paid, "capture"), &json!({})).await.expect(200);
    shop.admin.post(&path(&paid, "refunds"), &json!({"amount": "1.00", "reason": "a scratch"})).await.expect(201);
    shop.admin.post(&path(&dropped, "void"), &json!({})).await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_sandbox_confirms_no_payments() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    let health = shop.anyone.get("/actuator/health").await.expect(200);
    let details = health["components"]["payments"]["details"].clone();
    assert!(
        details["sandbox"] == true && details["warning"].as_str().unwrap().contains("sandbox payments are enabled"),
        "{health}"
    );
    let paid = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let waiting = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_requires_action")).await.expect(201);
    let dir = shop.close_and_keep().await;
    let shop = Shop::open(dir, vec![("PROMOX_PAYMENT__SANDBOX".into(), "false".into())]).await;
    let path = |order: &Value, verb: &str| format!("/api/payments/{}/{verb}", order["payment"]["id"]);
    shop.admin.post(&path(&waiting, "confirm"), &json!({})).await.refused(409, "SANDBOX_OFF");
    shop.admin.post(&path(&paid, "refunds"), &json!({"reason": "no money came"})).await.expect(201);
    let order = shop.admin.get(&format!("/api/orders/{}", waiting["id"])).await.expect(200);
    assert_eq!(order["status"], "PENDING");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_can_be_put_as_read_and_stale_versions_are_refused() {
    let shop = Shop::start().await;
    let tiers = shop.admin.get("/api/rewards/tiers").await.expect(200)["tiers"].clone();
    for (path, body) in [
        ("/api/settings/store", Value::Null),
        ("/api/settings/shipping", Value::Null),
        ("/api/settings/taxes", Value::Null),
        ("/api/settings/payments", Value::Null),
        ("/api/rewards/settings", Value::Null),
        ("/api/rewards/tiers", json!({ "tiers": tiers })),
    ] {
        let fresh = shop.admin.get(path).await.expect(200);
        let body = if body.is_null() { without(&fresh, "version") } else { body };
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
async fn a_patch_without_currency_keeps_it() {
    let shop = Shop::start_with(&[("PROMOX_STORE__CURRENCY", "JPY")]).await;
    let renamed = shop.admin.patch("/api/settings/store", &json!({"name": "Kiosk"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["currency"]), (&json!("Kiosk"), &json!("JPY")));
    let changed = shop.admin.patch("/api/settings/store", &json!({"currency": "KWD"})).await.expect(200);
    assert_eq!(changed["currency"], "KWD");
    shop.product("A", "1.005", 5).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.admin.patch("/api/settings/store", &json!({"currency": "EUR"})).await.refused(409, "CURRENCY_FIXED");
    shop.admin.patch("/api/settings/store", &json!({"name": "Shop"})).await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_have_the_currencys_digits_and_regions_ignore_case() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    let methods = json!([{"method": "AIR", "name": "Air", "amount": 4}]);
    let shipping =
        shop.admin.patch("/api/settings/shipping", &json!({"zones": [zone(&["US"], &methods)]})).await.expect(200);
    assert_eq!(shipping["zones"][0]["methods"][0]["amount"], "4.00");
    let rate = |region: Value, percent: &str| json!({"country": "US", "region": region, "taxClass": "STANDARD", "percent": percent});
    let taxes = json!({"pricesIncludeTax": false, "rates": [rate(Value::Null, "1"), rate(json!("CA"), "7.25")]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    let without_address = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
    let warned = without_address["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|item| item.as_str().unwrap().contains("depend on the shipping address"));
    assert!(warned, "a quote without tax and shipping has a warning: {without_address}");
    for (region, tax) in [("CA", "1.02"), ("ca", "1.02"), (" Ca ", "1.02"), ("NY", "0.14")] {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["shippingAddress"] = json!({"name": "N", "line1": "1", "city": "C", "region": region, "country": "US"});
        let quote = shop.anyone.post("/api/orders/quote", &order).await.expect(200);
        assert_eq!(quote["totals"]["tax"], tax, "{region}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_with_an_unknown_sku_is_refused() {
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

/// Requests with an amount: method, path, a body that is refused, and one that is accepted.
fn amounts() -> Vec<(&'static str, &'static str, Value, Value)> {
    let product = |price: &str| json!({"sku": "A", "name": "A", "price": price});
    let off = |value: &str| json!({"name": "Off", "actions": [{"type": "AMOUNT_OFF", "value": value}]});
    let rule =
        |spent: &str| json!({"name": "S", "rule": {"field": "customer.totalSpent", "op": "GTE", "value": spent}});
    let flat =
        |amount: &str| json!({"zones": [zone(&["GB"], &json!([{"method": "M", "name": "M", "amount": amount}]))]});
    let earns = |sum: &str| json!({"code": "BIG", "name": "Big", "rule": {"event": "ORDER_CONFIRMED", "sum": sum}});
    vec![
        ("POST", "/api/products", product("1.234"), product("1.23")),
        ("POST", "/api/promotions", off("1.234"), off("1.23")),
        ("POST", "/api/campaigns", json!({"name": "C", "budget": "1.234"}), json!({"name": "C", "budget": "1.23"})),
        ("POST", "/api/segments", rule("1.234"), rule("1.23")),
        ("PATCH", "/api/settings/shipping", flat("1.234"), flat("1.23")),
        ("PATCH", "/api/rewards/settings", json!({"pointValue": "-1"}), json!({"pointValue": "0.005"})),
        ("POST", "/api/rewards/achievements", earns("1.234"), earns("1.23")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_amount_fixes_the_currency_and_a_refused_one_does_not() {
    let send = async |shop: &Shop, method: &str, path: &str, body: &Value| {
        shop.admin.send(method, path, "application/json", body.to_string().into()).await.unwrap()
    };
    let set_currency =
        async |shop: &Shop, code: &str| shop.admin.patch("/api/settings/store", &json!({"currency": code})).await;
    for (method, path, refused, accepted) in amounts() {
        let shop = Shop::start().await;
        assert_eq!(send(&shop, method, path, &refused).await.status, 422, "{path}");
        set_currency(&shop, "JPY").await.expect(200);
        set_currency(&shop, "GBP").await.expect(200);
        assert!(matches!(send(&shop, method, path, &accepted).await.status, 200 | 201), "{path}");
        let fixed = set_currency(&shop, "JPY").await.refused(409, "CURRENCY_FIXED");
        assert_eq!(fixed["currency"], "GBP");
        set_currency(&shop, "GBP").await.expect(200);
        shop.admin.patch("/api/settings/store", &json!({"name": "Kiosk"})).await.expect(200);
        let shop = shop.restart().await;
        set_currency(&shop, "JPY").await.refused(409, "CURRENCY_FIXED");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_fixes_the_currency_only_when_it_stores_a_row() {
    for (path, bad, good) in [
        ("/api/products/import", "sku,name,price\nA,A,1.234\n", "sku,name,price\nA,A,1.23\n"),
        (
            "/api/orders/import",
            "number,date,sku,name,quantity,unitPrice\n1,2026-01-01T10:00:00Z,A,A,1,1.234\n",
            "number,date,sku,name,quantity,unitPrice\n1,2026-01-01T10:00:00Z,A,A,1,1.23\n",
        ),
    ] {
        let shop = Shop::start().await;
        let import =
            async |csv: &'static str| shop.admin.send("POST", path, "text/csv", csv.into()).await.unwrap().expect(200);
        assert_eq!(import(bad).await["failed"], 1, "{path}");
        shop.admin.patch("/api/settings/store", &json!({"currency": "EUR"})).await.expect(200);
        assert_eq!(import(good).await["created"], 1, "{path}");
        shop.admin.patch("/api/settings/store", &json!({"currency": "JPY"})).await.refused(409, "CURRENCY_FIXED");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_amount_is_stored_in_the_old_currency_while_it_changes() {
    for round in 0..6 {
        let shop = Shop::start().await;
        let writes: Vec<_> = amounts()
            .into_iter()
            .skip(round)
            .chain(amounts())
            .take(3)
            .map(|(method, path, _, body)| {
                let client = shop.admin.own_connection();
                async move {
                    let answer = client.send(method, path, "application/json", body.to_string().into()).await.unwrap();
                    (matches!(answer.status, 200 | 201), path)
                }
            })
            .collect();
        let changer = shop.admin.own_connection();
        let yen = json!({"currency": "JPY"});
        let (changed, written) =
            tokio::join!(changer.patch("/api/settings/store", &yen), futures_util::future::join_all(writes));
        let currency = shop.admin.get("/api/settings/store").await.expect(200)["currency"].clone();
        // Only the value of a point, which may have more digits than the currency, is valid in yen.
        let in_pence = written.iter().any(|(stored, path)| *stored && *path != "/api/rewards/settings");
        match changed.status {
            200 => assert!(currency == "JPY" && !in_pence, "{written:?}"),
            409 => assert_eq!(currency, "GBP", "{written:?}"),
            other => panic!("{other}: {written:?}"),
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn products_require_a_tax_class_of_the_store() {
    let shop = Shop::start().await;
    let rate = |class: &str, percent: &str| json!({"country": "DE", "taxClass": class, "percent": percent});
    let taxes = async |body: Value| shop.admin.patch("/api/settings/taxes", &body).await;
    taxes(json!({"rates": [rate("STANDARD", "19"), rate("REDUCED", "7")]})).await.expect(200);
    let product = |sku: &str, class: &str| json!({"sku": sku, "name": sku, "price": "10.00", "taxClass": class});
    for class in ["standard", "STANDRAD", "Standard ", "ZERO", "", "SHIPPING"] {
        let refused = shop.admin.post("/api/products", &product("A", class)).await.refused(422, "VALIDATION_FAILED");
        let fault = &refused["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/taxClass"), &json!("UNKNOWN_TAX_CLASS")), "{class}");
    }
    let created = shop.admin.post("/api/products", &product("A", "REDUCED")).await.expect(201);
    let path = format!("/api/products/{}", created["id"]);
    shop.admin.patch(&path, &json!({"taxClass": "reduced"})).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(shop.admin.get(&path).await.expect(200)["taxClass"], "REDUCED");
    let csv = "sku,name,price,taxClass\nB,B,1.00,STANDRAD\nC,C,1.00,REDUCED\nD,D,1.00,\n";
    let report = shop.admin.send("POST", "/api/products/import", "text/csv", csv.into()).await.unwrap().expect(200);
    assert_eq!((&report["created"], &report["failed"], &report["errors"][0]["row"]), (&json!(2), &json!(1), &json!(1)));
    let refused = taxes(json!({"rates": [rate("STANDARD", "19")]})).await.refused(409, "TAX_CLASS_IN_USE");
    assert_eq!((&refused["uses"][0]["taxClass"], refused["uses"].as_array().unwrap().len()), (&json!("REDUCED"), 1));
    taxes(json!({"classes": ["ZERO"]})).await.refused(422, "VALIDATION_FAILED");
    let listed = taxes(json!({"classes": ["REDUCED", "ZERO"]})).await.expect(200);
    assert_eq!(listed["classes"], json!(["REDUCED", "ZERO"]));
    shop.admin.post("/api/products", &product("Z", "ZERO")).await.expect(201);
    let refused = taxes(json!({"shippingTaxClass": "SHIPPING"})).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/shippingTaxClass");
    for sku in ["A", "Z"] {
        shop.set_stock(sku, 5).await;
    }
    let mut order = order_of(&[("A", 1), ("Z", 1)], "tok_visa");
    order["shippingAddress"] = json!({"name": "N", "line1": "1", "city": "C", "country": "DE"});
    let placed = shop.anyone.post("/api/orders", &order).await.expect(201);
    assert_eq!(placed["totals"]["tax"], "0.65", "7 of 107 parts of one line, nothing of the other");
    order["shippingAddress"] = Value::Null;
    let refused = shop.anyone.post("/api/orders", &order).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/shippingAddress");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_are_normalized_or_refused_where_they_determine_the_tax() {
    let shop = Shop::start().await;
    shop.product("A", "100.00", 50).await;
    let rate = |country: &str, region: Value, percent: &str| json!({"country": country, "region": region, "taxClass": "STANDARD", "percent": percent});
    let rates = json!([
        rate("US", json!("California"), "7.25"),
        rate("US", json!("us-ny"), "4"),
        rate("ES", Value::Null, "21"),
        rate("ES", json!("Santa Cruz de Tenerife"), "7"),
        rate("GB", Value::Null, "20"),
    ]);
    let taxes = shop.admin.patch("/api/settings/taxes", &json!({"pricesIncludeTax": false, "rates": rates})).await;
    let taxes = taxes.expect(200);
    let regions: Vec<&Value> = taxes["rates"].as_array().unwrap().iter().map(|rate| &rate["region"]).collect();
    assert_eq!(regions, [&json!("CA"), &json!("NY"), &Value::Null, &json!("TF"), &Value::Null]);
    let twice = json!({"rates": [rate("US", json!("CA"), "1"), rate("US", json!("California"), "2")]});
    let refused = shop.admin.patch("/api/settings/taxes", &twice).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/rates/1");
    let unknown = json!({"rates": [rate("US", json!("Kalifornia"), "1")]});
    let refused = shop.admin.patch("/api/settings/taxes", &unknown).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/rates/0/region");
    let order = |country: &str, region: Value| {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["shippingAddress"] =
            json!({"name": "N", "line1": "1", "city": "C", "region": region, "country": country});
        order
    };
    for (country, region, stored, tax) in [
        ("US", "CA", "CA", "7.25"),
        ("US", " ca ", "CA", "7.25"),
        ("US", "California", "CA", "7.25"),
        ("US", "US-CA", "CA", "7.25"),
        ("us", "us-ny", "NY", "4.00"),
        ("US", "Texas", "TX", "0.00"),
        ("ES", "Madrid", "M", "21.00"),
        ("ES", "TF", "TF", "7.00"),
        ("GB", "Kent", "Kent", "20.00"),
        ("FR", "anything", "anything", "0.00"),
    ] {
        let order = order(country, json!(region));
        let quote = shop.anyone.post("/api/orders/quote", &order).await.expect(200);
        assert_eq!(quote["totals"]["tax"], tax, "{country} {region}");
        let placed = shop.anyone.post("/api/orders", &order).await.expect(201);
        assert_eq!((&placed["totals"]["tax"], &placed["shippingAddress"]["region"]), (&json!(tax), &json!(stored)));
    }
    let before = shop.all("/api/orders").await.len();
    for (country, region, code) in [
        ("US", json!("Kalifornia"), "INVALID_VALUE"),
        ("US", json!("ES-TF"), "INVALID_VALUE"),
        ("US", Value::Null, "MISSING"),
        ("ES", json!(" "), "MISSING"),
    ] {
        for path in ["/api/orders", "/api/orders/quote"] {
            let refused =
                shop.anyone.post(path, &order(country, region.clone())).await.refused(422, "VALIDATION_FAILED");
            let fault = &refused["errors"][0];
            assert_eq!(
                (&fault["pointer"], &fault["code"]),
                (&json!("/shippingAddress/region"), &json!(code)),
                "{country} {region}"
            );
        }
    }
    assert_eq!(shop.all("/api/orders").await.len(), before);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_book_normalizes_regions_that_have_tax_rates() {
    let shop = Shop::start().await;
    let rates = json!([{"country": "US", "region": "CA", "taxClass": "STANDARD", "percent": "7.25"}]);
    shop.admin.patch("/api/settings/taxes", &json!({ "rates": rates })).await.expect(200);
    let ada = shop.customer("ada@example.com").await;
    let address = |country: &str, region: &str| json!({"name": "N", "line1": "1", "city": "C", "region": region, "country": country});
    let book = "/api/users/me/addresses";
    let refused = ada.post(book, &address("US", "Kalifornia")).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/region");
    assert_eq!(ada.post(book, &address("US", "california")).await.expect(201)["region"], "CA");
    let moved = ada.post(book, &address("GB", "Kent")).await.expect(201);
    assert_eq!(moved["region"], "Kent");
    let path = format!("{book}/{}", moved["id"]);
    ada.patch(&path, &json!({"country": "US"})).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(ada.patch(&path, &json!({"country": "US", "region": "US-NY"})).await.expect(200)["region"], "NY");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_points_is_rounded_down() {
    for (currency, value, points, total, worth) in [
        ("GBP", "0.005", 1, "10.00", None),
        ("GBP", "0.005", 3, "10.00", Some("0.01")),
        ("JPY", "0.5", 3, "10", Some("1")),
        ("JPY", "0.5", 1, "10", None),
        ("KWD", "0.0005", 3, "10.000", Some("0.001")),
    ] {
        let shop = Shop::start_with(&[("PROMOX_STORE__CURRENCY", currency)]).await;
        shop.product("A", "10", 50).await;
        shop.admin.patch("/api/rewards/settings", &json!({"pointValue": value})).await.expect(200);
        let ada = shop.customer("ada@example.com").await;
        let id = ada.get("/api/users/me").await.expect(200)["id"].clone();
        let adjust = json!({"points": 100, "reason": "a present"});
        shop.admin.post(&format!("/api/rewards/account/{id}/adjust"), &adjust).await.expect(200);
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["pointsToRedeem"] = json!(points);
        for (path, status) in [("/api/orders/quote", 200), ("/api/orders", 201)] {
            let answer = ada.post(path, &order).await;
            match worth {
                None => drop(answer.refused(422, "POINTS_INSUFFICIENT")),
                Some(worth) => {
                    let totals = answer.expect(status)["totals"].clone();
                    assert_eq!(
                        (&totals["pointsValue"], &totals["subtotal"]),
                        (&json!(worth), &json!(total)),
                        "{currency}"
                    );
                }
            }
        }
        shop.close().await;
    }
}
