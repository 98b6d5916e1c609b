//! A node that the test steps, from its start to its stop or to a power cut. Nothing advances on its own: the writer,
//! the checkpointer, the clock, and the only thread, on which everything else runs, are all stepped here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use promox::background::Background;
use promox::config::Settings;
use promox::engine::{Store, Volatile};
use promox::node::{Environment, Promox, schema};
use promox_embedded::disk::{Fault, FaultyDisk};
use promox_embedded::{Assembled, Checkpointer, EmbeddedEngine, Options, Turn, Writer};
use promox_kernel::{Clock, Entropy};
use promox_storage::Cache;
use tokio::task::JoinHandle;

use crate::disk::SimDisk;

/// Jobs that use threads of their own, which a seed cannot control, and write no rows that matter here.
const EXCLUDED_JOBS: [&str; 3] = ["product.index", "notification.send_due", "notification.prune"];
/// Idle turns after which everything waits, so that the clock advances.
const IDLE_TURNS: u32 = 6;
/// Maximum milliseconds that the clock advances at once.
const MAX_STEP_MS: u64 = 400;

/// State that all starts of the node in a run share.
#[derive(Clone)]
pub(crate) struct SharedState {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// The source of randomness of the nodes.
    pub(crate) entropy: Entropy,
    pub(crate) cache: Cache,
    /// Whether the transactions of a chain share a commit group.
    pub(crate) group_chains: bool,
}

/// A failure during one start of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    /// The power fails.
    PowerCut,
    /// A write or a sync fails, and all later ones: the engine stops, and then the power is cut.
    Broken(Fault),
    /// The disk is full for this number of steps.
    Full(u64),
    /// The disk has room again.
    HasRoom,
}

/// The power is cut, or the engine has stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

/// A running node that is stepped.
pub(crate) struct SteppedNode {
    pub(crate) promox: Arc<Promox>,
    pub(crate) engine: Arc<EmbeddedEngine>,
    background: Background,
    writer: Writer,
    checkpointer: Checkpointer,
    stopped: Arc<AtomicBool>,
    clock: Clock,
    /// Decides what is stepped, and how far.
    rng: Entropy,
    disk: FaultyDisk,
    /// The next failure, and the number of commit groups until it.
    failure: Option<(u64, Failure)>,
    idle: u32,
    /// Whether the clock is stopped. While it is, the only other threads are those that hash passwords.
    clock_stopped: bool,
}

impl SteppedNode {
    /// Starts a node on a disk and recovers. The clock is stopped, and neither consumers nor jobs run yet.
    pub(crate) async fn start(
        shared: &SharedState,
        disk: &SimDisk,
        rng: Entropy,
        failure: Option<(u64, Failure)>,
    ) -> Result<Self, Stopped> {
        let stopped = Arc::new(AtomicBool::new(false));
        let options = options(shared, disk, stopped.clone());
        let assembled = EmbeddedEngine::assemble(options, &schema().unwrap());
        let Assembled { engine, writer, checkpointer } = assembled.expect("the store opens after a power cut");
        let SharedState { settings, clock, entropy, cache, .. } = shared.clone();
        let environment = Environment {
            store: Store::embedded(engine.clone(), schema().unwrap()),
            clock: clock.clone(),
            entropy,
            volatile: Volatile { cache, ..Volatile::in_memory() },
        };
        let promox = Arc::new(Promox::with_environment(&settings, environment, None).expect("a node"));
        let background = Background::new(promox.node());
        let (disk, idle, clock_stopped) = (disk.faulty().clone(), 0, true);
        let mut node = Self {
            promox: promox.clone(),
            engine,
            background,
            writer,
            checkpointer,
            stopped,
            clock,
            rng,
            disk,
            failure,
            idle,
            clock_stopped,
        };
        let recovered = node.run_until(tokio::spawn(async move { promox.recover().await.is_ok() })).await?;
        if !recovered {
            return Err(Stopped);
        }
        Ok(node)
    }

    /// Starts the clock, without consumers and jobs.
    pub(crate) fn start_clock(&mut self) {
        self.clock_stopped = false;
    }

    /// Starts the clock, the consumers and the jobs.
    pub(crate) fn start_background(&mut self) {
        self.start_clock();
        for consumer in self.promox.consumers() {
            self.background.spawn_consumer(consumer);
        }
        let jobs = self.promox.jobs().into_iter().filter(|job| !EXCLUDED_JOBS.contains(&job.name));
        jobs.for_each(|job| self.background.spawn_job(job));
    }

    /// Steps until a task is done, and returns its result.
    pub(crate) async fn run_until<T>(&mut self, task: JoinHandle<T>) -> Result<T, Stopped> {
        while !task.is_finished() {
            self.step().await?;
        }
        Ok(task.await.expect("no task panics"))
    }

    /// Steps until a span of simulated time has passed.
    pub(crate) async fn run_for(&mut self, span: Duration) -> Result<(), Stopped> {
        let until = self.clock.now() + span;
        while self.clock.now() < until {
            self.step().await?;
        }
        Ok(())
    }

    /// Runs tasks, the writer and perhaps the clock for one step, and injects a failure that is due.
    async fn step(&mut self) -> Result<(), Stopped> {
        // While the clock is stopped, steps wait for other threads, and their number varies: they draw no random
        // numbers.
        let rounds = if self.clock_stopped { 1 } else { 1 + self.rng.below(4) };
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(Stopped);
        }
        let worked = self.writer.turn(Duration::ZERO) == Turn::Worked;
        self.idle = if worked { 0 } else { self.idle + 1 };
        if !self.clock_stopped {
            self.advance();
        }
        self.inject_failure(worked)
    }

    /// Perhaps runs the checkpointer, and advances the clock when everything waits.
    fn advance(&mut self) {
        if self.rng.below(8) == 0 {
            self.checkpointer.turn(Duration::ZERO);
        }
        if self.idle >= IDLE_TURNS || self.rng.below(64) == 0 {
            self.idle = 0;
            self.clock.advance(Duration::from_millis(1 + self.rng.below(MAX_STEP_MS)));
        }
    }

    /// Counts down to the next failure and injects it when it is due.
    fn inject_failure(&mut self, worked: bool) -> Result<(), Stopped> {
        let Some((left, failure)) = &mut self.failure else { return Ok(()) };
        let counts = worked || matches!(failure, Failure::HasRoom);
        *left = left.saturating_sub(u64::from(counts));
        if *left > 0 {
            return Ok(());
        }
        match *failure {
            Failure::PowerCut => return Err(Stopped),
            Failure::Broken(fault) => self.disk.fail(fault, self.rng.below(3), u64::MAX),
            Failure::Full(_) => self.disk.fail(Fault::Full, 0, u64::MAX),
            Failure::HasRoom => self.disk.stop_failing(),
        }
        self.failure = match *failure {
            Failure::Full(steps) => Some((steps, Failure::HasRoom)),
            _ => None,
        };
        Ok(())
    }
}

fn options(shared: &SharedState, disk: &SimDisk, stopped: Arc<AtomicBool>) -> Options {
    Options {
        disk: disk.engine(),
        clock: shared.clock.clone(),
        entropy: shared.entropy.clone(),
        checkpoint_bytes: 128 << 10,
        segment_bytes: 256 << 10,
        group_chains: shared.group_chains,
        on_stop: Arc::new(move |_| stopped.store(true, Ordering::Release)),
        ..Options::new("/store")
    }
}
