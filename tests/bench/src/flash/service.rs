//! The flash sale service in process, on the embedded store, with the inventory that allocates its stock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use promox_contract::ids::{FlashSaleId, ProductId, VariantId};
use promox_contract::product::{DescribeSkus, ResolveSkus, ResolvedSkus, SkuDescription, SkuDescriptions, VariantRef};
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_embedded::{EmbeddedEngine, Options as StoreOptions};
use promox_flashsale::FlashSales;
use promox_flashsale::api::{CreateReservation, CreateSale, SaleItemInput};
use promox_inventory::Inventory;
use promox_inventory::api::CountStock;
use promox_kernel::{
    Amount, Clock, Currency, Cx, Entropy, Error, Handle, Node, Principal, Registry, Sku, Timestamp, UserId,
};
use promox_storage::{Database, MemoryGates, Schema, Service};

use super::{LIMIT, Options, line};
use crate::cpu;
use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;

/// A simulated catalog in which every SKU exists.
struct Catalog;

impl Handle<DescribeSkus> for Catalog {
    async fn handle(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        Ok(SkuDescriptions { items: op.skus.into_iter().map(describe).collect() })
    }
}

impl Handle<GetStoreProfile> for Catalog {
    async fn handle(&self, _: &Cx, _: GetStoreProfile) -> Result<StoreProfile, Error> {
        let (name, timezone, locale) = ("Shop".to_owned(), "UTC".to_owned(), "en".to_owned());
        Ok(StoreProfile {
            name,
            currency: Currency::GBP,
            timezone,
            locale,
            ignore_plus_tags: false,
            bank_transfer: None,
        })
    }
}

impl Handle<ResolveSkus> for Catalog {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        let of = |sku: Sku| Some(VariantRef { variant_id: variant(&sku), product_id: ProductId(1), sku });
        Ok(ResolvedSkus { variants: op.skus.into_iter().map(of).collect() })
    }
}

/// The variant of a SKU: its id is the number in the SKU.
fn variant(sku: &Sku) -> VariantId {
    VariantId(sku.as_str().trim_start_matches("HOT-").parse().unwrap_or(1))
}

fn describe(sku: Sku) -> SkuDescription {
    SkuDescription {
        variant_id: variant(&sku),
        former_skus: Vec::new(),
        product_id: ProductId(1),
        name: sku.to_string(),
        sku,
        price: Amount::ZERO,
        list_price: Amount::ZERO,
        currency: Currency::GBP,
        category_ids: Vec::new(),
        attributes: BTreeMap::new(),
        tax_class: String::new(),
        weight_grams: None,
        discountable: true,
        floor_price: None,
        cost: None,
    }
}

/// Measures the service and prints its lines.
pub(super) async fn run(options: &Options, dir: &Path) -> Result<(), Failure> {
    let schema = Schema::new([Inventory::TABLES, FlashSales::TABLES])?;
    let engine = EmbeddedEngine::open(StoreOptions::new(dir.join("store")), schema)?;
    let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
    let inventory = Inventory::new(engine.database(Database::Ecommerce));
    let sales = FlashSales::new(engine.database(Database::Promox), Arc::new(MemoryGates::default()));
    let mut registry = Registry::default();
    inventory.register(&mut registry);
    sales.register(&mut registry);
    let catalog = Arc::new(Catalog);
    registry.register::<DescribeSkus, _>(&catalog);
    registry.register::<GetStoreProfile, _>(&catalog);
    registry.register::<ResolveSkus, _>(&catalog);
    node.install(registry);
    let users = Arc::new(AtomicI64::new(1));
    for buyers in &options.buyers {
        let sku: Sku = format!("HOT-{buyers}").parse()?;
        let id = create_sale(&node, &sku, options.stock).await?;
        let (before, started) = (cpu::by_thread(), Instant::now());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..*buyers {
            tasks.spawn(buyer(node.clone(), id, sku.clone(), users.clone(), started + options.span()));
        }
        let mut all = Latencies::default();
        while let Some(done) = tasks.join_next().await {
            all.merge(done??);
        }
        println!("{}", line(options, &mut all, &format!("promox: reserve, {buyers} at once"), started.elapsed()));
        println!("    CPU in us each: {}", cpu::spent_since(&before, all.count()));
    }
    Ok(())
}

/// Creates a running sale of a SKU.
async fn create_sale(node: &Arc<Node>, sku: &Sku, stock: u32) -> Result<FlashSaleId, Failure> {
    let cx = Cx::system(node, "bench", Duration::from_secs(60));
    let on_hand = i64::from(stock);
    let count = CountStock { sku: sku.clone(), on_hand, location: None, low_stock_threshold: None, backorder: None };
    cx.call(count).await?;
    let item = SaleItemInput { sku: sku.clone(), sale_price: Amount::ZERO, stock, per_user_limit: Some(LIMIT) };
    let sale = CreateSale {
        name: sku.to_string(),
        campaign_id: None,
        starts_at: cx.now,
        ends_at: cx.now + Duration::from_secs(3600),
        items: vec![item],
        reservation_ttl_seconds: None,
    };
    Ok(cx.call(sale).await?.id)
}

/// Reserves a unit for one buyer after another, until the time is up or everything is sold.
async fn buyer(
    node: Arc<Node>,
    id: FlashSaleId,
    sku: Sku,
    users: Arc<AtomicI64>,
    until: Instant,
) -> Result<Latencies, Error> {
    let (mut latencies, permissions) = (Latencies::default(), Arc::new(BTreeSet::new()));
    while Instant::now() < until {
        let user = UserId(users.fetch_add(1, Ordering::Relaxed));
        let principal = Principal::User { id: user, session: 1, permissions: permissions.clone() };
        let cx = Cx { principal, ..Cx::system(&node, "bench", Duration::from_secs(60)) };
        let started = Instant::now();
        match node.registry()?.call(cx, CreateReservation { id, sku: sku.clone(), quantity: 1 }).await {
            Ok(_) => latencies.add(started.elapsed()),
            Err(error) if error.code() == "SOLD_OUT" => break,
            Err(error) => return Err(error),
        }
    }
    Ok(latencies)
}
