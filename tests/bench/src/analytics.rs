//! Analytics over many orders: the rate of event processing, and the latencies of the dashboard afterwards.
//!
//! A simulated order service computes each order from its number, so that only analytics and its store are measured.
//! The orders are spread evenly over three years, and pseudo-randomly over customers and products.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use promox_analytics::Analytics;
use promox_analytics::api::{GetSummary, ListSeries, ListTopProducts};
use promox_contract::ids::OrderId;
use promox_contract::order::{
    FigureLine, ListOrderFigures, OrderFigure, OrderFigureList, OrderImported, OrderStatus, Totals,
};
use promox_contract::order_line::OrderLine;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_embedded::{EmbeddedEngine, Options as StoreOptions};
use promox_kernel::{Amount, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Registry, Timestamp, bind_json};
use promox_storage::{Database, Db, EventLog, Schema, Service};

use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;

/// Time of the first order, in seconds since the Unix epoch.
const START: i64 = 1_577_836_800;
/// Seconds over which the orders are spread: three years.
const SPAN: i64 = 3 * 365 * 86_400;
/// Periods of which [`summaries_of`] measures the summary.
const RANDOM_PERIODS: i64 = 100;
/// Events that one transaction emits.
const EVENTS_PER_TRANSACTION: i64 = 5_000;

/// Options of the benchmark.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Number of orders.
    #[arg(long, default_value_t = 1_000_000)]
    orders: i64,
    /// Lines of each order.
    #[arg(long, default_value_t = 3)]
    lines: u64,
    /// Number of products.
    #[arg(long, default_value_t = 4_000)]
    products: u64,
    /// Number of customers.
    #[arg(long, default_value_t = 200_000)]
    customers: u64,
    /// Number of times each query is sent.
    #[arg(long = "asks", value_name = "ASKS", default_value_t = 200)]
    repetitions: usize,
    /// Where to put the files; a directory below it is created and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

/// A simulated order service that computes each order from its number.
struct SimulatedOrders {
    orders: i64,
    lines: u64,
    products: u64,
    customers: u64,
}

impl SimulatedOrders {
    fn order(&self, id: OrderId) -> Result<OrderFigure, Error> {
        let random = |salt: u64, below: u64| {
            let mixed = (id.0.cast_unsigned() ^ (salt << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) % below
        };
        let price = |salt| Currency::GBP.exact(format!("{}.99", 1 + random(salt, 90)).parse()?);
        let line = |n: u64| {
            let price = price(100 + n)?;
            let line = OrderLine {
                sku: format!("SKU-{}", random(n, self.products)).parse()?,
                variant_id: None,
                product_id: None,
                name: String::from("A product"),
                quantity: 1,
                unit_price: price,
                list_price: price,
                flash_sale_id: None,
                subtotal: price,
                discount: Amount::ZERO,
                discounts: Vec::new(),
                tax: Amount::ZERO,
                total: price,
            };
            Ok::<_, String>(FigureLine { line, campaign_id: None })
        };
        let lines = (0..self.lines).map(line).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let subtotal = lines.iter().map(|line| line.line.subtotal).sum();
        let zero = Amount::ZERO;
        Ok(OrderFigure {
            id,
            status: OrderStatus::Delivered,
            user_id: None,
            customer: format!("customer:{}", random(7, self.customers)),
            currency: Currency::GBP,
            prices_include_tax: true,
            lines,
            totals: Totals {
                subtotal,
                discount: zero,
                shipping: zero,
                shipping_discount: zero,
                tax: zero,
                points_redeemed: 0,
                points_value: zero,
                total: subtotal,
            },
            uses: Vec::new(),
            refunds: Vec::new(),
            returned: Amount::ZERO,
            imported: true,
            placed_at: Timestamp::from_seconds(START + SPAN / self.orders * id.0),
        })
    }
}

impl Handle<ListOrderFigures> for SimulatedOrders {
    async fn handle(&self, _: &Cx, op: ListOrderFigures) -> Result<OrderFigureList, Error> {
        let items = op.ids.into_iter().map(|id| self.order(id)).collect::<Result<_, _>>()?;
        Ok(OrderFigureList { items })
    }
}

impl Handle<GetStoreProfile> for SimulatedOrders {
    async fn handle(&self, _: &Cx, _: GetStoreProfile) -> Result<StoreProfile, Error> {
        let (name, timezone, locale) = (String::new(), "Europe/London".to_owned(), "en".to_owned());
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

/// Runs the benchmark and prints its table.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(&options.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(options, &dir.path().join("store")))
}

async fn measure(options: &Options, path: &std::path::Path) -> Result<(), Failure> {
    let Options { orders, lines, products, customers, .. } = *options;
    let figures = Figures::open(path, SimulatedOrders { orders, lines, products, customers }).await?;
    let rate = u128::try_from(orders)? * 1_000_000 / figures.took.as_micros().max(1);
    println!("{orders} orders of {lines} lines processed in {} ms, {rate} a second", figures.took.as_millis());
    println!("{}", Latencies::heading());
    for (name, query) in [
        ("summary of all three years", r#"{"from":"2020-01-01","to":"2023-01-01"}"#),
        ("summary of a year from minute to minute", r#"{"from":"2020-07-03T10:17","to":"2021-07-03T15:43"}"#),
        ("summary of 30 days", r#"{"from":"2021-06-01","to":"2021-07-01"}"#),
        ("summary of 30 days from minute to minute", r#"{"from":"2021-06-01T10:17","to":"2021-07-01T15:43"}"#),
    ] {
        figures.measure::<GetSummary>(options.repetitions, name, query).await?;
    }
    let days = r#"{"metric":"revenue","granularity":"day","from":"2021-01-01","to":"2022-01-01"}"#;
    figures.measure::<ListSeries>(options.repetitions, "revenue by day over a year", days).await?;
    let top = r#"{"from":"2020-01-01","to":"2023-01-01","limit":50}"#;
    figures.measure::<ListTopProducts>(options.repetitions, "50 top products of three years", top).await
}

/// Analytics that has followed all simulated orders.
struct Figures {
    node: Arc<Node>,
    /// How long it took to follow them.
    took: Duration,
}

impl Figures {
    async fn open(path: &std::path::Path, simulated: SimulatedOrders) -> Result<Self, Failure> {
        let engine = EmbeddedEngine::open(StoreOptions::new(path), Schema::new([Analytics::TABLES])?)?;
        let (shop, promox) = (engine.database(Database::Ecommerce), engine.database(Database::Promox));
        let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
        let analytics = Analytics::new(promox, EventLog::of(&shop));
        let orders = simulated.orders;
        let simulated = Arc::new(simulated);
        let mut registry = Registry::default();
        analytics.register(&mut registry);
        registry.register::<ListOrderFigures, _>(&simulated);
        registry.register::<GetStoreProfile, _>(&simulated);
        node.install(registry);
        emit_orders(&node, &shop, orders).await?;
        let job = analytics.jobs().into_iter().find(|job| job.name == "analytics.follow");
        let job = job.ok_or("there is no job analytics.follow")?;
        let started = Instant::now();
        while job.run(cx(&node)).await? {}
        Ok(Self { node, took: started.elapsed() })
    }

    /// Measures a query and prints its line.
    async fn measure<O: Op>(&self, repetitions: usize, name: &str, json: &str) -> Result<(), Failure> {
        let mut latencies = Latencies::default();
        let started = Instant::now();
        for _ in 0..repetitions {
            latencies.add(self.ask::<O>(json).await?);
        }
        println!("{}", latencies.line(name, started.elapsed()));
        Ok(())
    }

    /// Sends a query and returns its latency.
    async fn ask<O: Op>(&self, json: &str) -> Result<Duration, Failure> {
        let sent = Instant::now();
        cx(&self.node).call(bind_json::<O>(json.as_bytes())?).await?;
        Ok(sent.elapsed())
    }
}

/// The median latency of the dashboard's summary of `many` orders and of `few`, over periods with random bounds. The
/// queries alternate, so that both have the same conditions.
pub(crate) async fn summaries_of(many: i64, few: i64, dir: &std::path::Path) -> Result<[Duration; 2], Failure> {
    let dir = tempfile::tempdir_in(dir)?;
    let simulated = |orders| SimulatedOrders { orders, lines: 3, products: 4_000, customers: 200_000 };
    let many = Figures::open(&dir.path().join("many"), simulated(many)).await?;
    let few = Figures::open(&dir.path().join("few"), simulated(few)).await?;
    let mut latencies = [Latencies::default(), Latencies::default()];
    for n in 0..RANDOM_PERIODS {
        let query = random_period(n);
        for (figures, latencies) in [&many, &few].into_iter().zip(&mut latencies) {
            // The first query reads rows from the disk.
            figures.ask::<GetSummary>(&query).await?;
            for _ in 0..3 {
                latencies.add(figures.ask::<GetSummary>(&query).await?);
            }
        }
    }
    Ok(latencies.map(|mut latencies| latencies.per_mille(500)))
}

/// A query for the summary of the `n`-th of many periods, from minute to minute.
fn random_period(n: i64) -> String {
    let minute = |salt: i64| {
        let mixed = ((n << 20) ^ salt).wrapping_mul(0x5851_F42D_4C95_7F2D);
        START + (mixed ^ (mixed >> 31)).rem_euclid(SPAN / 60) * 60
    };
    let (a, b) = (minute(1), minute(2));
    let (from, to) = (Timestamp::from_seconds(a.min(b)), Timestamp::from_seconds(a.max(b) + 60));
    format!(r#"{{"from":"{from}","to":"{to}"}}"#)
}

fn cx(node: &Arc<Node>) -> Cx {
    Cx::system(node, "bench", Duration::from_secs(3600))
}

/// Emits an event for every order.
async fn emit_orders(node: &Arc<Node>, shop: &Db, orders: i64) -> Result<(), Failure> {
    for first in (1..=orders).step_by(usize::try_from(EVENTS_PER_TRANSACTION)?) {
        let last = (first + EVENTS_PER_TRANSACTION - 1).min(orders);
        let emit = move |tx: &mut promox_storage::Tx<'_>| {
            (first..=last).try_for_each(|id| tx.emit(id, &OrderImported { order_id: OrderId(id) }))
        };
        shop.write(&cx(node), emit).await?;
    }
    Ok(())
}
