//! Analytics over HTTP: a real month compared with plain arithmetic, figures of orders over their lives, visits, CSV
//! exports, live figures, and rebuilds that change nothing.

use std::collections::{BTreeMap, BTreeSet};

use http_body_util::BodyExt as _;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::online_retail::Month;
use crate::process::{Process, promox};
use crate::shop::{Shop, order_of};

const SUMMARY: &str = "/api/analytics/dashboard/summary";

/// Waits until analytics has processed both event logs up to their current ends and no rebuild runs. Returns its state.
pub(crate) async fn wait_until_current(shop: &Shop) -> Value {
    let target = shop.admin.get("/api/analytics/state").await.expect(200);
    let reached = |state: &Value, log: &str| {
        let last = target["current"][log]["last"].as_i64();
        last.is_some() && state["current"][log]["position"].as_i64() >= last
    };
    loop {
        let state = shop.admin.get("/api/analytics/state").await.expect(200);
        if state["rebuild"].is_null() && reached(&state, "shop") && reached(&state, "promotion") {
            return state;
        }
        if target["current"].is_null() && !state["current"].is_null() {
            return Box::pin(wait_until_current(shop)).await;
        }
        tokio::task::yield_now().await;
    }
}

async fn figures(shop: &Shop, query: &str) -> Value {
    shop.admin.get(&format!("{SUMMARY}{query}")).await.expect(200)
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

fn money(value: Decimal) -> String {
    format!("{value:.2}")
}

/// A document of the file: its date, its customer, and its rows as folded SKU, quantity and price.
struct Document {
    date: String,
    customer: String,
    rows: Vec<(String, i64, Decimal)>,
}

/// The valid documents of the file: sales and credit notes.
fn documents(month: &Month) -> (Vec<Document>, Vec<Document>) {
    let (mut sales, mut notes) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for record in csv::Reader::from_path(&month.path).unwrap().records() {
        let record = record.unwrap();
        let (quantity, price): (i64, Decimal) = (record[3].parse().unwrap(), record[5].parse().unwrap());
        let is_note = record[0].starts_with('C');
        if price <= Decimal::ZERO || quantity == 0 || (quantity < 0) != is_note {
            continue;
        }
        let part = if is_note { &mut notes } else { &mut sales };
        if last != record[0] || part.is_empty() {
            let (date, customer) = (record[4].to_owned(), record[6].trim().to_owned());
            part.push(Document { date, customer, rows: Vec::new() });
        }
        record[0].clone_into(&mut last);
        let sku = record[1].parse::<promox_kernel::Sku>().unwrap().fold();
        part.last_mut().unwrap().rows.push((sku, quantity, price));
    }
    (sales, notes)
}

/// The figures of a period, computed from the file by plain arithmetic.
struct Expected {
    orders: usize,
    items: i64,
    revenue: Decimal,
    refunds: Decimal,
    new: usize,
    returning: usize,
    products: BTreeMap<String, Decimal>,
}

impl Expected {
    fn of(sales: &[Document], notes: &[Document], from: &str, to: &str) -> Self {
        let within = |it: &&Document| from <= it.date.as_str() && it.date.as_str() < to;
        let total = |it: &Document| it.rows.iter().map(|(_, n, price)| price * Decimal::from(*n)).sum::<Decimal>();
        let orders: Vec<&Document> = sales.iter().filter(within).collect();
        let mut firsts = BTreeMap::<&str, &str>::new();
        for sale in sales.iter().filter(|sale| !sale.customer.is_empty()) {
            let first = firsts.entry(&sale.customer).or_insert(&sale.date);
            *first = (*first).min(&sale.date);
        }
        let buyers: BTreeSet<&str> =
            orders.iter().map(|order| order.customer.as_str()).filter(|customer| !customer.is_empty()).collect();
        let new = buyers.iter().filter(|name| firsts[**name] >= from).count();
        let mut products = BTreeMap::new();
        for (sku, n, price) in orders.iter().flat_map(|order| &order.rows) {
            *products.entry(sku.clone()).or_default() += price * Decimal::from(*n);
        }
        Self {
            orders: orders.len(),
            items: orders.iter().flat_map(|order| &order.rows).map(|(_, n, _)| n).sum(),
            revenue: orders.iter().map(|order| total(order)).sum(),
            refunds: Decimal::ZERO - notes.iter().filter(within).map(total).sum::<Decimal>(),
            new,
            returning: buyers.len() - new,
            products,
        }
    }

    fn check(&self, summary: &Value) {
        assert_eq!(summary["orders"], self.orders, "{summary}");
        assert_eq!(summary["itemsSold"], self.items);
        assert_eq!(summary["revenue"], money(self.revenue), "{summary}");
        assert_eq!(summary["refunds"], money(self.refunds), "{summary}");
        // Imported credit notes belong to no order here, so they do not count as returned revenue.
        assert_eq!((&summary["returned"], &summary["netRevenue"]), (&json!("0.00"), &json!(money(self.revenue))));
        assert_eq!(
            (&summary["newCustomers"], &summary["returningCustomers"]),
            (&json!(self.new), &json!(self.returning))
        );
        assert_eq!(summary["conversionRate"], Value::Null);
        let mut best: Vec<(&String, &Decimal)> = self.products.iter().collect();
        best.sort_by(|a, b| b.1.cmp(a.1));
        let expected: Vec<String> = best.iter().take(10).map(|(_, sum)| money(**sum)).collect();
        let shown = summary["topProducts"].as_array().unwrap();
        assert_eq!(shown.iter().map(|item| item["revenue"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), expected);
        for product in shown {
            let fold = product["sku"].as_str().unwrap().parse::<promox_kernel::Sku>().unwrap().fold();
            assert_eq!(product["revenue"], money(self.products[&fold]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_month_match_plain_arithmetic() {
    let month = Month::read();
    let (sales, notes) = documents(&month);
    println!("{}: {} sales, {} credit notes", month.path.display(), sales.len(), notes.len());
    let shop = Shop::start().await;
    let file = std::fs::read(&month.path).unwrap();
    shop.admin.send("POST", "/api/orders/import", "text/csv", file.clone().into()).await.unwrap().expect(200);
    wait_until_current(&shop).await;
    let december = "?from=2010-12-01&to=2011-01-01";
    let summary = figures(&shop, december).await;
    if sales.len() > 1_000 {
        let sums = (&summary["orders"], &summary["revenue"], &summary["refunds"]);
        assert_eq!(sums, (&json!(1_559), &json!("823746.14"), &json!("74789.12")));
    }
    for (from, to) in [
        ("2010-12-01", "2011-01-01"),
        ("2010-12-01", "2010-12-02"),
        ("2010-12-06T10:17:00", "2010-12-08T15:31:00"),
        ("2010-12-01T08:26:00", "2010-12-01T09:00:00"),
        ("2010-12-10", "2010-12-18T12:34:56"),
        ("2011-01-01", "2011-02-01"),
    ] {
        let summary = figures(&shop, &format!("?from={from}&to={to}")).await;
        // ISO dates compare as text; a date without a time sorts before all times of its day.
        Expected::of(&sales, &notes, from, to).check(&summary);
    }
    check_time_series(&shop, december, &summary).await;
    check_reimport_and_rebuild(&shop, &file, december, &summary).await;
    shop.close().await;
}

/// Checks that the points of a time series of every granularity add up to the summary's figure.
async fn check_time_series(shop: &Shop, period: &str, summary: &Value) {
    for (metric, whole) in [("revenue", "revenue"), ("refunds", "refunds"), ("netRevenue", "netRevenue")] {
        for (granularity, parts) in [("hour", 31 * 24), ("day", 31), ("week", 5), ("month", 1)] {
            let path = format!("/api/analytics/timeseries{period}&metric={metric}&granularity={granularity}");
            let series = shop.admin.get(&path).await.expect(200);
            let items = series["items"].as_array().unwrap();
            assert_eq!(items.len(), parts, "{granularity}");
            assert_eq!(
                items.iter().map(|item| decimal(&item["value"])).sum::<Decimal>(),
                decimal(&summary[whole]),
                "{metric}"
            );
        }
    }
    let path = format!("/api/analytics/timeseries{period}&metric=newCustomers&granularity=day");
    let series = shop.admin.get(&path).await.expect(200);
    let sum: i64 = series["items"].as_array().unwrap().iter().map(|point| point["value"].as_i64().unwrap()).sum();
    assert_eq!(summary["newCustomers"], sum);
    let rfm = shop.admin.get(&format!("/api/analytics/customers/rfm{period}&limit=5")).await.expect(200);
    assert_eq!(rfm["customers"], sum);
    let customers: i64 =
        rfm["segments"].as_array().unwrap().iter().map(|item| item["customers"].as_i64().unwrap()).sum();
    assert_eq!((customers, rfm["items"].as_array().unwrap().len()), (sum, 5));
}

/// Checks that neither importing the file again nor a rebuild changes any figure.
async fn check_reimport_and_rebuild(shop: &Shop, file: &[u8], period: &str, summary: &Value) {
    shop.admin.send("POST", "/api/orders/import", "text/csv", file.to_vec().into()).await.unwrap().expect(200);
    wait_until_current(shop).await;
    assert_eq!(&figures(shop, period).await, summary);
    let started = shop.admin.post("/api/analytics/rebuild", &json!({})).await.expect(202);
    assert_ne!(started["rebuild"]["generation"], started["current"]["generation"]);
    assert_eq!(&figures(shop, period).await, summary, "the old figures are shown during the rebuild");
    let state = wait_until_current(shop).await;
    assert_eq!(state["current"]["generation"], started["rebuild"]["generation"]);
    assert_eq!(&figures(shop, period).await, summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_cancels_returns_and_refunds() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.product("B", "2.50", 100).await;
    let buy = async |lines: &[(&str, u32)], token: &str, email: &str| {
        let mut body = order_of(lines, token);
        body["email"] = json!(email);
        shop.anyone.post("/api/orders", &body).await
    };
    let returned_order = buy(&[("A", 2), ("B", 4)], "tok_visa", "a@example.com").await.expect(201);
    let cancelled = buy(&[("A", 5)], "tok_visa", "b@example.com").await.expect(201);
    buy(&[("A", 1)], "tok_declined", "c@example.com").await.expect(402);
    buy(&[("B", 1)], "tok_visa", "A@example.com").await.expect(201);
    wait_until_current(&shop).await;
    let summary = figures(&shop, "").await;
    assert_eq!(
        (&summary["orders"], &summary["revenue"], &summary["itemsSold"]),
        (&json!(3), &json!("82.50"), &json!(12))
    );
    assert_eq!((&summary["newCustomers"], &summary["returningCustomers"]), (&json!(2), &json!(0)));
    assert_eq!((&summary["averageOrderValue"], &summary["currency"]), (&json!("27.50"), &json!("GBP")));
    assert_eq!(summary["topProducts"][0]["sku"], "A");
    assert!(summary["topProducts"][0]["productId"].is_i64() && summary["previous"]["orders"] == 0);
    let cancel = format!("/api/orders/{}/cancel", cancelled["id"]);
    shop.admin.post(&cancel, &json!({"reason": "changed"})).await.expect(200);
    ship_and_return(&shop, &returned_order).await;
    let refunds = format!("/api/payments/{}/refunds", returned_order["payment"]["id"]);
    shop.admin.post(&refunds, &json!({"amount": "0.75", "reason": "sorry"})).await.expect(201);
    let summary = wait_for_summary(&shop, |summary| summary["orders"] == 2 && summary["refunds"] == "63.25").await;
    let sums = (&summary["revenue"], &summary["returned"], &summary["netRevenue"]);
    assert_eq!(sums, (&json!("32.50"), &json!("13.25"), &json!("19.25")), "revenue excludes the cancelled order");
    assert_eq!((&summary["newCustomers"], &summary["itemsSold"]), (&json!(1), &json!(7)));
    shop.close().await;
}

/// Ships an order and returns one A and one B of it.
async fn ship_and_return(shop: &Shop, order: &Value) {
    let path = |rest: &str| format!("/api/orders/{}/{rest}", order["id"]);
    let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
    shop.admin.post(&path("fulfilments"), &parcel).await.expect(201);
    let items = json!({"items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}], "reason": "too big"});
    let requested = shop.admin.post(&path("returns"), &items).await.expect(201);
    shop.admin.post(&path(&format!("returns/{}/approve", requested["id"])), &json!({})).await.expect(200);
}

/// Waits until the summary satisfies a condition and returns it.
async fn wait_for_summary(shop: &Shop, condition: impl Fn(&Value) -> bool) -> Value {
    loop {
        wait_until_current(shop).await;
        let summary = figures(shop, "").await;
        if condition(&summary) {
            return summary;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_coupons_and_points_report_cost_and_revenue() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let campaign = json!({"name": "Spring", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "timezone": "UTC"});
    let campaign = shop.admin.post("/api/campaigns", &campaign).await.expect(201);
    let transitions = format!("/api/campaigns/{}/transitions", campaign["id"]);
    shop.admin.post(&transitions, &json!({"to": "ACTIVE"})).await.expect(200);
    let promotion = json!({
        "name": "Tenth", "couponOnly": true, "campaignId": campaign["id"],
        "actions": [{"type": "PERCENT_OFF", "value": "10", "scope": "ORDER"}],
    });
    let promotion = shop.admin.post("/api/promotions", &promotion).await.expect(201);
    shop.admin.post(&format!("/api/promotions/{}/activate", promotion["id"]), &json!({})).await.expect(200);
    shop.admin.post("/api/coupons", &json!({"code": "TENTH", "promotionId": promotion["id"]})).await.expect(201);
    let user = shop.customer("a@example.com").await;
    let mut body = order_of(&[("A", 3)], "tok_visa");
    body.as_object_mut().unwrap().remove("email");
    body["couponCode"] = json!("TENTH");
    let order = user.post("/api/orders", &body).await.expect(201);
    assert_eq!(order["totals"]["total"], "27.00", "{order}");
    let path = format!("/api/analytics/campaigns/{}", campaign["id"]);
    let cost = loop {
        let answer = shop.admin.get(&path).await;
        if answer.status == 200 && answer.json()["redemptions"] == 1 {
            break answer.json();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&cost["orders"], &cost["revenue"], &cost["discountCost"]),
        (&json!(1), &json!("27.00"), &json!("3.00"))
    );
    assert_eq!((&cost["roi"], &cost["newCustomers"]), (&json!("8.0000"), &json!(1)));
    assert!(cost["roiDefinition"].as_str().unwrap().contains('÷'));
    let summary =
        wait_for_summary(&shop, |summary| summary["points"]["awarded"] == 27 && summary["coupons"]["redeemed"] == 1)
            .await;
    assert_eq!((&summary["coupons"]["issued"], &summary["points"]["liability"]), (&json!(1), &json!(27)));
    assert_eq!((&summary["topPromotions"][0]["name"], &summary["discounts"]), (&json!("Tenth"), &json!("3.00")));
    let one = shop.admin.get(&format!("/api/analytics/promotions/{}", promotion["id"])).await.expect(200);
    assert_eq!((&one["orders"], &one["roi"]), (&json!(1), &json!("8.0000")));
    let cancel = format!("/api/orders/{}/cancel", order["id"]);
    user.post(&cancel, &json!({"reason": "changed"})).await.expect(200);
    let reversed = |summary: &Value| {
        let counts =
            summary["orders"] == 0 && summary["coupons"]["redeemed"] == 0 && summary["points"]["liability"] == 0;
        counts && summary["refunds"] == "27.00"
    };
    let summary = wait_for_summary(&shop, reversed).await;
    assert_eq!(
        (&summary["returned"], &summary["netRevenue"]),
        (&json!("0.00"), &json!("0.00")),
        "a cancelled order has no revenue to return"
    );
    let cost = shop.admin.get(&path).await.expect(200);
    assert_eq!((&cost["orders"], &cost["roi"]), (&json!(0), &Value::Null));
    shop.admin.get("/api/analytics/campaigns/999").await.refused(404, "NOT_FOUND");
    shop.admin.get("/api/analytics/promotions/999").await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_form_a_funnel_figures_stream_and_reports_export_as_csv() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 100).await;
    let mut live = shop.admin.follow("/api/analytics/live").await;
    let event = next_event(&mut live).await;
    assert!(event.starts_with("event: figures\ndata: {") && event.contains("\"orders\":0"), "{event}");
    for (session, kind) in [
        ("session-1", "PRODUCT_VIEWED"),
        ("session-1", "PRODUCT_VIEWED"),
        ("session-1", "CART_ADDED"),
        ("session-2", "PRODUCT_VIEWED"),
        ("session-3", "PRODUCT_VIEWED"),
        ("session-4", "CHECKOUT_STARTED"),
    ] {
        let body = json!({"type": kind, "sessionId": session, "productId": product["id"]});
        shop.anyone.post("/api/analytics/events", &body).await.expect(204);
    }
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    wait_until_current(&shop).await;
    let funnel = shop.admin.get("/api/analytics/funnel").await.expect(200);
    let counts: Vec<i64> =
        funnel["items"].as_array().unwrap().iter().map(|item| item["count"].as_i64().unwrap()).collect();
    assert_eq!(counts, [4, 3, 1, 1, 1, 1]);
    assert_eq!(figures(&shop, "").await["conversionRate"], "0.3333");
    loop {
        let event = next_event(&mut live).await;
        if event.contains("\"orders\":1") && event.contains("\"visits\":4") {
            assert!(event.contains("\"revenue\":\"10.00\""), "{event}");
            break;
        }
    }
    drop(live);
    check_csv_reports(&shop).await;
    shop.close().await;
}

/// The text of the next event of the stream.
async fn next_event(live: &mut hyper::body::Incoming) -> String {
    let frame = live.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

/// Checks header and rows of every report as CSV.
async fn check_csv_reports(shop: &Shop) {
    let csv = shop.admin.with("accept", "text/csv");
    for (path, header, rows) in [
        (SUMMARY, "figure,value,previous", 20),
        ("/api/analytics/timeseries?metric=orders&granularity=week", "from,to,value", 5),
        ("/api/analytics/products/top", "sku,productId,name,orders,quantity,revenue", 1),
        ("/api/analytics/funnel", "step,count,ofVisits,ofPrevious", 5),
        ("/api/analytics/customers/rfm", "customer,segment,recency,frequency,monetary,orders,revenue,lastOrderAt", 1),
    ] {
        let answer = csv.get(path).await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, "text/csv; charset=utf-8"));
        assert_eq!(answer.headers["vary"], "accept");
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], header);
        assert!(lines.len() > rows, "{path}: {text}");
    }
    let product = csv.get("/api/analytics/products/top").await;
    assert!(String::from_utf8_lossy(&product.bytes).contains("A,1,Product A,1,1,10.00\r\n"), "{product:?}");
    assert!(shop.admin.with("accept", "text/html, */*").get(SUMMARY).await.expect(200)["orders"].is_i64());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_queries_and_events_are_refused_with_a_pointer() {
    let shop = Shop::start().await;
    for (path, pointer) in [
        ("/api/analytics/timeseries?metric=profit", "?metric"),
        ("/api/analytics/timeseries?granularity=year", "?granularity"),
        ("/api/analytics/timeseries?granularity=minute&from=2024-01-01&to=2024-01-03", "?granularity"),
        ("/api/analytics/dashboard/summary?from=2024-01-02&to=2024-01-02", "?from"),
        ("/api/analytics/dashboard/summary?from=2024-01-03&to=2024-01-02", "?from"),
        ("/api/analytics/dashboard/summary?to=soon", "?to"),
        ("/api/analytics/dashboard/summary?form=2024-01-02", "?form"),
        ("/api/analytics/products/top?by=name", "?by"),
        ("/api/analytics/products/top?limit=0", "?limit"),
    ] {
        let problem = shop.admin.get(path).await.expect(422);
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().ends_with(&pointer[1..]), "{path}: {problem}");
    }
    for body in [
        json!({"type": "BOUGHT", "sessionId": "session-1"}),
        json!({"type": "PRODUCT_VIEWED", "sessionId": "short"}),
        json!({"type": "PRODUCT_VIEWED"}),
        json!({"type": "PRODUCT_VIEWED", "sessionId": "session-1", "email": "a@example.com"}),
    ] {
        shop.anyone.post("/api/analytics/events", &body).await.expect(422);
    }
    for path in [SUMMARY, "/api/analytics/funnel", "/api/analytics/live", "/api/analytics/state"] {
        shop.anyone.get(path).await.expect(401);
        shop.customer(&format!("c{}@example.com", path.len())).await.get(path).await.expect(403);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_continue_after_a_restart() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.admin.post("/api/analytics/rebuild", &json!({})).await.expect(202);
    let shop = shop.restart().await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.expect(201);
    let summary = wait_for_summary(&shop, |summary| summary["orders"] == 2).await;
    assert_eq!(summary["revenue"], "30.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_event_processing_lose_and_double_nothing() {
    let month = Month::read();
    let (sales, notes) = documents(&month);
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::read(&month.path).unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    admin.send("POST", "/api/orders/import", "text/csv", file.into()).await.unwrap().expect(200);
    process.kill().await;
    let mut seen = 0;
    for round in 0..4_u32 {
        let process = Process::start(dir.path()).await;
        let admin = process.admin().await;
        if round % 2 == 1 {
            admin.post("/api/analytics/rebuild", &json!({})).await.expect(202);
        }
        // No kill loses what was processed before it, and each process gets further unless everything is processed.
        let shop = |state: &Value, member: &str| state["current"]["shop"][member].as_i64().unwrap_or(0);
        let state = admin.get("/api/analytics/state").await.expect(200);
        assert!(shop(&state, "position") >= seen, "round {round}: less than {seen} is processed: {state}");
        seen = loop {
            let state = admin.get("/api/analytics/state").await.expect(200);
            let position = shop(&state, "position");
            if position > seen || position > 0 && position == shop(&state, "last") {
                break position;
            }
            tokio::task::yield_now().await;
        };
        process.kill().await;
    }
    crate::process::verify(dir.path());
    let done = promox(dir.path(), &["analytics", "rebuild"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    let summary = admin.get(&format!("{SUMMARY}?from=2010-12-01&to=2011-01-01")).await.expect(200);
    Expected::of(&sales, &notes, "2010-12-01", "2011-01-01").check(&summary);
    process.kill().await;
    crate::process::verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaigns_figures_include_its_flash_sales() {
    let shop = Shop::start().await;
    let taxes =
        json!({"pricesIncludeTax": true, "rates": [{"country": "GB", "taxClass": "STANDARD", "percent": "25"}]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    shop.product("A", "10.00", 10).await;
    shop.product("B", "5.00", 10).await;
    let campaign = json!({"name": "Spring", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "timezone": "UTC"});
    let campaign = shop.admin.post("/api/campaigns", &campaign).await.expect(201);
    let transitions = format!("/api/campaigns/{}/transitions", campaign["id"]);
    shop.admin.post(&transitions, &json!({"to": "ACTIVE"})).await.expect(200);
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let items = json!([{"sku": "A", "salePrice": "4.00", "stock": 5}]);
    let sale =
        json!({"name": "Flash", "campaignId": campaign["id"], "startsAt": at(0), "endsAt": at(600), "items": items});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let path = format!("/api/analytics/campaigns/{}", campaign["id"]);
    assert_eq!(shop.admin.get(&path).await.expect(200)["orders"], 0);
    let (ada, bob) = (shop.customer("a@example.com").await, shop.customer("b@example.com").await);
    let reserve = format!("/api/flash-sales/{}/reservations", sale["id"]);
    let mut orders = Vec::new();
    for (buyer, units) in [(&ada, 2), (&bob, 1), (&ada, 1)] {
        let held = buyer.post(&reserve, &json!({"sku": "A", "quantity": units})).await.expect(201);
        let mut body = order_of(&[("B", 1)], "tok_visa");
        body.as_object_mut().unwrap().remove("email");
        body["flashSaleReservationIds"] = json!([held["reservationId"]]);
        body["shippingAddress"] = json!({"name": "A", "line1": "1 Road", "city": "Town", "country": "GB"});
        orders.push(buyer.post("/api/orders", &body).await.expect(201));
    }
    shop.admin.post(&format!("/api/orders/{}/cancel", orders[1]["id"]), &json!({"reason": "no"})).await.expect(200);
    wait_for_summary(&shop, |summary| summary["orders"] == 2).await;
    let report = shop.admin.get(&path).await.expect(200);
    // Two orders of 8.00 + 5.00 and 4.00 + 5.00, a fifth of which is tax; three units, each 6.00 below its list price.
    assert_eq!((&report["orders"], &report["redemptions"], &report["newCustomers"]), (&json!(2), &json!(2), &json!(1)));
    assert_eq!((&report["revenue"], &report["discountCost"]), (&json!("17.60"), &json!("18.00")), "{report}");
    assert_eq!(report["roi"], "-0.0222");
    assert!(report["roiDefinition"].as_str().unwrap().contains("flash sales"));
    shop.admin.post("/api/analytics/rebuild", &json!({})).await.expect(202);
    wait_until_current(&shop).await;
    let (from, to) = (report["from"].as_str().unwrap(), report["to"].as_str().unwrap());
    let again = shop.admin.get(&format!("{path}?from={from}&to={to}")).await.expect(200);
    assert_eq!(again, report, "a rebuild gives the same figures");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flash_sales_report_their_revenue_and_points_are_not_a_discount() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    shop.product("B", "5.00", 10).await;
    shop.admin.patch("/api/rewards/settings", &json!({"pointValue": "0.01"})).await.expect(200);
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let items = json!([{"sku": "A", "salePrice": "4.00", "stock": 5}]);
    let body = json!({"name": "Flash", "startsAt": at(0), "endsAt": at(600), "items": items});
    let sale = shop.admin.post("/api/flash-sales", &body).await.expect(201);
    let buyer = shop.customer("a@example.com").await;
    let id = buyer.get("/api/users/me").await.expect(200)["id"].clone();
    let grant = json!({"points": 300, "reason": "a present"});
    shop.admin.post(&format!("/api/rewards/account/{id}/adjust"), &grant).await.expect(200);
    let reserve = format!("/api/flash-sales/{}/reservations", sale["id"]);
    let held = buyer.post(&reserve, &json!({"sku": "A", "quantity": 2})).await.expect(201);
    let mut body = order_of(&[("B", 1)], "tok_visa");
    body["flashSaleReservationIds"] = json!([held["reservationId"]]);
    body["pointsToRedeem"] = json!(200);
    let order = buyer.post("/api/orders", &body).await.expect(201);
    assert_eq!(order["totals"]["total"], "11.00", "{order}");
    let summary =
        wait_for_summary(&shop, |summary| summary["orders"] == 1 && summary["points"]["redeemed"] == 200).await;
    assert_eq!(summary["revenue"], "13.00", "points are a means of payment, not a discount: {summary}");
    let sold = json!([{"flashSaleId": sale["id"], "name": "Flash", "orders": 1, "quantity": 2, "revenue": "8.00"}]);
    assert_eq!((&summary["flashSales"], &summary["itemsSold"]), (&sold, &json!(3)));
    let account = buyer.get(&format!("/api/rewards/account/{id}")).await.expect(200);
    let points = account["balance"].as_i64().unwrap() + account["pending"].as_i64().unwrap();
    assert_eq!(summary["points"]["liability"], points, "{summary}");
    shop.close().await;
}
