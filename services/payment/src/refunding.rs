//! Refunds: claimed in the books, requested from the provider, recorded; unanswered requests are repeated forever.

use promox_kernel::{Cx, Error};

use crate::Payments;
use crate::commands::refund;
use crate::queries;
use crate::records::{Payment, Refund};
use crate::rules;

/// Refunds handled by one run of the job.
const BATCH: usize = 10;

/// A payment after a refund was requested.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) payment: Payment,
    /// Whether the provider has not answered.
    pub(crate) waiting: bool,
}

impl Payments {
    /// Requests a refund by its own key; returns the provider's name for it, or `None` when it does not answer.
    pub(crate) async fn request_refund(&self, cx: &Cx, id: i64) -> Result<Option<String>, Error> {
        let read = self.db.read(|tx| {
            let refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
            queries::payment(tx, refund.payment_id)
        });
        let (payment, key) = (read.await?, rules::refund_key(id));
        Ok(self.within_limit(cx, self.gateways.of(payment.provider).refund(&cx.node.clock, &key)).await)
    }

    /// Settles a refund, or postpones it until the provider answers.
    pub(crate) async fn settle(&self, cx: &Cx, id: i64) -> Result<Settled, Error> {
        match self.request_refund(cx, id).await? {
            Some(reference) => {
                let payment = self.db.write(cx, move |tx| refund::settle(tx, id, &reference)).await?;
                Ok(Settled { payment, waiting: false })
            }
            None => self.put_off(cx, id).await,
        }
    }

    /// The provider does not answer: the job will ask again.
    pub(crate) async fn put_off(&self, cx: &Cx, id: i64) -> Result<Settled, Error> {
        tracing::warn!(refund = id, "the provider has not answered a refund request; will ask again");
        let payment = self.db.write(cx, move |tx| refund::postpone(tx, id)).await?;
        Ok(Settled { payment, waiting: true })
    }

    /// Repeats due refund requests, one bounded batch; whether there may be more.
    pub(crate) async fn settle_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| refund::due(tx, cx.now, BATCH)).await?;
        for refund in &due {
            self.settle(cx, refund.id).await?;
        }
        Ok(due.len() == BATCH)
    }
}
