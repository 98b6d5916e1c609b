//! Checkouts alone and beside each of the operator's long tasks, in one run: verification, backup and export.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{self, Connection, Request};
use super::server::Server;
use super::shop::PRODUCTS;
use crate::latency::Latencies;

/// How long checkouts are sent between two looks at the task.
const TURN: Duration = Duration::from_millis(500);

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of past orders to import first.
    #[arg(long, default_value_t = 100_000)]
    orders: u64,
    /// Number of connections that send checkouts.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of checkouts alone, and the least beside each task, which is repeated until then.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let server = Server::start().await?;
    server.fill(PRODUCTS).await?;
    let started = Instant::now();
    server.import_orders(options.orders, PRODUCTS).await?;
    println!("{} past orders imported in {} s", options.orders, started.elapsed().as_secs());
    let bench = Bench { server, connections: options.connections, span: Duration::from_secs(options.seconds) };
    let mut sent = 0;
    bench.checkouts(bench.span / 4, &mut sent).await?;
    println!("{}   {:>9}", Latencies::heading(), "p99 ratio");
    for (name, body) in [
        ("verify", r#"{"kind":"VERIFY"}"#),
        ("backup", r#"{"kind":"BACKUP"}"#),
        ("export of orders", r#"{"kind":"EXPORT","content":"ORDERS"}"#),
    ] {
        let (mut alone, took) = bench.checkouts(bench.span, &mut sent).await?;
        println!("{}", alone.line("checkouts alone", took));
        bench.beside(name, body, alone.per_mille(990), &mut sent).await?;
    }
    println!("at its most: {} MiB resident", bench.server.peak_mib()?);
    Ok(())
}

struct Bench {
    server: Server,
    connections: usize,
    span: Duration,
}

impl Bench {
    /// Sends checkouts for `span`; all must be answered 2xx. Returns their latencies and how long they took.
    async fn checkouts(&self, span: Duration, sent: &mut u64) -> Result<(Latencies, Duration), Box<dyn Error>> {
        let (first, started) = (*sent, Instant::now());
        let order = move |n: u64| {
            let n = n + first;
            Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)])
        };
        let load = client::load(self.server.address, self.connections, span, u64::MAX, &order).await?;
        *sent += load.latencies.count() as u64;
        match load.failed {
            0 => Ok((load.latencies, started.elapsed())),
            failed => Err(format!("{failed} checkouts were not answered 2xx").into()),
        }
    }

    /// Sends checkouts while runs of a kind follow one another, and prints their latencies and those of the runs.
    async fn beside(&self, name: &str, body: &str, alone: Duration, sent: &mut u64) -> Result<(), Box<dyn Error>> {
        let (mut latencies, mut took, mut runs) = (Latencies::default(), Duration::ZERO, Vec::new());
        let (bytes, cpu) = (self.server.store_bytes()?, self.server.cpu_time()?);
        let mut progress = String::new();
        while took < self.span {
            let (admin, started) = (self.server.log_in().await?, Instant::now());
            let mut connection = Connection::open(self.server.address).await?;
            let json = format!("{}content-type: application/json\r\n", admin.0);
            let started_run = connection.send(&Request::with_body("POST", "/api/ops/runs", &json, body)).await?;
            let text = String::from_utf8_lossy(connection.body()).into_owned();
            let id = member(&text, "\"id\":").ok_or_else(|| format!("the run was answered {started_run}: {text}"))?;
            let get = Request::with_body("GET", &format!("/api/ops/runs/{id}"), &admin.0, "");
            loop {
                let (turn, span) = self.checkouts(TURN, sent).await?;
                latencies.merge(turn);
                took += span;
                connection.send(&get).await?;
                let text = String::from_utf8_lossy(connection.body()).into_owned();
                match member(&text, "\"state\":\"").as_deref() {
                    Some("QUEUED" | "RUNNING") => {}
                    Some("DONE") => {
                        progress = member(&text, "\"done\":").unwrap_or_default();
                        break;
                    }
                    _ => return Err(format!("the run has not succeeded: {text}").into()),
                }
            }
            runs.push(started.elapsed());
        }
        let ratio = latencies.per_mille(990).as_nanos() * 100 / alone.as_nanos().max(1);
        let line = latencies.line(&format!("checkouts beside {name}"), took);
        println!("{line}   {:>6}.{:02}", ratio / 100, ratio % 100);
        let longest = runs.iter().max().copied().unwrap_or_default();
        let grown = self.server.store_bytes()?.saturating_sub(bytes) >> 20;
        let cpu = self.server.cpu_time()?.saturating_sub(cpu);
        println!(
            "  {} runs of {progress} items, the longest {} ms; the checkpoint grew by {grown} MiB; {} ms of CPU in all",
            runs.len(),
            longest.as_millis(),
            cpu.as_millis()
        );
        Ok(())
    }
}

/// The characters after `name` in a JSON text, up to the end of a number or a text.
fn member(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(name)?;
    Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}
