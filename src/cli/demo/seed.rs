//! Fills a new store from the fixtures, through the same operations that clients use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use promox_contract::ids::CategoryId;
use promox_contract::inventory::{SetStock, StockCount};
use promox_coupon::CreateCoupon;
use promox_kernel::{Body, BodyReader, Cx, Error, Principal, Sku, Timestamp, UserId, bind_json};
use promox_order::{DeliverFulfilment, ImportOrders, PlaceOrder, ShipOrder};
use promox_product::{CreateCategory, ImportProducts};
use promox_promotion::api::{ActivatePromotion, CreatePromotion};
use promox_store::{PatchShipping, PatchTaxes};
use promox_user::Users;
use promox_user::api::{CreateAddress, Register};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::node::Promox;

const SHIPPING: &str = include_str!("../../../fixtures/demo/shipping.json");
const TAXES: &str = include_str!("../../../fixtures/demo/taxes.json");
const CATEGORIES: &str = include_str!("../../../fixtures/demo/categories.json");
const CATALOG: &str = include_str!("../../../fixtures/demo/catalog.csv");
const STOCK: &str = include_str!("../../../fixtures/demo/stock.json");
const PROMOTIONS: &str = include_str!("../../../fixtures/demo/promotions.json");
const CUSTOMER: &str = include_str!("../../../fixtures/demo/customer.json");
const ORDERS: &str = include_str!("../../../fixtures/demo/orders.ndjson");

/// The administrator of a sample shop, with a public password.
pub(super) const ADMIN: (&str, &str) = ("admin@promox.example", "the keys to the shop");
/// The job that updates the analytics figures.
const FIGURES: &str = "analytics.follow";
/// The time limit of the seeding.
const LIMIT: Duration = Duration::from_secs(60);
const DAY: u64 = 24 * 3600;

/// Fills a new store with the sample shop.
pub(super) async fn seed(promox: &Promox) -> Result<(), Exit> {
    let cx = Cx::system(promox.node(), "demo", LIMIT);
    fill(promox, &cx)
        .await
        .map_err(|error| Exit::internal(format_args!("the sample shop could not be created: {error}")))
}

async fn fill(promox: &Promox, cx: &Cx) -> Result<(), Error> {
    cx.run(bind_json::<PatchShipping>(SHIPPING.as_bytes())?).await?;
    cx.run(bind_json::<PatchTaxes>(TAXES.as_bytes())?).await?;
    create_categories(cx).await?;
    let report = cx.run(ImportProducts { body: body("text/csv", CATALOG.to_owned()).await, dry_run: false }).await?;
    check_complete(report.failed, report.errors.first().map(|error| &error.detail))?;
    set_stock(cx).await?;
    let report = cx.run(ImportOrders { body: body("application/x-ndjson", dated_orders(cx.now)?).await }).await?.report;
    check_complete(report.failed, report.errors.first().map(|error| &error.detail))?;
    create_customer(cx).await?;
    promox.service::<Users>()?.ensure_admin(cx, ADMIN.0, ADMIN.1).await?;
    create_promotions(cx).await?;
    settle(promox, cx).await
}

/// Runs all consumers and updates the figures, so that figures and points are there when the shop opens.
async fn settle(promox: &Promox, cx: &Cx) -> Result<(), Error> {
    let (mut consumers, mut busy) = (promox.consumers(), true);
    while busy {
        busy = false;
        for consumer in &mut consumers {
            let before = consumer.position();
            while consumer.turn(promox.node()).await? {}
            busy |= consumer.position() > before;
        }
    }
    for job in promox.jobs().iter().filter(|job| job.name == FIGURES) {
        while job.run(cx.clone()).await? {}
    }
    Ok(())
}

/// Fails unless every row of a fixture was imported.
fn check_complete(failed: u64, first: Option<&String>) -> Result<(), Error> {
    first.map_or(Ok(()), |first| Err(Error::internal(format_args!("{failed} rows were refused: {first}"))))
}

async fn body(media_type: &str, text: String) -> Body {
    let (sender, reader) = BodyReader::pair();
    sender.send(Ok(Bytes::from(text))).await;
    Body { media_type: media_type.to_owned(), reader: Some(reader), headers: Vec::new() }
}

/// A category of the fixture. `below` is the slug of its parent.
#[derive(Deserialize)]
struct CategoryFixture {
    slug: String,
    name: String,
    below: Option<String>,
}

async fn create_categories(cx: &Cx) -> Result<(), Error> {
    let fixtures: Vec<CategoryFixture> = serde_json::from_str(CATEGORIES).map_err(Error::internal)?;
    let mut ids: BTreeMap<String, CategoryId> = BTreeMap::new();
    for (position, CategoryFixture { slug, name, below }) in (0..).zip(fixtures) {
        let parent_id = below.and_then(|parent| ids.get(&parent).copied());
        let category = cx.run(CreateCategory { name, slug: Some(slug.clone()), parent_id, position }).await?;
        ids.insert(slug, category.id);
    }
    Ok(())
}

async fn set_stock(cx: &Cx) -> Result<(), Error> {
    let units: BTreeMap<String, u32> = serde_json::from_str(STOCK).map_err(Error::internal)?;
    let mut items = Vec::with_capacity(units.len());
    for (sku, on_hand) in units {
        items.push(StockCount { sku: sku.parse::<Sku>().map_err(Error::internal)?, on_hand });
    }
    cx.run(SetStock { items }).await.map(drop)
}

/// The past orders as NDJSON, with dates relative to `now`.
fn dated_orders(now: Timestamp) -> Result<String, Error> {
    let midnight = now - (Duration::from_micros(u64::try_from(now.0).unwrap_or(0)).saturating_sub(days(now)));
    let mut text = String::new();
    for line in ORDERS.lines() {
        let mut order: Map<String, Value> = serde_json::from_str(line).map_err(Error::internal)?;
        let ago = order.remove("daysAgo").and_then(|ago| ago.as_u64()).unwrap_or(0);
        let time = order.remove("time").and_then(|time| time_of_day(time.as_str()?)).unwrap_or_default();
        let date = midnight - Duration::from_secs(ago * DAY) + time;
        order.insert("date".to_owned(), date.to_string().into());
        text = text + &Value::Object(order).to_string() + "\n";
    }
    Ok(text)
}

/// The time from 1970 to the last midnight, UTC.
fn days(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0) / DAY * DAY)
}

fn time_of_day(text: &str) -> Option<Duration> {
    let on_the_first_day: Timestamp = format!("1970-01-01T{text}Z").parse().ok()?;
    Some(on_the_first_day.since(Timestamp::EPOCH))
}

/// Creates the promotions and their coupons, and activates them.
async fn create_promotions(cx: &Cx) -> Result<(), Error> {
    let promotions: Vec<Value> = serde_json::from_str(PROMOTIONS).map_err(Error::internal)?;
    for mut promotion in promotions {
        let coupons = promotion.as_object_mut().and_then(|members| members.remove("coupons"));
        let id = cx.run(parse::<CreatePromotion>(&promotion)?).await?.id;
        cx.run(ActivatePromotion { id }).await?;
        let coupons: Vec<Map<String, Value>> =
            serde_json::from_value(coupons.unwrap_or_else(|| Value::Array(Vec::new()))).map_err(Error::internal)?;
        for mut coupon in coupons {
            coupon.insert("promotionId".to_owned(), id.0.into());
            cx.run(parse::<CreateCoupon>(&Value::Object(coupon))?).await?;
        }
    }
    Ok(())
}

/// Creates a customer, the store's first user, with an address and two orders: one delivered, one just paid.
async fn create_customer(cx: &Cx) -> Result<(), Error> {
    let fixture: Customer = serde_json::from_str(CUSTOMER).map_err(Error::internal)?;
    let account = Cx { principal: Principal::Anonymous, ..cx.clone() };
    let user = account.run(parse::<Register>(&fixture.account)?).await?.user.id;
    let own = Cx { principal: logged_in(user), ..cx.clone() };
    own.run(parse::<CreateAddress>(&fixture.address)?).await?;
    let mut placed = Vec::new();
    for order in &fixture.orders {
        placed.push(own.run(parse::<PlaceOrder>(order)?).await?.id);
    }
    if let Some(id) = placed.first().copied() {
        let (carrier, tracking_number) = ("Royal Mail".to_owned(), "RM 1843 2710 9GB".to_owned());
        let parcel = cx.run(ShipOrder { id, items: None, carrier, tracking_number, confirm: false }).await?;
        cx.run(DeliverFulfilment { id, fid: parcel.id }).await?;
    }
    Ok(())
}

/// The fixture of the customer.
#[derive(Deserialize)]
struct Customer {
    account: Value,
    address: Value,
    orders: Vec<Value>,
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Error> {
    bind_json(value.to_string().as_bytes())
}

fn logged_in(id: UserId) -> Principal {
    Principal::User { id, session: 0, permissions: Arc::default() }
}
