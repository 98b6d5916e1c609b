//! The embedded store under load, through `Db` as services use it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use promox_embedded::{EmbeddedEngine, Options as StoreOptions};
use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};
use promox_storage::{Db, Lane, StoreError};

use super::checkout::{DATABASE, Stock, USERS, place, schema, seed};
use super::{Options, reads};
use crate::cpu;
use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;

struct Bench {
    engine: Arc<EmbeddedEngine>,
    db: Db,
    cx: Cx,
    /// The next order's number.
    next: Arc<AtomicI64>,
}

/// Measures the store and prints its lines.
pub(crate) fn run(options: &Options, dir: &Path, raw: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let path = dir.join("store");
    let mut bench = runtime.block_on(open(options, &path))?;
    let mut alone = runtime.block_on(bench.one_row(options.span()))?;
    println!("{}", alone.line("store: one row, alone", options.span()));
    println!("    p50 is {} % of the raw one", alone.per_mille(500).as_micros() * 100 / raw.as_micros().max(1));
    for submitters in &options.submitters {
        let before = (bench.engine.metrics(), cpu::by_thread());
        let (mut latencies, took) = runtime.block_on(bench.load(*submitters, options.span()))?;
        println!("{}", latencies.line(&format!("store: checkout, {submitters} at once"), took));
        println!("    CPU in us each: {}", cpu::spent_since(&before.1, latencies.count()));
        let (before, after) = (before.0, bench.engine.metrics());
        let groups = (after.groups - before.groups).max(1);
        println!(
            "    {} a group, {} checkpoints, the newest took {} ms, sync {} us a group, {} MiB resident",
            (after.transactions - before.transactions) / groups,
            after.checkpoints - before.checkpoints,
            after.last_checkpoint.as_millis(),
            after.sync_total.saturating_sub(before.sync_total).as_micros() / u128::from(groups),
            resident_mib(),
        );
    }
    reads::run(&bench.engine, bench.next.load(Ordering::Relaxed), options.span())?;
    reopen(options, &path, bench)
}

async fn open(options: &Options, path: &Path) -> Result<Bench, Failure> {
    let started = Instant::now();
    let engine = EmbeddedEngine::open(store_options(options, path), schema()?)?;
    println!("store: created in {} ms, {} MiB resident", started.elapsed().as_millis(), resident_mib());
    let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
    let cx = Cx::system(&node, "bench", Duration::from_secs(3600));
    let db = engine.database(DATABASE);
    let bench = Bench { engine, db, cx, next: Arc::new(AtomicI64::new(1)) };
    for from in (0..USERS).step_by(1_000) {
        bench.bulk(move |tx| seed(tx, from, from + 1_000)).await?;
    }
    let started = Instant::now();
    for from in (1..=options.orders).step_by(200) {
        bench.bulk(move |tx| (from..from + 200).try_for_each(|id| place(tx, id))).await?;
        bench.next.store(from + 200, Ordering::Relaxed);
    }
    if options.orders > 0 {
        let (took, length) = (started.elapsed().as_millis(), std::fs::metadata(path.join("data.redb"))?.len() >> 20);
        println!("store: {} orders placed in {took} ms, data.redb of {length} MiB", options.orders);
    }
    Ok(bench)
}

fn store_options(options: &Options, path: &Path) -> StoreOptions {
    StoreOptions::new(path).checkpoint_after(options.checkpoint_mib << 20)
}

/// Drops the store without an orderly stop, as a killed process would, and measures opening it again.
fn reopen(options: &Options, path: &Path, bench: Bench) -> Result<(), Failure> {
    drop(bench);
    let started = Instant::now();
    let engine = EmbeddedEngine::open(store_options(options, path), schema()?)?;
    println!("store: opened again in {} ms, {} MiB resident", started.elapsed().as_millis(), resident_mib());
    drop(engine);
    Ok(())
}

impl Bench {
    /// Writes in the bulk lane, and retries while the store is busy.
    async fn bulk(
        &self,
        work: impl Fn(&mut promox_storage::Tx<'_>) -> Result<(), StoreError> + Send + Clone + 'static,
    ) -> Result<(), StoreError> {
        while let Err(error) = self.db.write_in(&self.cx, Lane::Bulk, work.clone()).await {
            if error != StoreError::Busy {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Measures transactions of one row, one after another.
    async fn one_row(&mut self, span: Duration) -> Result<Latencies, StoreError> {
        let (mut latencies, started, mut number) = (Latencies::default(), Instant::now(), 0);
        while started.elapsed() < span {
            let submitted = Instant::now();
            let sku = number % 5_000;
            self.db.write(&self.cx, move |tx| tx.put(&Stock { sku, on_hand: 1_000_000, body: vec![b'x'; 80] })).await?;
            latencies.add(submitted.elapsed());
            number += 1;
        }
        Ok(latencies)
    }

    /// Places orders from concurrent tasks, and returns their latencies and the duration.
    async fn load(&mut self, submitters: usize, span: Duration) -> Result<(Latencies, Duration), Failure> {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..submitters {
            let (db, cx, next) = (self.db.clone(), self.cx.clone(), self.next.clone());
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

/// Resident memory of this process in MiB.
pub(crate) fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64 / (1 << 20)
}
