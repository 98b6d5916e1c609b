//! The floors of a shop: what an order may cost, each figure beside its floor, from one run over HTTP.
//!
//! The figures of one order alone, of orders at 64 connections, of mail, of memory and of a restart. The same load on a
//! memory file system shows what syncs and checkpoints cost.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{self, Connection, Request};
use super::server::{Program, Server};
use super::shop::PRODUCTS;
use crate::latency::Latencies;
use crate::storage::raw;

/// A memory file system, on which syncs cost nothing.
const UNSYNCED: &str = "/dev/shm";
/// Orders whose mail is waited for.
const BURST: u64 = 10_000;
/// How long the consumers of a load's events have to catch up.
const SETTLE: Duration = Duration::from_secs(3);
/// The longest wait for mail.
const PATIENCE: Duration = Duration::from_secs(120);
const CONNECTIONS: usize = 64;

/// The table of floors.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of the load at 64 connections.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

/// A figure in hundredths of its unit.
pub(super) struct Figure {
    name: &'static str,
    measured: u64,
    floor: u64,
    /// Whether more is better.
    more: bool,
}

impl Figure {
    pub(super) fn at_most(name: &'static str, measured: u64, floor: u64) -> Self {
        Self { name, measured, floor, more: false }
    }

    pub(super) fn at_least(name: &'static str, measured: u64, floor: u64) -> Self {
        Self { name, measured, floor, more: true }
    }

    pub(super) fn print(&self) {
        let Self { name, measured, floor, more } = *self;
        let met = if more { measured >= floor } else { measured <= floor };
        let sign = if more { "≥" } else { "≤" };
        let (measured, floor) = (hundredths(measured), hundredths(floor));
        println!("{name:<66} {measured:>12}   {sign} {floor:<10} {}", if met { "met" } else { "missed" });
    }
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

/// `value ÷ by` in hundredths.
pub(super) fn ratio(value: impl Into<u128>, by: impl Into<u128>) -> u64 {
    u64::try_from(value.into() * 100 / by.into().max(1)).unwrap_or(u64::MAX)
}

/// What a server has counted so far.
#[derive(Clone, Copy)]
struct Counts {
    groups: u64,
    journal_bytes: u64,
    written_bytes: u64,
    writer: Duration,
}

impl Counts {
    async fn of(server: &Server) -> Result<Self, Box<dyn Error>> {
        let mut connection = Connection::open(server.address).await?;
        let admin = server.log_in().await?;
        let request = Request::with_body("GET", "/actuator/prometheus", &admin.0, "");
        let status = connection.send(&request).await?;
        let text = String::from_utf8_lossy(connection.body()).into_owned();
        let metric = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {name} in the metrics ({status})"))
        };
        Ok(Self {
            groups: metric("promox_store_groups_total")?,
            journal_bytes: metric("promox_store_journal_bytes_total")?,
            written_bytes: server.written_bytes()?,
            writer: server.thread_time("writer")?,
        })
    }
}

pub(super) fn order(n: u64) -> Request {
    Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)])
}

/// Sends orders numbered from `from`; all must be answered 2xx.
pub(super) async fn orders(
    server: &Server,
    connections: usize,
    span: Duration,
    count: u64,
    from: u64,
) -> Result<Latencies, Box<dyn Error>> {
    let load = client::load(server.address, connections, span, count, &move |n| order(n + from)).await?;
    if load.failed > 0 {
        return Err(format!("{} orders were not answered 2xx", load.failed).into());
    }
    Ok(load.latencies)
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    println!("{:<66} {:>12}   {:<12}", "", "measured", "floor");
    let span = Duration::from_secs(options.seconds);
    let raw = raw::append_and_sync(tempfile::tempdir()?.path(), Duration::from_secs(2))?.per_mille(500);
    let server = Server::start().await?;
    tokio::time::sleep(SETTLE).await;
    Figure::at_most("empty shop: resident after 3 s, MiB", server.resident_mib()? * 100, 3_000).print();
    Figure::at_most("empty shop: at its most while it started, MiB", server.peak_mib()? * 100, 4_000).print();
    server.fill(PRODUCTS).await?;
    alone(&server, raw).await?;
    let rate = together(&server, span).await?;
    mail(&server).await?;
    let server = server.kill_and_restart().await?;
    Figure::at_most("ready after kill -9, ms", millis(server.ready_after) * 100, 50_000).print();
    drop(server);
    unsynced(span / 4, rate).await
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// One order after another on one connection.
async fn alone(server: &Server, raw: Duration) -> Result<(), Box<dyn Error>> {
    orders(server, 1, Duration::from_secs(2), u64::MAX, 1 << 40).await?;
    tokio::time::sleep(SETTLE).await;
    let before = Counts::of(server).await?;
    let mut latencies = orders(server, 1, Duration::from_secs(5), u64::MAX, 2 << 40).await?;
    tokio::time::sleep(SETTLE).await;
    let after = Counts::of(server).await?;
    let p50 = latencies.per_mille(500);
    println!("an order alone: p50 {} µs; 4 KiB appended and synced: p50 {} µs", p50.as_micros(), raw.as_micros());
    Figure::at_most("order alone, p50 ÷ 4 KiB appended and synced", ratio(p50.as_nanos(), raw.as_nanos()), 600).print();
    let groups = ratio(after.groups - before.groups, latencies.count() as u64);
    Figure::at_most("order alone, syncs with all that follows", groups, 300).print();
    Ok(())
}

/// Orders on 64 connections; their rate.
async fn together(server: &Server, span: Duration) -> Result<u64, Box<dyn Error>> {
    orders(server, CONNECTIONS, Duration::from_secs(3), u64::MAX, 3 << 40).await?;
    let before = Counts::of(server).await?;
    let started = Instant::now();
    let mut latencies = orders(server, CONNECTIONS, span, u64::MAX, 4 << 40).await?;
    let rate = ratio(u128::from(latencies.count() as u64) * 1_000, started.elapsed().as_millis()) / 100;
    mailed(server).await?;
    let after = Counts::of(server).await?;
    let count = latencies.count() as u64;
    let (p50, p99) = (latencies.per_mille(500), latencies.per_mille(990));
    println!("orders at 64 connections: {rate}/s, p50 {} µs, p99 {} µs", p50.as_micros(), p99.as_micros());
    Figure::at_most("orders at 64: p99 ÷ p50", ratio(p99.as_nanos(), p50.as_nanos()), 250).print();
    let writer = after.writer.saturating_sub(before.writer).as_nanos() / 10 / u128::from(count);
    Figure::at_most("orders at 64: writer's CPU an order, µs", u64::try_from(writer)?, 4_500).print();
    let journal = (after.journal_bytes - before.journal_bytes) * 100 / count;
    Figure::at_most("orders at 64: bytes of journal an order, with its mail", journal, 500_000).print();
    let written = (after.written_bytes - before.written_bytes) * 100 / count;
    println!("{:<66} {:>12}", "orders at 64: bytes written an order, with its mail", hundredths(written));
    Ok(rate)
}

/// A burst of orders, and how long their mail takes afterwards.
async fn mail(server: &Server) -> Result<(), Box<dyn Error>> {
    mailed(server).await?;
    orders(server, CONNECTIONS, Duration::MAX, BURST, 5 << 40).await?;
    let waited = mailed(server).await?;
    Figure::at_most("mail of 10,000 orders sent after the last order, s", millis(waited) / 10, 1_000).print();
    Ok(())
}

/// Waits until no more mail is written; how long that took.
async fn mailed(server: &Server) -> Result<Duration, Box<dyn Error>> {
    let (started, mut last, mut quiet) = (Instant::now(), (0, Duration::ZERO), Duration::ZERO);
    while quiet < Duration::from_secs(2) {
        if started.elapsed() > PATIENCE {
            println!("the queue of mail was not empty after {PATIENCE:?}");
            return Ok(PATIENCE);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        let files = server.mail_files()?;
        if files > last.0 {
            last = (files, started.elapsed());
        }
        quiet = started.elapsed().saturating_sub(last.1);
    }
    Ok(last.1)
}

/// The same load where a sync costs nothing and no checkpoint falls due, against `rate`.
async fn unsynced(span: Duration, rate: u64) -> Result<(), Box<dyn Error>> {
    if !Path::new(UNSYNCED).is_dir() {
        println!("no {UNSYNCED}: the load without syncs is left out");
        return Ok(());
    }
    let mut program = Program::built_here()?;
    program.set("storage.checkpoint_mib", "1024");
    program.set("storage.checkpoint_seconds", "3600");
    program.set("storage.memory_mib", "8192");
    let server = Server::start_in(program, Path::new(UNSYNCED)).await?;
    server.fill(PRODUCTS).await?;
    orders(&server, CONNECTIONS, Duration::from_secs(3), u64::MAX, 6 << 40).await?;
    let started = Instant::now();
    let free = orders(&server, CONNECTIONS, span, u64::MAX, 7 << 40).await?.count() as u128;
    let free = free * 1_000 / started.elapsed().as_millis().max(1);
    println!("the same without syncs and checkpoints: {free}/s");
    let name = "orders at 64: rate ÷ rate without syncs and checkpoints";
    Figure::at_least(name, ratio(rate, free), 85).print();
    Ok(())
}
