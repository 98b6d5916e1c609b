//! Exports of orders: importing an export into an empty shop reproduces the orders, the figures and the export. Also
//! the figures of returned and refunded orders.

use serde_json::{Value, json};

use crate::analytics::wait_until_current;
use crate::shop::{Shop, order_of};

const SUMMARY: &str = "/api/analytics/dashboard/summary";

/// A shop whose prices exclude 19 % tax, with untaxed shipping at 4.90.
async fn taxed_shop() -> Shop {
    let shop = Shop::start().await;
    let method = json!({"method": "STANDARD", "name": "Standard", "amount": "4.90"});
    let zones = json!({"zones": [{"name": "Germany", "countries": ["DE"], "methods": [method]}]});
    shop.admin.patch("/api/settings/shipping", &zones).await.expect(200);
    let rate = json!({"country": "DE", "taxClass": "STANDARD", "percent": "19"});
    let classes = ["STANDARD", "NONE"];
    let taxes = json!({"pricesIncludeTax": false, "shippingTaxClass": "NONE", "classes": classes, "rates": [rate]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    shop
}

fn order(lines: &[(&str, u32)], email: &str) -> Value {
    let mut order = order_of(lines, "tok_visa");
    order["email"] = json!(email);
    order["shippingAddress"] = json!({"name": "Ada", "line1": "Straße 1", "city": "Köln", "country": "DE"});
    order
}

async fn buy(shop: &Shop, lines: &[(&str, u32)], email: &str) -> Value {
    shop.anyone.post("/api/orders", &order(lines, email)).await.expect(201)
}

async fn refund(shop: &Shop, order: &Value, amount: &str) {
    let path = format!("/api/payments/{}/refunds", order["payment"]["id"]);
    shop.admin.post(&path, &json!({"amount": amount, "reason": "sorry"})).await.expect(201);
}

async fn ship(shop: &Shop, order: &Value) {
    let parcel = json!({"carrier": "Post", "trackingNumber": "1", "confirm": true});
    let path = format!("/api/orders/{}/fulfilments", order["id"]);
    shop.admin.post(&path, &parcel).await.expect(201);
}

async fn return_units(shop: &Shop, order: &Value, sku: &str, quantity: u32) {
    let path = format!("/api/orders/{}/returns", order["id"]);
    let items = json!({"items": [{"sku": sku, "quantity": quantity}], "reason": "too \"blue\", sorry"});
    let requested = shop.admin.post(&path, &items).await.expect(201);
    shop.admin.post(&format!("{path}/{}/approve", requested["id"]), &json!({})).await.expect(200);
}

/// Waits until the summary reports this amount of refunds, which arrive with a delay, and returns it.
async fn wait_for_refunds(shop: &Shop, refunds: &str) -> Value {
    loop {
        wait_until_current(shop).await;
        let summary = shop.admin.get(SUMMARY).await.expect(200);
        if summary["refunds"] == refunds {
            return summary;
        }
        tokio::task::yield_now().await;
    }
}

fn revenue_sums(summary: &Value) -> [&str; 3] {
    ["revenue", "returned", "netRevenue"].map(|name| summary[name].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fully_returned_order_has_no_net_revenue() {
    let shop = taxed_shop().await;
    shop.product("A", "100.00", 100).await;
    let (first, second) =
        (buy(&shop, &[("A", 1)], "a@example.com").await, buy(&shop, &[("A", 1)], "b@example.com").await);
    assert_eq!(first["totals"]["total"], "123.90");
    refund(&shop, &first, "123.90").await;
    ship(&shop, &second).await;
    return_units(&shop, &second, "A", 1).await;
    let summary = wait_for_refunds(&shop, "242.90").await;
    assert_eq!(revenue_sums(&summary), ["200.00", "200.00", "0.00"], "shipping that was not refunded is not revenue");
    refund(&shop, &second, "4.90").await;
    let summary = wait_for_refunds(&shop, "247.80").await;
    assert_eq!(revenue_sums(&summary), ["200.00", "200.00", "0.00"]);
    let half = buy(&shop, &[("A", 2)], "c@example.com").await;
    assert_eq!(half["totals"]["total"], "242.90");
    refund(&shop, &half, "121.45").await;
    let summary = wait_for_refunds(&shop, "369.25").await;
    assert_eq!(
        revenue_sums(&summary),
        ["400.00", "300.00", "100.00"],
        "refunding half of the money returns half of the revenue"
    );
    ship(&shop, &half).await;
    return_units(&shop, &half, "A", 1).await;
    wait_until_current(&shop).await;
    let summary = shop.admin.get(SUMMARY).await.expect(200);
    assert_eq!(revenue_sums(&summary), ["400.00", "400.00", "0.00"], "returned revenue never exceeds revenue");
    let chart = shop.admin.get("/api/analytics/timeseries?metric=returned&granularity=day").await.expect(200);
    let parts: Vec<&str> =
        chart["items"].as_array().unwrap().iter().map(|item| item["value"].as_str().unwrap()).collect();
    assert!(parts.contains(&"400.00"), "{parts:?}");
    let path = format!("{SUMMARY}?from={}&to={}", summary["from"].as_str().unwrap(), summary["to"].as_str().unwrap());
    let before = shop.admin.get(&path).await.expect(200);
    shop.admin.post("/api/analytics/rebuild", &json!({})).await.expect(202);
    wait_until_current(&shop).await;
    assert_eq!(shop.admin.get(&path).await.expect(200), before, "a rebuild gives the same figures");
    shop.close().await;
}

async fn export(shop: &Shop, query: &str) -> String {
    let answer = shop.admin.get(&format!("/api/orders/export{query}")).await;
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.bytes.to_vec()).unwrap()
}

async fn import(shop: &Shop, media_type: &str, text: &str) -> Value {
    let sent = shop.admin.send("POST", "/api/orders/import", media_type, text.to_owned().into()).await;
    sent.unwrap().expect(200)
}

/// All figures about orders, without those of coupons, points and promotion names, which an export does not contain.
async fn figures(shop: &Shop, period: &str) -> Vec<Value> {
    wait_until_current(shop).await;
    let mut figures = Vec::new();
    for path in ["dashboard/summary?", "customers/rfm?limit=50&", "products/top?limit=50&", "products/top?by=quantity&"]
    {
        figures.push(shop.admin.get(&format!("/api/analytics/{path}{period}")).await.expect(200));
    }
    for metric in ["orders", "revenue", "refunds", "returned", "netRevenue", "newCustomers", "returningCustomers"] {
        let path = format!("/api/analytics/timeseries?metric={metric}&granularity=minute&{period}");
        figures.push(shop.admin.get(&path).await.expect(200));
    }
    for summary in &mut figures {
        let Some(summary) = summary.as_object_mut() else { continue };
        summary.remove("coupons");
        summary.remove("points");
        summary.remove("previous");
        for promotion in summary.get_mut("topPromotions").and_then(Value::as_array_mut).into_iter().flatten() {
            promotion["name"] = Value::Null;
        }
    }
    figures
}

/// A shop with orders of every kind: with gifts, codes, refunds, returns, cancelled, declined and imported.
async fn busy_shop() -> Shop {
    let shop = taxed_shop().await;
    for (sku, price) in [("A", "6.00"), ("B", "3.33"), ("GIFT", "2.50")] {
        shop.product(sku, price, 100).await;
    }
    let from = json!({"field": "cart.quantity", "op": "GTE", "value": 4});
    let gift = json!({"name": "Gift", "when": from, "actions": [{"type": "GIFT", "sku": "GIFT", "quantity": 1}]});
    let tenth = json!({"name": "Tenth", "code": "TENTH", "actions": [{"type": "PERCENT_OFF", "value": "10"}, {"type": "FREE_SHIPPING"}]});
    for promotion in [gift, tenth] {
        let created = shop.admin.post("/api/promotions", &promotion).await.expect(201);
        shop.admin.post(&format!("/api/promotions/{}/activate", created["id"]), &json!({})).await.expect(200);
    }
    let with_gift = buy(&shop, &[("A", 3), ("B", 2)], "a@example.com").await;
    assert_eq!(with_gift["lines"].as_array().unwrap().len(), 3, "{with_gift}");
    ship(&shop, &with_gift).await;
    refund(&shop, &with_gift, "2.00").await;
    return_units(&shop, &with_gift, "B", 1).await;
    let fully_returned = buy(&shop, &[("A", 1)], "b@example.com").await;
    ship(&shop, &fully_returned).await;
    return_units(&shop, &fully_returned, "A", 1).await;
    let cancelled = buy(&shop, &[("B", 3)], "c@example.com").await;
    shop.admin.post(&format!("/api/orders/{}/cancel", cancelled["id"]), &json!({"reason": "no"})).await.expect(200);
    let mut declined = order(&[("A", 1)], "d@example.com");
    declined["payment"]["token"] = json!("tok_declined");
    shop.anyone.post("/api/orders", &declined).await.expect(402);
    let mut cheap = order(&[("A", 2)], "a@example.com");
    cheap["promotionCode"] = json!("TENTH");
    let user = shop.customer("u@example.com").await;
    user.post("/api/orders", &cheap).await.expect(201);
    import(&shop, "application/x-ndjson", r#"{"type":"CREDIT_NOTE","number":"77","date":"2026-01-02T03:04:05Z","lines":[{"sku":"A","quantity":-1,"unitPrice":"5.00"}]}
{"type":"ORDER","number":"C12345","date":"2026-01-02T03:04:05Z","customer":"9","lines":[{"sku":"A","quantity":1,"unitPrice":"5.00"},{"sku":"FREE","quantity":2,"unitPrice":"0.00"}]}
"#).await;
    wait_for_refund_entries(&shop, &[&with_gift, &fully_returned, &cancelled]).await;
    shop
}

/// Waits until the timelines of the orders have all their refunds: two of the first order, one of each other.
async fn wait_for_refund_entries(shop: &Shop, orders: &[&Value]) {
    for (order, refunds) in orders.iter().zip([2, 1, 1]) {
        loop {
            let timeline = shop.admin.get(&format!("/api/orders/{}/timeline", order["id"])).await.expect(200);
            let steps = timeline["items"].as_array().unwrap().iter();
            if steps.filter(|entry| entry["step"] == "REFUND").count() == refunds {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_an_export_reproduces_orders_and_figures() {
    let shop = busy_shop().await;
    let lines = export(&shop, "").await;
    assert_eq!(lines, export(&shop, "?format=ndjson").await);
    let table = export(&shop, "?format=csv").await;
    let accepted = shop.admin.with("accept", "text/csv").get("/api/orders/export").await;
    assert_eq!(accepted.headers["content-type"].to_str().unwrap(), "text/csv");
    assert_eq!(accepted.bytes, table.as_bytes());
    assert_eq!(lines.lines().count(), 7, "five own orders, an imported one and a credit note: {lines}");
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let periods = [format!("from={}&to={}", at(-3_600), at(60)), "from=2026-01-02&to=2026-01-03".to_owned()];
    for (media_type, file, query) in [("application/x-ndjson", &lines, ""), ("text/csv", &table, "?format=csv")] {
        let other = Shop::start().await;
        let report = import(&other, media_type, file).await;
        assert_eq!((&report["created"], &report["failed"]), (&json!(7), &json!(0)), "{report}");
        assert_eq!(&export(&other, query).await, file);
        assert_eq!(export(&other, "").await, lines);
        for period in &periods {
            assert_eq!(figures(&other, period).await, figures(&shop, period).await, "{media_type} {period}");
        }
        assert!(other.all("/api/payments").await.is_empty() && other.all("/api/inventory").await.is_empty());
        let again = import(&other, media_type, file).await;
        assert_eq!((&again["created"], &again["skipped"]), (&json!(0), &json!(7)));
        other.close().await;
    }
    let refused = import(&shop, "application/x-ndjson", &lines).await;
    assert_eq!((&refused["skipped"], &refused["failed"]), (&json!(2), &json!(5)), "{refused}");
    assert!(refused["errors"].as_array().unwrap().iter().all(|error| error["code"] == "NUMBER_TAKEN"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_order_changes_only_by_import() {
    let shop = Shop::start().await;
    let document = r#"{"type":"ORDER","number":"OLD-1","date":"2025-01-02T03:04:05Z","status":"SHIPPED","email":"a@example.com","lines":[{"sku":"A","quantity":2,"unitPrice":"6.00","delivered":0}],"fulfilments":[{"carrier":"Post","trackingNumber":"1","items":[{"sku":"A","quantity":2}],"shippedAt":"2025-01-03T00:00:00Z"}],"shippingAddress":{"name":"Ada","line1":"1 Road","city":"Leeds","country":"GB"}}"#;
    assert_eq!(import(&shop, "application/x-ndjson", document).await["created"], 1);
    let listed = shop.all("/api/orders").await.remove(0);
    let order = shop.admin.get(&format!("/api/orders/{}", listed["id"])).await.expect(200);
    assert_eq!((&order["status"], &order["shippingAddress"]["city"]), (&json!("SHIPPED"), &json!("Leeds")));
    let path = |rest: &str| format!("/api/orders/{}/{rest}", order["id"]);
    let parcel = format!("fulfilments/{}/deliver", order["fulfilments"][0]["id"]);
    shop.admin.post(&path(&parcel), &json!({})).await.refused(409, "NOT_SHIPPABLE");
    let items = json!({"items": [{"sku": "A", "quantity": 1}], "reason": "no"});
    shop.admin.post(&path("returns"), &items).await.refused(409, "NOT_RETURNABLE");
    shop.admin.post(&path("cancel"), &json!({"reason": "no"})).await.refused(409, "NOT_CANCELLABLE");
    let changed = document.replace("SHIPPED", "DELIVERED");
    assert_eq!(import(&shop, "application/x-ndjson", &changed).await["updated"], 1);
    shop.close().await;
}
