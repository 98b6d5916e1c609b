//! Generation of coupons: its duration alone and during checkouts, its effect on checkouts, and the latency of a
//! look-up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use promox_contract::buyer::Buyer;
use promox_contract::coupon::ResolveCodes;
use promox_contract::promotion::{
    ClaimCodes, CodesInUse, DescribePromotions, FindPromotionCodes, PromotionDescription, PromotionDescriptions,
    ReleaseCodes,
};
use promox_coupon::{BatchStatus, Coupons, CreateBatch, GetBatch, ListCoupons};
use promox_embedded::{EmbeddedEngine, Options as StoreOptions};
use promox_kernel::{Clock, Cx, Entropy, Error, Handle, Node, Op, Registry, Timestamp, bind_json};
use promox_storage::{Cache, Database, Db, Schema, Service, StoreError};
use tokio::task::JoinSet;

use crate::latency::Latencies;
use crate::storage::checkout;

type Failure = Box<dyn std::error::Error>;

/// Options of the benchmark.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Number of coupons in a batch.
    #[arg(long, default_value_t = 1_000_000)]
    count: i64,
    /// Concurrent checkouts.
    #[arg(long, default_value_t = 16)]
    submitters: usize,
    /// Seconds of the measurement of checkouts alone.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of codes to look up.
    #[arg(long, default_value_t = 200_000)]
    lookups: usize,
    /// Where to put the files; a directory below it is created and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

/// A simulated promotion service, in which every promotion exists and none has a code.
struct Promotions;

impl Handle<FindPromotionCodes> for Promotions {
    async fn handle(&self, _: &Cx, _: FindPromotionCodes) -> Result<CodesInUse, Error> {
        Ok(CodesInUse::default())
    }
}

impl Handle<ClaimCodes> for Promotions {
    async fn handle(&self, _: &Cx, _: ClaimCodes) -> Result<CodesInUse, Error> {
        Ok(CodesInUse::default())
    }
}

impl Handle<ReleaseCodes> for Promotions {
    async fn handle(&self, _: &Cx, _: ReleaseCodes) -> Result<(), Error> {
        Ok(())
    }
}

impl Handle<DescribePromotions> for Promotions {
    async fn handle(&self, _: &Cx, op: DescribePromotions) -> Result<PromotionDescriptions, Error> {
        let describe = |id| PromotionDescription { id, name: String::new(), campaign_id: None };
        Ok(PromotionDescriptions { items: op.ids.into_iter().map(describe).collect() })
    }
}

struct Bench {
    node: Arc<Node>,
    coupons: Arc<Coupons>,
    shop: Db,
    /// The next order's number.
    next: Arc<AtomicI64>,
}

/// Runs the benchmark and prints its table.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(&options.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", Latencies::heading());
    runtime.block_on(measure(options, &dir.path().join("store")))
}

async fn measure(options: &Options, path: &std::path::Path) -> Result<(), Failure> {
    let bench = open(path).await?;
    let load = bench.checkouts(options.submitters);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (mut latencies, took) = load.end().await?;
    println!("{}", latencies.line(&format!("checkouts alone, {} at once", options.submitters), took));
    let took = bench.generate(options.count).await?;
    println!("{} coupons alone: {} ms", options.count, took.as_millis());
    let load = bench.checkouts(options.submitters);
    let took = bench.generate(options.count).await?;
    let (mut latencies, span) = load.end().await?;
    println!("{}", latencies.line(&format!("checkouts beside bulk, {} at once", options.submitters), span));
    println!("{} coupons beside checkouts: {} ms", options.count, took.as_millis());
    bench.look_up(options.lookups).await
}

async fn open(path: &std::path::Path) -> Result<Bench, Failure> {
    let schema = Schema::new([checkout::TABLES, Coupons::TABLES])?;
    let engine = EmbeddedEngine::open(StoreOptions::new(path), schema)?;
    let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
    let coupons = Coupons::new(engine.database(Database::Promox), Cache::in_memory(), false);
    let mut registry = Registry::default();
    let promotions = Arc::new(Promotions);
    coupons.register(&mut registry);
    registry.register::<ClaimCodes, _>(&promotions);
    registry.register::<FindPromotionCodes, _>(&promotions);
    registry.register::<ReleaseCodes, _>(&promotions);
    registry.register::<DescribePromotions, _>(&promotions);
    node.install(registry);
    let shop = engine.database(checkout::DATABASE);
    let bench = Bench { node, coupons, shop, next: Arc::new(AtomicI64::new(1)) };
    for from in (0..checkout::USERS).step_by(1_000) {
        bench.shop.write(&bench.cx(), move |tx| checkout::seed(tx, from, from + 1_000)).await?;
    }
    Ok(bench)
}

impl Bench {
    fn cx(&self) -> Cx {
        Cx::system(&self.node, "bench", Duration::from_secs(3600))
    }

    async fn request<O: Op>(&self, json: &str) -> Result<O::Reply, Error> {
        self.cx().call(bind_json::<O>(json.as_bytes())?).await
    }

    /// Creates a batch and generates its coupons with the service's jobs. Returns the duration.
    async fn generate(&self, count: i64) -> Result<Duration, Failure> {
        let body = format!(r#"{{"count":{count},"promotionId":1,"pattern":"SAVE-####-####"}}"#);
        let (batch, started) = (self.request::<CreateBatch>(&body).await?, Instant::now());
        for job in self.coupons.jobs() {
            while job.run(self.cx()).await? {}
        }
        let batch = self.request::<GetBatch>(&format!(r#"{{"id":{}}}"#, batch.id)).await?;
        if batch.status != BatchStatus::Completed {
            return Err(format!("the batch is {} at {}", batch.status, batch.generated).into());
        }
        Ok(started.elapsed())
    }

    /// Starts concurrent checkouts, which run until [`Load::end`].
    fn checkouts(&self, submitters: usize) -> Load {
        let mut load = Load { started: Instant::now(), stop: Arc::default(), tasks: JoinSet::new() };
        for _ in 0..submitters {
            let (db, cx, next) = (self.shop.clone(), self.cx(), self.next.clone());
            load.tasks.spawn(shopper(db, cx, next, load.stop.clone()));
        }
        load
    }

    /// Measures look-ups of existing codes.
    async fn look_up(&self, lookups: usize) -> Result<(), Failure> {
        let mut codes = Vec::new();
        let mut cursor = String::from("null");
        while codes.len() < 10_000 {
            let page = self.request::<ListCoupons>(&format!(r#"{{"limit":200,"cursor":{cursor}}}"#)).await?;
            codes.extend(page.items.into_iter().map(|coupon| coupon.code));
            let Some(next) = page.next_cursor else { break };
            cursor = serde_json::to_string(&next)?;
        }
        let mut latencies = Latencies::default();
        let started = Instant::now();
        for code in codes.iter().cycle().take(lookups) {
            let sent = Instant::now();
            let op = ResolveCodes { codes: vec![code.clone()], buyer: Buyer::default(), entered: Vec::new() };
            if self.cx().call(op).await?.coupons.is_empty() {
                return Err("an existing code was not found".into());
            }
            latencies.add(sent.elapsed());
        }
        println!("{}", latencies.line("a code looked up", started.elapsed()));
        Ok(())
    }
}

/// Running checkouts.
struct Load {
    started: Instant,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Result<Latencies, StoreError>>,
}

impl Load {
    /// Stops the checkouts, and returns their latencies and the duration.
    async fn end(mut self) -> Result<(Latencies, Duration), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Latencies::default();
        while let Some(done) = self.tasks.join_next().await {
            all.merge(done??);
        }
        Ok((all, self.started.elapsed()))
    }
}

/// Places orders one after another until `stop` is set.
async fn shopper(db: Db, cx: Cx, next: Arc<AtomicI64>, stop: Arc<AtomicBool>) -> Result<Latencies, StoreError> {
    let mut latencies = Latencies::default();
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        db.write(&cx, move |tx| checkout::place(tx, id)).await?;
        latencies.add(started.elapsed());
    }
    Ok(latencies)
}
