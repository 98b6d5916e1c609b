//! Work by the clock: orders that are not paid, refunds that a provider has not answered, webhooks that nobody sends again.

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

/// How long a webhook is known: longer than any provider sends it again.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Webhooks that one run forgets.
const BATCH: usize = 500;
/// The smallest step of time.
const INSTANT: Duration = Duration::from_micros(1);
/// Unpaid orders that one run looks after.
const ORDERS: usize = 64;
/// The pause before an order is looked after again that could not be taken up.
const PUT_OFF: Duration = Duration::from_secs(10);

/// Looks after orders whose payment is not decided.
pub(crate) fn take_up_orders(payments: &Arc<Payments>) -> Job {
    let payments = payments.clone();
    Job::new("payment.take_up_orders", Duration::from_secs(1), move |cx| {
        let payments = payments.clone();
        async move { payments.take_up_orders(&cx).await }
    })
}

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

impl Payments {
    /// Has the checkouts of unpaid orders go on, one bounded batch; whether there may be more. Which driver a checkout has is
    /// for the order service to say: it leaves alone what is driven.
    async fn take_up_orders(&self, cx: &Cx) -> Result<bool, Error> {
        let due: Vec<UnpaidOrder> =
            self.db.read(|tx| tx.scan_by::<UnpaidOrderByDue>().before(cx.now + INSTANT).collect(ORDERS)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() == ORDERS;
        let again = join_all(due.into_iter().map(|order| self.take_up_order(cx, order))).await;
        let note = move |tx: &mut Tx<'_>| {
            again.iter().try_for_each(|(id, due_at)| match *due_at {
                Some(due_at) => tx.put(&UnpaidOrder { order_id: *id, due_at }),
                None => tx.delete::<UnpaidOrder>(id).map(drop),
            })
        };
        self.db.write_in(cx, Lane::Bulk, note).await?;
        Ok(more)
    }

    /// Has one checkout go on; when to look after it again, if it is to be.
    async fn take_up_order(&self, cx: &Cx, order: UnpaidOrder) -> (OrderId, Option<Timestamp>) {
        let id = order.order_id;
        let decided = |tx: &Tx<'_>| Ok::<_, StoreError>(queries::of_order(tx, id)?.is_some_and(|it| !it.undecided()));
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
