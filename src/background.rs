//! A node's background work: jobs on a schedule, consumers that follow the event logs, and the operator's runs.
//!
//! Each runs on its own task and stops between two batches, so a shutdown never interrupts a batch. A failed batch is
//! logged and retried after a pause; nothing is skipped.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Clock, Cx, Error, Job, Node};
use promox_storage::ConsumerLoop;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::job_log::JobLog;
use crate::ops::Worker;
use crate::traces::Exporter;

/// The time limit of one batch of a job.
const BATCH_LIMIT: Duration = Duration::from_mins(1);
/// How often the node's clock is compared with the system's.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// The pause after a batch that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The tasks of a node's jobs and consumers.
#[derive(Debug)]
pub struct Background {
    node: Arc<Node>,
    jobs: JobLog,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Background {
    /// The background of `node`, without any tasks yet.
    pub fn new(node: &Arc<Node>) -> Self {
        Self::recording(node, JobLog::default())
    }

    /// [`Background::new`], with runs of jobs recorded in `jobs`.
    pub(crate) fn recording(node: &Arc<Node>, jobs: JobLog) -> Self {
        Self { node: node.clone(), jobs, tasks: TaskTracker::new(), closing: CancellationToken::new() }
    }

    /// Runs a job on its schedule until the node stops.
    pub fn spawn_job(&self, job: Job) {
        let (node, closing, log) = (self.node.clone(), self.closing.clone(), self.jobs.clone());
        log.add(&job);
        self.tasks.spawn(async move {
            while !closing.is_cancelled() {
                log.began(job.name, node.clock.now());
                let more = batch(&job, &node).await;
                log.ended(job.name, node.clock.now(), &more);
                let pause = if more.is_ok() { job.every } else { RETRY_PAUSE.max(job.every) };
                if !matches!(more, Ok(true)) && closing.run_until_cancelled(node.clock.sleep(pause)).await.is_none() {
                    break;
                }
            }
        });
    }

    /// Runs a consumer now, and whenever its source has new events.
    pub fn spawn_consumer(&self, mut consumer: ConsumerLoop) {
        let (node, closing) = (self.node.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            let signals = consumer.subscribe();
            while !closing.is_cancelled() {
                let waited = match consumer.turn(&node).await {
                    Ok(true) => continue,
                    Ok(false) => closing.run_until_cancelled(consumer.wait(&signals, &node.clock)).await,
                    Err(error) => {
                        tracing::warn!(consumer = consumer.name(), %error, "a batch failed and will be retried");
                        closing.run_until_cancelled(node.clock.sleep(RETRY_PAUSE)).await.map(|()| true)
                    }
                };
                if waited != Some(true) {
                    break;
                }
            }
        });
    }

    /// Lets the node's clock follow the system's when that steps forward, such as after the machine was suspended.
    pub(crate) fn spawn_clock(&self) {
        let (node, closing) = (self.node.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            while closing.run_until_cancelled(tokio::time::sleep(CLOCK_CHECK)).await.is_some() {
                if let Some(step) = node.clock.follow(Clock::wall()) {
                    tracing::warn!(
                        seconds = step.as_secs_f64(),
                        "the clock stepped forward to follow the system's clock"
                    );
                }
            }
        });
    }

    /// Executes the operator's runs until the node stops.
    pub(crate) fn spawn_worker(&self, worker: Worker) {
        self.tasks.spawn(worker.work(self.closing.clone()));
    }

    /// Sends the spans of traces until the node stops.
    pub(crate) fn spawn_exporter(&self, exporter: Exporter) {
        self.tasks.spawn(exporter.run(self.closing.clone()));
    }

    /// Starts no further batches and waits for the running ones.
    pub async fn stop(self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Runs one batch of a job. Returns whether the next batch should follow at once.
async fn batch(job: &Job, node: &Arc<Node>) -> Result<bool, Error> {
    let cx = Cx::system(node, job.name, BATCH_LIMIT);
    let timed_out = |_| Error::unavailable(codes::DEADLINE_EXCEEDED, "the batch took too long", 1);
    let result = tokio::time::timeout_at(cx.deadline, job.run(cx)).await.map_err(timed_out).and_then(|result| result);
    result.inspect_err(|error| tracing::warn!(job = job.name, %error, "a batch failed and will be retried"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_kernel::{Entropy, Timestamp};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_job_follows_the_nodes_clock_and_repeats_at_once_while_there_is_more() {
        let clock = Clock::manual(Timestamp::EPOCH);
        let node = Node::new(clock.clone(), Entropy::seeded(1));
        let (ran, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (signal, counted) = (ran.clone(), runs.clone());
        let background = Background::new(&node);
        background.spawn_job(Job::new("test.job", Duration::from_mins(1), move |_| {
            let (signal, run) = (signal.clone(), counted.fetch_add(1, Ordering::Relaxed));
            async move {
                signal.add_permits(1);
                if run == 1 { Err(Error::internal("once")) } else { Ok(run == 0) }
            }
        }));
        ran.acquire_many(2).await.unwrap().forget();
        assert_eq!(runs.load(Ordering::Relaxed), 2, "two batches at once, then a pause");
        while runs.load(Ordering::Relaxed) < 3 {
            clock.advance(Duration::from_mins(1));
            tokio::task::yield_now().await;
        }
        background.stop().await;
        let after = runs.load(Ordering::Relaxed);
        clock.advance(Duration::from_mins(10));
        tokio::task::yield_now().await;
        assert_eq!(runs.load(Ordering::Relaxed), after, "nothing runs after the stop");
    }
}
