//! Work by the clock: refunds that a provider has not answered, and webhooks that nobody sends again.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Job, Timestamp};
use promox_storage::{Lane, StoreError, Tx};

use crate::Payments;
use crate::records::{ProviderEvent, ProviderEventByTime};

/// How long a webhook is known: longer than any provider sends it again.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Webhooks that one run forgets.
const BATCH: usize = 500;

/// Asks providers again for refunds that they have not answered.
pub(crate) fn settle_refunds(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.settle_refunds", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.settle_due(&cx).await }
    })
}

/// Forgets old webhooks; what they told is in the books.
pub(crate) fn prune_events(payments: &Arc<Payments>) -> Job {
    let db = payments.db.clone();
    Job::new("payment.prune_events", Duration::from_hours(1), move |cx| {
        let db = db.clone();
        async move {
            let before = cx.now - KEPT;
            let old = db.read(|tx| old_events(tx, before)).await?;
            if old.is_empty() {
                return Ok(false);
            }
            let more = old.len() == BATCH;
            let forget = move |tx: &mut Tx<'_>| {
                old.iter().try_for_each(|it| tx.delete::<ProviderEvent>(&(it.provider, it.event_id.clone())).map(drop))
            };
            db.write_in(&cx, Lane::Bulk, forget).await?;
            Ok(more)
        }
    })
}

fn old_events(tx: &Tx<'_>, before: Timestamp) -> Result<Vec<ProviderEvent>, StoreError> {
    tx.scan_by::<ProviderEventByTime>().before(before).collect(BATCH)
}
