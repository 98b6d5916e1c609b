//! Scheduled jobs: they follow the event logs, update listeners and remove old rows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Cx, Error, Job};
use promox_storage::{Lane, StoreError, Tx};

use crate::Analytics;
use crate::commands::{generations, visits};

/// How often the logs are read.
const FOLLOW: Duration = Duration::from_millis(200);
/// How often listeners are updated.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often old rows are removed.
const SWEEP: Duration = Duration::from_secs(5);

/// All jobs.
pub(crate) fn all(analytics: &Arc<Analytics>) -> Vec<Job> {
    vec![
        job(analytics, "analytics.follow", FOLLOW, |it, cx| async move { it.follow(&cx).await }),
        job(analytics, "analytics.publish", PUBLISH, |it, cx| async move { it.publish(&cx).await }),
        job(analytics, "analytics.sweep", SWEEP, |it, cx| async move { it.sweep(&cx).await }),
    ]
}

fn job<F, R>(analytics: &Arc<Analytics>, name: &'static str, every: Duration, run: R) -> Job
where
    R: Fn(Arc<Analytics>, Cx) -> F + Send + Sync + 'static,
    F: Future<Output = Result<bool, Error>> + Send + 'static,
{
    let analytics = analytics.clone();
    Job::new(name, every, move |cx| run(analytics.clone(), cx))
}

impl Analytics {
    /// Removes rows of retired generations and ended visits. Returns whether there may be more.
    async fn sweep(&self, cx: &Cx) -> Result<bool, Error> {
        let now = cx.now;
        let due = |tx: &Tx<'_>| {
            Ok::<_, StoreError>((generations::removable(tx, now)?.is_some(), visits::any_ended(tx, now)?))
        };
        let (generation, visits) = self.db.read(due).await?;
        let generation = generation && self.db.write_in(cx, Lane::Bulk, generations::sweep).await?;
        let visits = visits && self.db.write_in(cx, Lane::Bulk, visits::sweep).await?;
        Ok(generation || visits)
    }
}
