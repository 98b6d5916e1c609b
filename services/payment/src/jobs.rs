//! Scheduled jobs: resume unpaid orders, capture what was shipped, repeat unanswered refunds, delete old webhooks.

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

/// How long a processed webhook is kept to recognise a repetition; providers do not resend one after that time.
const WEBHOOK_RETENTION: Duration = Duration::from_hours(30 * 24);
/// Maximum webhooks deleted by one run.
const BATCH: usize = 500;
/// The resolution of timestamps. Scans end before a time; adding one tick includes the time itself.
const TICK: Duration = Duration::from_micros(1);
/// Maximum unpaid orders handled by one run.
const MAX_ORDERS: usize = 64;
/// The pause before another attempt at an order that could not be resumed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Resumes the checkouts of orders whose payment is not decided.
pub(crate) fn resume_checkouts(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.resume_checkouts", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.resume_checkouts(&cx).await }
    })
}

/// Requests the captures that follow shipments, until providers answer.
pub(crate) fn settle_captures(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.settle_captures", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.capture_due(&cx).await }
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

/// Deletes old webhooks; their effects stay in the payments.
pub(crate) fn prune_events(payments: &Arc<Payments>) -> Job {
    let db = payments.db.clone();
    Job::new("payment.prune_events", Duration::from_hours(1), move |cx| {
        let db = db.clone();
        async move {
            let before = cx.now - WEBHOOK_RETENTION;
            let old = db.read(|tx| old_events(tx, before)).await?;
            if old.is_empty() {
                return Ok(false);
            }
            let more = old.len() == BATCH;
            let delete = move |tx: &mut Tx<'_>| {
                old.iter().try_for_each(|event| {
                    tx.delete::<ProviderEvent>(&(event.provider, event.event_id.clone())).map(drop)
                })
            };
            db.write_in(&cx, Lane::Bulk, delete).await?;
            Ok(more)
        }
    })
}

fn old_events(tx: &Tx<'_>, before: Timestamp) -> Result<Vec<ProviderEvent>, StoreError> {
    tx.scan_by::<ProviderEventByTime>().before(before).collect(BATCH)
}

impl Payments {
    /// Resumes one bounded batch of unpaid orders and returns whether there may be more. The order service does not
    /// interfere with a checkout that another process is running.
    async fn resume_checkouts(&self, cx: &Cx) -> Result<bool, Error> {
        let due: Vec<UnpaidOrder> =
            self.db.read(|tx| tx.scan_by::<UnpaidOrderByDue>().before(cx.now + TICK).collect(MAX_ORDERS)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() == MAX_ORDERS;
        let resumed = join_all(due.into_iter().map(|order| self.resume_checkout(cx, order))).await;
        let record = move |tx: &mut Tx<'_>| {
            resumed.iter().try_for_each(|(id, due_at)| match *due_at {
                Some(due_at) => tx.put(&UnpaidOrder { order_id: *id, due_at }),
                None => tx.delete::<UnpaidOrder>(id).map(drop),
            })
        };
        self.db.write_in(cx, Lane::Bulk, record).await?;
        Ok(more)
    }

    /// Resumes one checkout. Returns the order and when to try again; `None` when no further attempt is needed.
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
                (id, Some(cx.now + RETRY_PAUSE))
            }
        }
    }
}
