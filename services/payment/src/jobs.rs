//! Scheduled work: unpaid orders, unanswered refunds, old webhooks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use promox_contract::ids::OrderId;
use promox_contract::order::ResumeCheckout;
use promox_kernel::{Cx, Error, Job, Timestamp};
use promox_storage::{Lane, StoreError, Tx};

use crate::Payments;
use crate::queries;
use crate::records::{ProviderEvent, ProviderEventByTime, UnpaidOrder, UnpaidOrderByDue};

/// How long a webhook is remembered: longer than any provider resends it.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Webhooks removed by one run.
const BATCH: usize = 500;
/// The smallest step of time.
const INSTANT: Duration = Duration::from_micros(1);
/// Unpaid orders handled by one run.
const ORDERS: usize = 64;
/// The pause before an order that could not be resumed is tried again.
const PUT_OFF: Duration = Duration::from_secs(10);

/// Resumes orders whose payment is not decided.
pub(crate) fn resume_checkouts(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.resume_checkouts", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.resume_checkouts(&cx).await }
    })
}

/// Repeats refund requests that providers have not answered.
pub(crate) fn settle_refunds(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.settle_refunds", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.settle_due(&cx).await }
    })
}

/// Removes old webhooks; their effect is in the books.
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
                old.iter().try_for_each(|event| {
                    tx.delete::<ProviderEvent>(&(event.provider, event.event_id.clone())).map(drop)
                })
            };
            db.write_in(&cx, Lane::Bulk, forget).await?;
            Ok(more)
        }
    })
}

fn old_events(tx: &Tx<'_>, before: Timestamp) -> Result<Vec<ProviderEvent>, StoreError> {
    tx.scan_by::<ProviderEventByTime>().before(before).collect(BATCH)
}

impl Payments {
    /// Resumes the checkouts of unpaid orders, one bounded batch; whether there may be more. The order service knows
    /// who drives a checkout and leaves those alone.
    async fn resume_checkouts(&self, cx: &Cx) -> Result<bool, Error> {
        let due: Vec<UnpaidOrder> =
            self.db.read(|tx| tx.scan_by::<UnpaidOrderByDue>().before(cx.now + INSTANT).collect(ORDERS)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() == ORDERS;
        let again = join_all(due.into_iter().map(|order| self.resume_checkout(cx, order))).await;
        let note = move |tx: &mut Tx<'_>| {
            again.iter().try_for_each(|(id, due_at)| match *due_at {
                Some(due_at) => tx.put(&UnpaidOrder { order_id: *id, due_at }),
                None => tx.delete::<UnpaidOrder>(id).map(drop),
            })
        };
        self.db.write_in(cx, Lane::Bulk, note).await?;
        Ok(more)
    }

    /// Resumes one checkout; returns when to try again, if at all.
    async fn resume_checkout(&self, cx: &Cx, order: UnpaidOrder) -> (OrderId, Option<Timestamp>) {
        let id = order.order_id;
        let decided =
            |tx: &Tx<'_>| Ok::<_, StoreError>(queries::of_order(tx, id)?.is_some_and(|payment| !payment.undecided()));
        if self.db.read(decided).await.unwrap_or(false) {
            return (id, None);
        }
        match cx.call(ResumeCheckout { order_id: id }).await {
            Ok(resumed) => (id, resumed.again_at),
            Err(error) => {
                tracing::warn!(order = id.0, %error, "an unpaid order could not be resumed and will be retried");
                (id, Some(cx.now + PUT_OFF))
            }
        }
    }
}
