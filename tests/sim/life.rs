//! One life of a node, from its start to its end or to a power cut. Nothing moves but what this steps: the writer, the
//! checkpointer, the clock, and the one thread that everything else runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use promox::background::Background;
use promox::config::Settings;
use promox::node::{Environment, Promox, schema};
use promox_embedded::disk::{Fault, FaultyDisk};
use promox_embedded::{Assembled, Checkpointer, EmbeddedEngine, Options, Turn, Writer};
use promox_kernel::{Clock, Entropy};
use promox_storage::Cache;
use tokio::task::JoinHandle;

use crate::disk::SimDisk;

/// Jobs that work on threads of their own, which no seed governs, and leave no row that matters here.
const LEFT_OUT: [&str; 3] = ["product.index", "notification.send_due", "notification.prune"];
/// Idle turns after which there is nothing to do but to wait.
const QUIET: u32 = 6;
/// The clock moves on by so many milliseconds at most.
const STEP_MS: u64 = 400;

/// What all lives of a story share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// The nodes' randomness.
    pub(crate) entropy: Entropy,
    pub(crate) cache: Cache,
    /// Whether the links of a chain share a group.
    pub(crate) group_chains: bool,
}

/// What goes wrong in a life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// The power fails.
    PowerCut,
    /// A write or a sync fails, and all after it: the engine stops, and then the power is cut.
    Broken(Fault),
    /// The disk is full for so many steps.
    Full(u64),
    /// The disk was full and has room again.
    Over,
}

/// The power is gone.
#[derive(Debug)]
pub(crate) struct Cut;

/// A node that runs.
pub(crate) struct Life {
    pub(crate) promox: Arc<Promox>,
    pub(crate) engine: Arc<EmbeddedEngine>,
    background: Background,
    writer: Writer,
    checkpointer: Checkpointer,
    stopped: Arc<AtomicBool>,
    clock: Clock,
    /// What decides who is stepped.
    dice: Entropy,
    disk: FaultyDisk,
    /// What goes wrong next, and after how many more groups.
    trouble: Option<(u64, Trouble)>,
    idle: u32,
    /// Whether time stands still: until it runs by its clock, only threads that hash passwords are waited for.
    still: bool,
}

impl Life {
    /// Starts a node on what a disk holds and recovers. Nothing runs by the clock yet.
    pub(crate) async fn start(
        world: &World,
        disk: &SimDisk,
        dice: Entropy,
        trouble: Option<(u64, Trouble)>,
    ) -> Result<Self, Cut> {
        let stopped = Arc::new(AtomicBool::new(false));
        let options = options(world, disk, stopped.clone());
        let assembled = EmbeddedEngine::assemble(options, &schema().unwrap());
        let Assembled { engine, writer, checkpointer } = assembled.expect("what a power cut left is opened");
        let World { settings, clock, entropy, cache, .. } = world.clone();
        let environment = Environment { store: engine.clone().into(), clock: clock.clone(), entropy, cache };
        let promox = Arc::new(Promox::on(&settings, environment, None).expect("a node"));
        let background = Background::new(promox.node());
        let (disk, idle, still) = (disk.faulty().clone(), 0, true);
        let mut life = Self {
            promox: promox.clone(),
            engine,
            background,
            writer,
            checkpointer,
            stopped,
            clock,
            dice,
            disk,
            trouble,
            idle,
            still,
        };
        let recovered = life.until(tokio::spawn(async move { promox.recover().await.is_ok() })).await?;
        if !recovered {
            return Err(Cut);
        }
        Ok(life)
    }

    /// Lets its clock move; what runs by it is left to the caller.
    pub(crate) fn wake(&mut self) {
        self.still = false;
    }

    /// Lets it run by its clock, which from now on moves.
    pub(crate) fn go(&mut self) {
        self.wake();
        for consumer in self.promox.consumers() {
            self.background.consumer(consumer);
        }
        let jobs = self.promox.jobs().into_iter().filter(|job| !LEFT_OUT.contains(&job.name));
        jobs.for_each(|job| self.background.job(job));
    }

    /// Steps until a task is done.
    pub(crate) async fn until<T>(&mut self, task: JoinHandle<T>) -> Result<T, Cut> {
        while !task.is_finished() {
            self.step().await?;
        }
        Ok(task.await.expect("no task panics"))
    }

    /// Steps until so much time has passed.
    pub(crate) async fn pass(&mut self, span: Duration) -> Result<(), Cut> {
        let until = self.clock.now() + span;
        while self.clock.now() < until {
            self.step().await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), Cut> {
        // While time stands still others' threads may be waited for, and no dice are thrown: none for each turn in vain.
        let rounds = if self.still { 1 } else { 1 + self.dice.below(4) };
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(Cut);
        }
        let worked = self.writer.turn(Duration::ZERO) == Turn::Worked;
        self.idle = if worked { 0 } else { self.idle + 1 };
        if !self.still {
            self.move_on();
        }
        self.suffer(worked)
    }

    fn move_on(&mut self) {
        if self.dice.below(8) == 0 {
            self.checkpointer.turn(Duration::ZERO);
        }
        if self.idle >= QUIET || self.dice.below(64) == 0 {
            self.idle = 0;
            self.clock.advance(Duration::from_millis(1 + self.dice.below(STEP_MS)));
        }
    }

    /// Lets happen what is due.
    fn suffer(&mut self, worked: bool) -> Result<(), Cut> {
        let Some((left, trouble)) = &mut self.trouble else { return Ok(()) };
        let counts = worked || matches!(trouble, Trouble::Over);
        *left = left.saturating_sub(u64::from(counts));
        if *left > 0 {
            return Ok(());
        }
        match *trouble {
            Trouble::PowerCut => return Err(Cut),
            Trouble::Broken(fault) => self.disk.fail(fault, self.dice.below(3), u64::MAX),
            Trouble::Full(_) => self.disk.fail(Fault::Full, 0, u64::MAX),
            Trouble::Over => self.disk.stop_failing(),
        }
        self.trouble = match *trouble {
            Trouble::Full(steps) => Some((steps, Trouble::Over)),
            _ => None,
        };
        Ok(())
    }
}

fn options(world: &World, disk: &SimDisk, stopped: Arc<AtomicBool>) -> Options {
    Options {
        disk: disk.engine(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        checkpoint_bytes: 128 << 10,
        segment_bytes: 256 << 10,
        group_chains: world.group_chains,
        on_stop: Arc::new(move |_| stopped.store(true, Ordering::Release)),
        ..Options::new("/store")
    }
}
