//! The store on PostgreSQL: transactions shaped like a checkout, from one and from two nodes, beside pgbench's TPC-B on
//! the same server in the same run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use promox_external::postgres::{Address, PostgresEngine, PostgresOptions};
use promox_kernel::{Clock, Cx, Entropy, Node};
use promox_servers::Postgres;
use promox_storage::{Db, Lane, StoreError};

use super::checkout::{DATABASE, USERS, place, schema, seed};
use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;

/// Options of the benchmark.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Seconds of the measurement under an open snapshot.
    #[arg(long, default_value_t = 30)]
    snapshot_seconds: u64,
    /// Where to put the server's files; a directory below it is created and removed.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
}

/// A store with two nodes in this process.
struct Bench {
    nodes: [Arc<PostgresEngine>; 2],
    cx: Cx,
    /// The next order's number.
    next: Arc<AtomicI64>,
}

/// Runs the benchmark and prints its table.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (server, span) = (Postgres::start_in(&options.dir), Duration::from_secs(options.seconds));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    pgbench(&server, &["--initialize", "--scale=10", "--quiet"])?;
    let mut bench = runtime.block_on(open(&server, true))?;
    println!("{}", Latencies::heading());
    for submitters in [1, 8, 64] {
        let (tpcb, tpcb_cpu) = tpcb(&server, submitters, span)?;
        let before = (bench.nodes[0].metrics(), busy_micros());
        let (mut latencies, took) = runtime.block_on(bench.load(submitters, 1, span))?;
        let cpu = busy_micros().saturating_sub(before.1) / (latencies.count() as u64).max(1);
        let (before, after) = (before.0, bench.nodes[0].metrics());
        let rate = rate(&latencies, took);
        println!("{}", latencies.line(&format!("checkout-shaped, {submitters} at once"), took));
        println!(
            "    {} of TPC-B's {tpcb}/s; CPU of the machine {cpu} us each, TPC-B's {tpcb_cpu}; {} a group, {} round trips \
             a group",
            ratio(rate, tpcb),
            (after.transactions - before.transactions) / (after.groups - before.groups).max(1),
            (after.round_trips - before.round_trips) / (after.groups - before.groups).max(1),
        );
    }
    let (mut two, took) = runtime.block_on(bench.load(64, 2, span))?;
    println!("{}", two.line("checkout-shaped, 64 on two nodes", took));
    snapshot(options, &server, &runtime, &mut bench)
}

/// The rate of 8 submitters while another session keeps a snapshot open.
fn snapshot(
    options: &Options,
    server: &Postgres,
    runtime: &tokio::runtime::Runtime,
    bench: &mut Bench,
) -> Result<(), Failure> {
    let sleep = format!(
        "begin isolation level repeatable read; select count(*) from orders; select pg_sleep({})",
        options.snapshot_seconds + 5
    );
    let mut open = server.program("psql").args(["--dbname=ecommerce_db", "--quiet", "-c", &sleep]).spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let part = Duration::from_secs(options.snapshot_seconds / 6);
    let mut rates = Vec::new();
    for _ in 0..6 {
        let (latencies, took) = runtime.block_on(bench.load(8, 1, part))?;
        rates.push(rate(&latencies, took));
    }
    let (first, last) = (rates.first().copied().unwrap_or(0), rates.last().copied().unwrap_or(0));
    println!("under an open snapshot, 8 at once: {first}/s at first, {last}/s at last, {}", ratio(last, first));
    open.kill()?;
    open.wait()?;
    Ok(())
}

async fn open(server: &Postgres, fill: bool) -> Result<Bench, Failure> {
    let options = PostgresOptions::new(Address::Unix(server.socket().to_owned(), 5432), "postgres");
    let node = || PostgresEngine::open(&options, &schema()?).map_err(|error| error.to_string());
    let clock = Node::new(Clock::real(Clock::wall()), Entropy::system());
    let cx = Cx::system(&clock, "bench", Duration::from_secs(3600));
    let bench = Bench { nodes: [node()?, node()?], cx, next: Arc::new(AtomicI64::new(1)) };
    if fill {
        let db = bench.db(0);
        for from in (0..USERS).step_by(1_000) {
            db.write_in(&bench.cx, Lane::Bulk, move |tx| seed(tx, from, from + 1_000)).await?;
        }
    }
    Ok(bench)
}

impl Bench {
    fn db(&self, at: usize) -> Db {
        let [first, second] = &self.nodes;
        (if at == 0 { first } else { second }).database(DATABASE)
    }

    /// Places orders from concurrent tasks on this number of nodes, and returns their latencies and the duration.
    async fn load(
        &mut self,
        submitters: usize,
        nodes: usize,
        span: Duration,
    ) -> Result<(Latencies, Duration), Failure> {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..submitters {
            let (db, cx, next) = (self.db(at % nodes), self.cx.clone(), self.next.clone());
            tasks.spawn(async move {
                let mut latencies = Latencies::default();
                while started.elapsed() < span {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let submitted = Instant::now();
                    db.write(&cx, move |tx| place(tx, id)).await?;
                    latencies.add(submitted.elapsed());
                }
                Ok::<_, StoreError>(latencies)
            });
        }
        let mut all = Latencies::default();
        while let Some(done) = tasks.join_next().await {
            all.merge(done??);
        }
        Ok((all, started.elapsed()))
    }
}

fn rate(latencies: &Latencies, took: Duration) -> u64 {
    latencies.count() as u64 * 1_000 / u64::try_from(took.as_millis()).unwrap_or(1).max(1)
}

fn ratio(one: u64, other: u64) -> String {
    format!("{}.{:02} x", one / other.max(1), one * 100 / other.max(1) % 100)
}

/// The rate of TPC-B and the machine's CPU time of a transaction in microseconds.
fn tpcb(server: &Postgres, clients: usize, span: Duration) -> Result<(u64, u64), Failure> {
    let (clients, seconds) = (format!("--client={clients}"), format!("--time={}", span.as_secs()));
    let before = busy_micros();
    let report = pgbench(server, &[&clients, &seconds, "--jobs=2", "--protocol=prepared", "--no-vacuum"])?;
    let cpu = busy_micros().saturating_sub(before);
    let tps = report.lines().find_map(|line| line.strip_prefix("tps = ")?.split(['.', ' ']).next()?.parse().ok());
    let tps: u64 = tps.ok_or("pgbench reported no rate")?;
    Ok((tps, cpu / (tps * span.as_secs()).max(1)))
}

fn pgbench(server: &Postgres, args: &[&str]) -> Result<String, Failure> {
    let output = server.program("pgbench").args(args).arg("postgres").output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// The time that all processors of the machine were busy, in microseconds.
fn busy_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let busy: u64 =
        ticks.iter().enumerate().filter(|(at, _)| ![3, 4].contains(at)).take(5).map(|(_, ticks)| ticks).sum();
    busy * 1_000_000 / rustix::param::clock_ticks_per_second()
}
