//! When the scheduled jobs of a node ran, and how they ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Error, Job, Timestamp};

/// The last run of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobState {
    /// The interval between two runs.
    pub(crate) every: Duration,
    /// Batches that ended.
    pub(crate) runs: u64,
    /// Batches that failed.
    pub(crate) failures: u64,
    /// When the last batch began.
    pub(crate) started_at: Option<Timestamp>,
    /// How long the last batch that ended took.
    pub(crate) took: Option<Duration>,
    /// Why the last batch that ended failed.
    pub(crate) error: Option<String>,
}

/// The states of all jobs by name. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobLog(Arc<Mutex<BTreeMap<&'static str, JobState>>>);

impl JobLog {
    /// Adds a job that has not run yet.
    pub(crate) fn add(&self, job: &Job) {
        self.0.lock().insert(job.name, JobState { every: job.every, ..JobState::default() });
    }

    /// Records that a batch begins.
    pub(crate) fn began(&self, name: &'static str, now: Timestamp) {
        self.0.lock().entry(name).or_default().started_at = Some(now);
    }

    /// Records how a batch ended.
    pub(crate) fn ended(&self, name: &'static str, now: Timestamp, result: &Result<bool, Error>) {
        let mut jobs = self.0.lock();
        let job = jobs.entry(name).or_default();
        job.runs += 1;
        job.failures += u64::from(result.is_err());
        job.took = job.started_at.map(|at| now.since(at));
        job.error = result.as_ref().err().map(ToString::to_string);
    }

    /// All jobs by name.
    pub(crate) fn list(&self) -> BTreeMap<&'static str, JobState> {
        self.0.lock().clone()
    }
}
