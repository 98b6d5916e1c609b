//! What grows with the size of a shop: each figure beside its floor, both sides from one run.
//!
//! Searches among many products and few, the dashboard's summary of many orders and few, carts and orders of a thousand
//! lines, price rules, and everything that the promotion engine offers.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Connection, Request};
use super::floors::{Figure, ratio};
use super::server::Server;
use super::shop::{Kind, member, post};
use super::{promotions, shelf};
use crate::analytics;
use crate::latency::Latencies;

/// The orders and products of the small side.
const FEW_ORDERS: i64 = 10_000;
const FEW_PRODUCTS: u64 = 1_000;
/// The most lines of a cart.
const LINES: u64 = 1_000;
/// Measured searches on each side.
const SEARCHES: u64 = 600;
/// Measured changes of a cart, and orders.
const CHANGES: u64 = 100;
const ORDERS: u64 = 30;

/// The table of sizes.
#[derive(Args)]
pub(crate) struct Options {
    /// The sizes of the floors, a million orders and 100,000 products, instead of a tenth. Takes about ten minutes more.
    #[arg(long)]
    full: bool,
    /// Only the figures whose name contains this text.
    #[arg(long, default_value = "")]
    only: String,
    /// Seconds of each load.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Number of price rules.
    #[arg(long, default_value_t = 10_000)]
    rules: u64,
    /// Where to put the files of analytics; a directory below it is created and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let scale = if options.full { 1 } else { 10 };
    println!("{:<66} {:>12}", if options.full { "" } else { "a tenth of the full sizes" }, "measured");
    if options.wants("dashboard summary") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let [many, few] = runtime.block_on(analytics::summaries_of(1_000_000 / scale, FEW_ORDERS, &options.dir))?;
        let name = "dashboard summary, random bounds: p50 of many orders ÷ of 10,000";
        Figure::at_most(name, ratio(many.as_nanos(), few.as_nanos()), 150).print();
    }
    let products = 100_000 / u64::try_from(scale)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(over_http(options, products))
}

async fn over_http(options: &Options, products: u64) -> Result<(), Box<dyn Error>> {
    let span = Duration::from_secs(options.seconds);
    if options.wants("search") {
        let [many, few] = searches_among(products).await?;
        Figure::at_most("search: p50 among many products ÷ among 1,000", ratio(many.as_nanos(), few.as_nanos()), 300)
            .print();
    }
    if options.wants("lines") {
        lines().await?;
    }
    if options.wants("price rules") {
        for cost in shelf::costs(options.rules, span).await? {
            let (name, floor) = match cost.kind {
                Kind::Product => ("price rules: CPU of a product ÷ without rules", 130),
                Kind::List => ("price rules: CPU of a list ÷ without rules", 130),
                Kind::Cart => ("price rules: CPU of a cart ÷ without rules", 130),
                Kind::Checkout | Kind::NewCart => ("price rules: CPU of a checkout ÷ without rules", 115),
            };
            Figure::at_most(name, ratio(cost.with, cost.without), floor).print();
        }
    }
    if options.wants("promotions") {
        let name = "promotions, coupon, points, flash sale: rate ÷ plain";
        Figure::at_least(name, promotions::full_to_plain(span).await?, 60).print();
    }
    Ok(())
}

/// The median latency of searches that match one product or a few, among `products` products and among 1,000. Each is
/// sent once, since results are cached; the two sides alternate.
async fn searches_among(products: u64) -> Result<[Duration; 2], Box<dyn Error>> {
    let sides = [(Server::start().await?, products), (Server::start().await?, FEW_PRODUCTS)];
    let mut connections = Vec::new();
    for (server, products) in &sides {
        server.fill(*products).await?;
        let mut connection = Connection::open(server.address).await?;
        // The index follows within seconds.
        let last = format!("/api/products?q=product+{}", products - 1);
        while !is_found(&mut connection, &last).await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        connections.push((connection, *products));
    }
    let mut latencies = [Latencies::default(), Latencies::default()];
    for n in 0..SEARCHES {
        for ((connection, products), latencies) in connections.iter_mut().zip(&mut latencies) {
            // Numbers that no longer number begins with have one match on both sides.
            let first = *products / 10;
            let number = first + n * 7_919 % (*products - first);
            let request = Request::get(&format!("/api/products?q=product+{number}"));
            let sent = Instant::now();
            accepted(connection.send(&request).await?)?;
            latencies.add(sent.elapsed());
        }
    }
    Ok(latencies.map(|mut latencies| latencies.per_mille(500)))
}

async fn is_found(connection: &mut Connection, path: &str) -> Result<bool, Box<dyn Error>> {
    accepted(connection.send(&Request::get(path)).await?)?;
    Ok(String::from_utf8_lossy(connection.body()).contains(r#""total":1,"#))
}

/// Measures a cart and an order of a thousand lines.
async fn lines() -> Result<(), Box<dyn Error>> {
    let server = Server::start().await?;
    server.fill(LINES).await?;
    let mut connection = Connection::open(server.address).await?;
    let token = member(&post(&mut connection, "", "/api/carts", "{}").await?, "\"token\":\"")?;
    let cart = format!("x-cart-token: {token}\r\n");
    for n in 0..LINES {
        let item = format!(r#"{{"sku":"SKU-{n}","quantity":2}}"#);
        post(&mut connection, &cart, "/api/carts/current/items", &item).await?;
    }
    let headers = format!("{cart}content-type: application/json\r\n");
    let change = |n: u64| {
        let (path, body) = (format!("/api/carts/current/items/SKU-{}", n * 37 % LINES), n % 5 + 1);
        Request::with_body("PATCH", &path, &headers, &format!(r#"{{"quantity":{body}}}"#))
    };
    let changed = median(&mut connection, CHANGES, change).await?;
    Figure::at_most("a cart of 1,000 lines: change a line, µs", hundredths_of_micros(changed), 100_000).print();
    let long: Vec<(u64, u32)> = (0..LINES).map(|n| (n, 1)).collect();
    let long_order = median(&mut connection, ORDERS, |n| Request::order(n, &long)).await?;
    let short_order = median(&mut connection, ORDERS, |n| Request::order(n + ORDERS, &[(n, 1)])).await?;
    let line = long_order.saturating_sub(short_order) / u32::try_from(LINES - 1)?;
    Figure::at_most("an order of 1,000 lines: a line, µs", hundredths_of_micros(line), 1_200).print();
    Ok(())
}

/// The median latency of requests, which must be answered 2xx.
async fn median(
    connection: &mut Connection,
    count: u64,
    request: impl Fn(u64) -> Request,
) -> Result<Duration, Box<dyn Error>> {
    let mut latencies = Latencies::default();
    for n in 0..count {
        let request = request(n);
        let sent = Instant::now();
        accepted(connection.send(&request).await?)?;
        latencies.add(sent.elapsed());
    }
    Ok(latencies.per_mille(500))
}

fn accepted(status: u16) -> Result<(), Box<dyn Error>> {
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("a request was answered {status}").into()) }
}

fn hundredths_of_micros(span: Duration) -> u64 {
    u64::try_from(span.as_nanos() / 10).unwrap_or(u64::MAX)
}
