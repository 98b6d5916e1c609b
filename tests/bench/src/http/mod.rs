//! The server over HTTP: a separate process on a fresh directory, loaded from this one, compared with a bare hyper
//! server.

mod client;
pub(crate) mod compare;
pub(crate) mod floors;
pub(crate) mod gateway;
mod hello;
pub(crate) mod instructions;
pub(crate) mod long_runs;
pub(crate) mod promotions;
mod server;
pub(crate) mod serving;
pub(crate) mod shelf;
mod shop;
pub(crate) mod sizes;

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;

use crate::latency::Latencies;
use client::{Connection, Request};
use server::Server;

/// Time after which a first start has freed the memory that hashing the administrator's password takes.
const SETTLING_TIME: Duration = Duration::from_secs(3);

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Products in the catalog.
    #[arg(long, default_value_t = 5_000)]
    products: u64,
    /// Number of past orders to import first.
    #[arg(long, default_value_t = 0)]
    orders: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let (span, products) = (Duration::from_secs(options.seconds), options.products);
    let hello = hello::Hello::start()?;
    let mut lines = vec![measure("bare hyper hello", hello.address(), 64, span, |_| Request::get("/")).await?];
    drop(hello);
    let server = Server::start().await?;
    let (ready, at_once) = (server.ready_after.as_millis(), server.resident_mib()?);
    tokio::time::sleep(SETTLING_TIME).await;
    let later = server.resident_mib()?;
    println!("empty shop: ready after {ready} ms, {at_once} MiB resident at once, {later} MiB {SETTLING_TIME:?} later");
    server.fill(products).await?;
    let address = server.address;
    let order = move |n: u64| Request::order(n, &[(n * 31 % products, 1), (n * 17 % products, 2)]);
    if options.orders > 0 {
        let started = Instant::now();
        server.import_orders(options.orders, products).await?;
        println!("{} past orders imported in {} s", options.orders, started.elapsed().as_secs());
    }
    let product = move |n: u64| Request::get(&format!("/api/products/{}", n % products + 1));
    lines.push(measure("GET /api/products/{id}", address, 64, span, product).await?);
    lines.push(measure("GET /api/products (20)", address, 64, span, |_| Request::get("/api/products")).await?);
    let search = move |n: u64| Request::get(&format!("/api/products?q=product%20{}", n * 7919 % products));
    lines.push(measure("GET /api/products?q=", address, 16, span, search).await?);
    lines.push(measure("POST /api/orders, 2 lines, alone", address, 1, span, move |n| order(n + (1 << 40))).await?);
    lines.push(measure("POST /api/orders, 2 lines", address, 64, span, order).await?);
    println!("{}", Latencies::heading());
    lines.iter().for_each(|line| println!("{line}"));
    println!("675 lines in one order: {} ms", long_order(address, products).await?.as_millis());
    println!("after the load: {} MiB resident", server.resident_mib()?);
    let ready = server.kill_and_restart().await?;
    println!("ready {} ms after kill -9, {} MiB resident", ready.ready_after.as_millis(), ready.resident_mib()?);
    Ok(())
}

/// The latency of an order of 675 lines.
async fn long_order(address: SocketAddr, products: u64) -> Result<Duration, Box<dyn Error>> {
    let lines: Vec<(u64, u32)> = (0..675.min(products)).map(|n| (n, 1)).collect();
    let request = Request::order(1 << 50, &lines);
    let mut connection = Connection::open(address).await?;
    let started = Instant::now();
    match connection.send(&request).await? {
        201 => Ok(started.elapsed()),
        status => Err(format!("the order was answered {status}").into()),
    }
}

/// Sends requests on a number of connections for `span`, after a fifth of it to warm up. Returns the line of the table.
async fn measure(
    name: &str,
    address: SocketAddr,
    connections: usize,
    span: Duration,
    request: impl Fn(u64) -> Request + Copy + 'static,
) -> Result<String, Box<dyn Error>> {
    let warm = client::load(address, connections, span / 5, u64::MAX, &request).await?;
    let done = u64::try_from(warm.latencies.count())? + warm.failed;
    let started = Instant::now();
    let mut load = client::load(address, connections, span, u64::MAX, &move |n| request(n + done)).await?;
    let line = load.latencies.line(&format!("{name} × {connections}"), started.elapsed());
    Ok(if load.failed == 0 { line } else { format!("{line}   {} not 2xx", load.failed) })
}
