//! Property test of export and import: a shop with random orders, returns and refunds is exported and imported into an
//! empty shop, which then has the same figures and the same export. Runs in process, on the memory engine, with all
//! services that a checkout needs. `PROPTEST_CASES=2000` tries more shops than a build does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use promox::permissions::Permissions;
use promox_analytics::Analytics;
use promox_campaign::Campaigns;
use promox_cart::Carts;
use promox_coupon::Coupons;
use promox_flashsale::FlashSales;
use promox_inventory::Inventory;
use promox_kernel::{
    Body, BodyReader, Clock, Content, Cx, Entropy, Error, Job, Node, Principal, Registry, Request, Timestamp, UserId,
};
use promox_order::{ExportHistory, HistoryFormat, ImportOrders, OrderImportReport, Orders};
use promox_payment::Payments;
use promox_product::{IndexPlace, Products};
use promox_promotion::Promotions;
use promox_reward::Rewards;
use promox_storage::{
    Cache, ConsumerLoop, Database, DynService, Engine, EventLog, MemoryEngine, MemoryGates, Report, Service, Tx,
};
use promox_store::hooks::HookSettings;
use promox_store::{Store, StoreSettings};
use promox_user::{UserSettings, Users};
use proptest::prelude::*;
use serde_json::{Value, json};

const SKUS: [&str; 4] = ["A", "B", "FREE", "PENNY"];
/// Prefixes of the scheduled jobs that the test runs.
const STEPPED_JOBS: [&str; 5] = ["order.", "payment.", "inventory.", "promotion.", "analytics."];
const PRICES: [&str; 4] = ["6.00", "3.33", "0.00", "0.01"];

/// All services on one engine; the test runs their event consumers and scheduled jobs step by step.
struct Shop {
    engine: Arc<MemoryEngine>,
    node: Arc<Node>,
    clock: Clock,
    consumers: Vec<ConsumerLoop>,
    jobs: Vec<Job>,
    services: Vec<Arc<dyn DynService>>,
}

impl Shop {
    async fn open() -> Self {
        let engine = MemoryEngine::new();
        let (shop, promox) = (engine.database(Database::Ecommerce), engine.database(Database::Promox));
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let node = Node::new(clock.clone(), Entropy::seeded(1));
        let cache = Cache::in_memory();
        let promotions = Promotions::new(promox.clone());
        let products = Products::new(shop.clone(), &IndexPlace::Memory, &promox).unwrap();
        let (analytics, rewards) = (Analytics::new(promox.clone(), EventLog::of(&shop)), Rewards::new(promox.clone()));
        let (campaigns, flash_sales) =
            (Campaigns::new(promox.clone()), FlashSales::new(promox.clone(), Arc::new(MemoryGates::default())));
        let coupons = Coupons::new(promox.clone(), cache.clone(), false);
        let (carts, inventory) = (Carts::new(shop.clone(), &cache, false), Inventory::new(shop.clone()));
        let orders = Orders::new(shop.clone(), cache.clone(), false);
        let store = Store::new(shop.clone(), StoreSettings::default(), HookSettings::default()).unwrap();
        let payments = Payments::new(
            shop.clone(),
            promox_payment::Settings { sandbox: true, ..promox_payment::Settings::default() },
        )
        .unwrap();
        let users = Users::new(shop.clone(), cache, UserSettings { limits_enabled: false, ..UserSettings::default() });
        let services: Vec<Arc<dyn DynService>> = vec![
            analytics,
            campaigns,
            carts,
            coupons,
            flash_sales,
            inventory,
            orders,
            payments,
            products,
            promotions,
            rewards,
            store.clone(),
            users.clone(),
        ];
        let mut registry = Registry::default();
        services.iter().for_each(|service| service.clone().register(&mut registry));
        Permissions::register(&mut registry);
        node.install(registry);
        let cx = Cx::system(&node, "test", Duration::from_secs(60));
        store.begin(&cx).await.unwrap();
        Service::recover(&*users, &cx).await.unwrap();
        let consumers = services.iter().flat_map(|service| consumer_loops(&engine, service)).collect();
        let jobs = services.iter().flat_map(|service| service.clone().jobs());
        let jobs = jobs.filter(|job| STEPPED_JOBS.iter().any(|service| job.name.starts_with(service))).collect();
        Self { engine, node, clock, consumers, jobs, services }
    }

    fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(60))
    }

    /// Runs an operation as the HTTP server does.
    async fn request(
        &self,
        caller: Principal,
        operation: &str,
        path: &[(&str, &Value)],
        body: Value,
    ) -> Result<Value, Error> {
        let registry = self.node.registry()?;
        let entry = registry.entries().iter().find(|entry| entry.name == operation).expect("an operation");
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let path = path.iter().map(|(name, value)| ((*name).to_owned(), plain(value))).collect();
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request { path, query: Vec::new(), body, raw: None };
        let response = entry.run(Cx { principal: caller, ..self.cx() }, request).await?;
        match &response.content {
            Content::Json(text) | Content::Bytes(_, text) => Ok(serde_json::from_slice(text).unwrap()),
            _ => Ok(Value::Null),
        }
    }

    /// Runs an operation as the system, and panics when it fails.
    async fn run_as_system(&self, operation: &str, path: &[(&str, &Value)], body: Value) -> Value {
        self.request(Principal::System, operation, path, body)
            .await
            .unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// Runs all consumers and jobs until nothing is left to do.
    async fn settle(&mut self) {
        for _ in 0..3 {
            self.clock.advance(Duration::from_millis(1_337));
            for consumer in &mut self.consumers {
                while consumer.turn(&self.node).await.unwrap() {}
            }
            for job in &self.jobs {
                while job.run(Cx::system(&self.node, "test", Duration::from_secs(60))).await.unwrap() {}
            }
        }
    }

    async fn export(&self, format: HistoryFormat) -> Vec<u8> {
        let download = self.cx().call(ExportHistory { format: Some(format) }).await.unwrap();
        let Content::Stream(_, reader) = download.content else { panic!("not a stream") };
        reader.collect(64 << 20).await.unwrap()
    }

    async fn import(&self, format: HistoryFormat, bytes: Vec<u8>) -> OrderImportReport {
        let (sender, reader) = BodyReader::pair();
        let sending = tokio::spawn(async move { sender.send(Ok(bytes.into())).await });
        let media_type = if format == HistoryFormat::Csv { "text/csv" } else { "application/x-ndjson" };
        let body = Body { media_type: media_type.into(), reader: Some(reader), headers: Vec::new() };
        let report = self.cx().call(ImportOrders { body }).await.unwrap();
        sending.await.unwrap();
        report
    }

    /// All figures of analytics about orders in a period, without promotion names, which an export does not contain.
    async fn figures(&self, from: &str, to: &str) -> Vec<Value> {
        let period = |more: Value| {
            let mut query = json!({"from": from, "to": to});
            query.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            query
        };
        let mut all = Vec::new();
        for operation in ["analytics.summary", "analytics.rfm", "analytics.top_products"] {
            all.push(self.query(operation, period(json!({}))).await);
        }
        for by in ["quantity", "orders"] {
            all.push(self.query("analytics.top_products", period(json!({"by": by}))).await);
        }
        for metric in
            ["revenue", "discounts", "refunds", "returned", "netRevenue", "newCustomers", "returningCustomers"]
        {
            all.push(self.query("analytics.timeseries", period(json!({"metric": metric}))).await);
        }
        for (operation, ids) in [("analytics.promotion", 1..=3), ("analytics.campaign", 1..=1)] {
            for id in ids {
                let mut figures = self.query(operation, period(json!({"id": id}))).await;
                if figures.get("orders") == Some(&json!(0)) {
                    figures = Value::Null;
                }
                all.push(figures);
            }
        }
        for figures in &mut all {
            let Some(figures) = figures.as_object_mut() else { continue };
            ["coupons", "points"].into_iter().for_each(|other| drop(figures.remove(other)));
            if let Some(previous) = figures.get_mut("previous").and_then(Value::as_object_mut) {
                ["coupons", "points"].into_iter().for_each(|other| drop(previous.remove(other)));
            }
            for promotion in figures.get_mut("topPromotions").and_then(Value::as_array_mut).into_iter().flatten() {
                promotion["name"] = Value::Null;
            }
        }
        all
    }

    /// The answer to a query, or null when it is NOT_FOUND.
    async fn query(&self, operation: &str, query: Value) -> Value {
        let registry = self.node.registry().unwrap();
        let entry = registry.entries().iter().find(|entry| entry.name == operation).expect("an operation");
        let (mut path, mut parameters) = (Vec::new(), Vec::new());
        for (name, value) in query.as_object().unwrap() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if name == "id" { path.push((name.clone(), text)) } else { parameters.push((name.clone(), text)) }
        }
        let request = Request { path: path.into_iter().collect(), query: parameters, body: Bytes::new(), raw: None };
        match entry.run(self.cx(), request).await {
            Ok(response) => match response.content {
                Content::Json(text) => serde_json::from_slice(&text).unwrap(),
                _ => panic!("{operation} is JSON"),
            },
            Err(error) if error.code() == "NOT_FOUND" => Value::Null,
            Err(error) => panic!("{operation}: {error:?}"),
        }
    }

    /// Asserts that the auditor finds nothing.
    fn verify(&self) {
        let reader = self.engine.long_read().unwrap();
        let mut report = Report::default();
        for service in &self.services {
            service.audit(&Tx::unbounded(&*reader, service.database()), &mut report).unwrap();
        }
        assert_eq!(report.finish().0, []);
    }
}

fn consumer_loops(engine: &Arc<MemoryEngine>, service: &Arc<dyn DynService>) -> Vec<ConsumerLoop> {
    let target = engine.database(service.database());
    let consumers = service.clone().consumers().into_iter();
    consumers
        .map(|consumer| ConsumerLoop::new(consumer.clone(), engine.database(consumer.source()), target.clone()))
        .collect()
}

/// An operation on a placed order.
#[derive(Clone, Copy, Debug)]
enum After {
    Ship,
    Deliver,
    Return(usize, u32),
    Refund(u32),
    Cancel,
}

/// An order: its lines, its buyer, with a promotion code (`true`) or coupon code (`false`) or none, the token of its
/// card, and the operations that follow.
#[derive(Clone, Debug)]
struct Sale {
    lines: Vec<(usize, u32)>,
    buyer: u8,
    code: Option<bool>,
    token: &'static str,
    after: Vec<After>,
}

fn sale() -> impl Strategy<Value = Sale> {
    let after = prop_oneof![
        4 => Just(After::Ship),
        1 => Just(After::Deliver),
        4 => (0_usize..4, 1_u32..4).prop_map(|(sku, units)| After::Return(sku, units)),
        3 => (1_u32..6).prop_map(After::Refund),
        1 => Just(After::Cancel),
    ];
    let lines = prop::collection::vec((0_usize..4, 1_u32..4), 1..4);
    let tokens = prop::sample::select(vec!["tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_declined"]);
    (lines, 0_u8..4, prop::option::of(any::<bool>()), tokens, prop::collection::vec(after, 0..5))
        .prop_map(|(lines, buyer, code, token, after)| Sale { lines, buyer, code, token, after })
}

/// Creates the products, taxes, shipping and promotions of a shop.
async fn fill(shop: &Shop, tax_included: bool) {
    for (sku, price) in SKUS.iter().zip(PRICES).chain([(&"GIFT", "2.50")]) {
        shop.run_as_system("product.create", &[], json!({"sku": sku, "name": sku, "price": price, "status": "ACTIVE"}))
            .await;
        shop.run_as_system("inventory.count", &[("sku", &json!(sku))], json!({"onHand": 1_000})).await;
    }
    let method = json!({"method": "STANDARD", "name": "Standard", "amount": "4.96"});
    let zones = json!({"zones": [{"name": "All", "countries": ["*"], "methods": [method]}]});
    shop.run_as_system("store.patch_shipping", &[], zones).await;
    let rates = json!([{"country": "DE", "taxClass": "STANDARD", "percent": "19"}]);
    shop.run_as_system("store.patch_taxes", &[], json!({"pricesIncludeTax": tax_included, "rates": rates})).await;
    shop.run_as_system("reward.patch_settings", &[], json!({"pointsPerUnit": "3", "pointValue": "0.01"})).await;
    let campaign = shop.run_as_system("campaign.create", &[], json!({"name": "Spring", "budget": "1000.00"})).await;
    shop.run_as_system("campaign.move", &[("id", &campaign["id"])], json!({"to": "ACTIVE"})).await;
    let from = json!({"field": "cart.quantity", "op": "GTE", "value": 4});
    for promotion in [
        json!({"name": "Tenth", "code": "TENTH", "campaignId": campaign["id"], "actions": [
            {"type": "PERCENT_OFF", "value": "10"}, {"type": "FREE_SHIPPING", "maxDiscount": "1.00"}]}),
        json!({"name": "Gift", "when": from, "actions": [{"type": "GIFT", "sku": "GIFT", "quantity": 1}]}),
        json!({"name": "Off", "couponOnly": true, "actions": [{"type": "AMOUNT_OFF", "value": "2.50", "scope": "ORDER"}]}),
    ] {
        let created = shop.run_as_system("promotion.create", &[], promotion).await;
        shop.run_as_system("promotion.activate", &[("id", &created["id"])], Value::Null).await;
        if created["couponOnly"] == true {
            shop.run_as_system("coupon.create", &[], json!({"code": "OFF", "promotionId": created["id"]})).await;
        }
    }
}

impl Sale {
    /// Places the order, if it is accepted, and runs its operations.
    async fn run(&self, shop: &mut Shop, user: UserId) {
        let items: Vec<Value> =
            self.lines.iter().map(|(sku, units)| json!({"sku": SKUS[*sku], "quantity": units})).collect();
        let mut body = json!({
            "items": items,
            "email": format!("buyer-{}@example.com", self.buyer),
            "payment": {"method": "CARD", "provider": "sandbox", "token": self.token},
            "shippingAddress": {"name": "Ada", "line1": "Straße 1", "city": "Köln", "country": "DE"},
            "note": "line one\nline \"two\", and = so on",
        });
        match self.code {
            Some(true) => body["promotionCode"] = json!("TENTH"),
            Some(false) => body["couponCode"] = json!("OFF"),
            None => {}
        }
        let caller = match self.buyer {
            0 => {
                body["pointsToRedeem"] = json!(100);
                Principal::User { id: user, session: 0, permissions: Arc::default() }
            }
            _ => Principal::Anonymous,
        };
        let placed = shop.request(caller, "order.place", &[], body).await;
        shop.settle().await;
        // The order was refused: a code without effect, too many points, or a declined card.
        let Ok(order) = placed else { return };
        for after in &self.after {
            after.run(shop, &order).await;
            shop.settle().await;
        }
    }
}

impl After {
    /// Runs the operation; the order may refuse it.
    async fn run(self, shop: &Shop, order: &Value) {
        let id = ("id", &order["id"]);
        match self {
            Self::Ship => {
                let parcel = json!({"carrier": "Post", "trackingNumber": "1", "confirm": true});
                let _ = shop.request(Principal::System, "order.ship", &[id], parcel).await;
            }
            Self::Deliver => {
                let now = shop.run_as_system("order.get", &[id], Value::Null).await;
                if let Some(parcel) = now["fulfilments"].get(0) {
                    let path = [id, ("fid", &parcel["id"])];
                    let _ = shop.request(Principal::System, "order.deliver", &path, Value::Null).await;
                }
            }
            Self::Return(sku, quantity) => {
                let items = json!({"items": [{"sku": SKUS[sku], "quantity": quantity}], "reason": "too blue"});
                let Ok(requested) = shop.request(Principal::System, "order.request_return", &[id], items).await else {
                    return;
                };
                let path = [id, ("rid", &requested["id"])];
                let _ = shop.request(Principal::System, "order.approve_return", &path, json!({})).await;
            }
            Self::Refund(parts) => {
                let total: rust_decimal::Decimal = order["totals"]["total"].as_str().unwrap().parse().unwrap();
                let amount = (total * rust_decimal::Decimal::from(parts) / rust_decimal::Decimal::from(5)).round_dp(2);
                let body = json!({"amount": amount.to_string(), "reason": "sorry"});
                let _ =
                    shop.request(Principal::System, "payment.refund", &[("id", &order["payment"]["id"])], body).await;
            }
            Self::Cancel => {
                let _ = shop.request(Principal::System, "order.cancel", &[id], json!({"reason": "no"})).await;
            }
        }
    }
}

/// Imported documents of another system: an order whose number looks like a credit note's, and a credit note whose
/// number does not.
const FOREIGN: &str = r#"{"type":"ORDER","number":"C100","date":"2026-12-31T23:59:59Z","customer":"9","lines":[{"sku":"A","quantity":2,"unitPrice":"5.00"},{"sku":"FREE","quantity":2,"unitPrice":"0.00"}]}
{"type":"CREDIT_NOTE","number":"77","date":"2027-01-15T08:00:00Z","lines":[{"sku":"A","quantity":-1,"unitPrice":"5.00"}]}
"#;

async fn check(sales: &[Sale], tax_included: bool, format: HistoryFormat, foreign: bool) {
    let (mut first, mut second) = (Shop::open().await, Shop::open().await);
    fill(&first, tax_included).await;
    let body = json!({"email": "buyer-0@example.com", "password": "a long and quiet harbour", "name": "A Buyer"});
    let user = first.request(Principal::Anonymous, "user.register", &[], body).await.unwrap()["user"]["id"].clone();
    let points = json!({"points": 400, "reason": "welcome"});
    first.run_as_system("reward.adjust", &[("id", &user)], points).await;
    first.settle().await;
    let user = UserId(user.to_string().parse().unwrap());
    for sale in sales {
        sale.run(&mut first, user).await;
    }
    if foreign {
        assert_eq!(first.import(HistoryFormat::Ndjson, FOREIGN.into()).await.report.created, 2);
    }
    first.settle().await;
    first.verify();
    let export = first.export(format).await;
    let report = second.import(format, export.clone()).await;
    assert!(report.report.errors.is_empty(), "{report:?}");
    second.settle().await;
    second.verify();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(text(second.export(format).await), text(export));
    let both = (second.export(HistoryFormat::Ndjson).await, first.export(HistoryFormat::Ndjson).await);
    assert_eq!(text(both.0), text(both.1));
    for (from, to) in [
        ("2026-01-01", "2027-12-31"),
        ("2027-01-15T08:00:00Z", "2027-01-15T08:00:20Z"),
        ("2027-01-15T08:00:07.123Z", "2027-01-15T08:05:00.000001Z"),
    ] {
        assert_eq!(second.figures(from, to).await, first.figures(from, to).await, "{from} {to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn importing_the_export_of_any_shop_reproduces_it(
        sales in prop::collection::vec(sale(), 0..8),
        tax_included in any::<bool>(),
        is_table in any::<bool>(),
        foreign in any::<bool>(),
    ) {
        let format = if is_table { HistoryFormat::Csv } else { HistoryFormat::Ndjson };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&sales, tax_included, format, foreign));
    }
}

/// The number of shops to try.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}
