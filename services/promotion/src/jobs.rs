//! Scheduled jobs: remove counters of past periods, and publish changes of catalog prices.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;
use promox_storage::{Lane, StoreError, Tx};

use crate::Promotions;
use crate::commands::{codes, uses};

/// How long a counter is kept after its period, because orders of the period may still be cancelled or audited.
const RETENTION: Duration = Duration::from_hours(90 * 24);

/// Removes counters that are no longer needed, in bounded batches.
pub(crate) fn sweep_counters(promotions: &Arc<Promotions>) -> Job {
    let promotions = promotions.clone();
    Job::new("promotion.sweep_counters", Duration::from_hours(1), move |cx| {
        let db = promotions.db.clone();
        async move {
            let before = cx.now - RETENTION;
            let sweep = move |tx: &mut Tx<'_>| Ok::<_, StoreError>(uses::sweep(tx, before)? | codes::sweep(tx)?);
            Ok(db.write_in(&cx, Lane::Bulk, sweep).await?)
        }
    })
}

/// How often the uses that a change of limits has not counted yet are counted, and announced limits are given up.
const RECOUNT_INTERVAL: Duration = Duration::from_mins(1);

/// Counts earlier uses for limits that were added later.
pub(crate) fn recount(promotions: &Arc<Promotions>) -> Job {
    let promotions = promotions.clone();
    Job::new("promotion.recount", RECOUNT_INTERVAL, move |cx| {
        let promotions = promotions.clone();
        async move { promotions.recount_pending(&cx).await }
    })
}

/// How often changes caused by time, or made on another node, are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// Publishes changes of catalog prices.
pub(crate) fn publish_price_changes(promotions: &Arc<Promotions>) -> Job {
    let promotions = promotions.clone();
    Job::new("promotion.signal_catalogue", PUBLISH_INTERVAL, move |cx| {
        let promotions = promotions.clone();
        async move { promotions.publish_price_changes(&cx).await.map(|()| false) }
    })
}
