//! Scheduled work: removes counters of past periods, and publishes changes of price rules.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Job;
use promox_storage::{Lane, StoreError, Tx};

use crate::Promotions;
use crate::commands::{codes, uses};

/// How long a counter stays after its period: orders of the period may still be cancelled or audited.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// Removes counters that are no longer needed, in bounded batches.
pub(crate) fn sweep_counters(promotions: &Arc<Promotions>) -> Job {
    let promotions = promotions.clone();
    Job::new("promotion.sweep_counters", Duration::from_hours(1), move |cx| {
        let db = promotions.db.clone();
        async move {
            let before = cx.now - KEPT;
            let sweep = move |tx: &mut Tx<'_>| Ok::<_, StoreError>(uses::sweep(tx, before)? | codes::sweep(tx)?);
            Ok(db.write_in(&cx, Lane::Bulk, sweep).await?)
        }
    })
}

/// How often changes by time, or on another node, are published.
const SIGNAL_EVERY: Duration = Duration::from_millis(250);

/// Publishes the state of price rules.
pub(crate) fn signal_catalogue(promotions: &Arc<Promotions>) -> Job {
    let promotions = promotions.clone();
    Job::new("promotion.signal_catalogue", SIGNAL_EVERY, move |cx| {
        let promotions = promotions.clone();
        async move { promotions.signal_catalogue(&cx).await.map(|()| false) }
    })
}
