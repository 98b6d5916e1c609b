//! Jobs: scheduled work of a service, in bounded batches.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{Cx, Error};

type Run = Arc<dyn Fn(Cx) -> Pin<Box<dyn Future<Output = Result<bool, Error>> + Send>> + Send + Sync>;

/// A periodic job, such as a sweep, a retry or a roll-up, run every `every` on the node's clock.
#[derive(Clone)]
pub struct Job {
    /// The name, such as `"inventory.expire_holds"`.
    pub name: &'static str,
    /// The interval between two runs.
    pub every: Duration,
    run: Run,
}

impl Job {
    /// A job. `run` does one bounded batch and returns whether there is more work to do immediately.
    pub fn new<F, R>(name: &'static str, every: Duration, run: R) -> Self
    where
        R: Fn(Cx) -> F + Send + Sync + 'static,
        F: Future<Output = Result<bool, Error>> + Send + 'static,
    {
        Self { name, every, run: Arc::new(move |cx| Box::pin(run(cx))) }
    }

    /// Runs one batch and returns whether there is more work to do immediately.
    pub async fn run(&self, cx: Cx) -> Result<bool, Error> {
        (self.run)(cx).await
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} every {:?}", self.name, self.every)
    }
}
