//! Refunding: calls the provider for a claimed refund and records the outcome. Unanswered requests are repeated until
//! the provider answers.

use futures_util::stream::{self, StreamExt as _};
use promox_contract::audit::Audited;
use promox_kernel::{Cx, Error, multiline};
use promox_storage::{Recall, Tx};

use crate::charge::Charge;
use crate::commands::refund;
use crate::gateway::RefundRequest;
use crate::records::{Payment, Refund};
use crate::{CreateRefund, Payments, queries};

/// Maximum refunds handled by one run of the job.
const BATCH: usize = 64;
/// Maximum refunds that wait for a provider at once.
const MAX_CONCURRENT: usize = 16;

/// A payment after an attempt at a refund.
#[derive(Debug)]
pub(crate) struct RefundAttempt {
    pub(crate) payment: Payment,
    /// Whether the refund is still waiting for the provider.
    pub(crate) waiting: bool,
}

impl Payments {
    /// Requests a refund under its own key. Returns the provider's reference; `None` when the provider does not answer.
    pub(crate) async fn request_refund(&self, cx: &Cx, id: i64) -> Result<Option<String>, Error> {
        let read = self.db.read(|tx| {
            let refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
            Ok::<_, Error>((queries::payment(tx, refund.payment_id)?, refund.amount))
        });
        let (payment, amount) = read.await?;
        // A provider that is not configured any more is silent like one that does not answer.
        let Ok(gateway) = self.gateways.of(payment.provider) else { return Ok(None) };
        let request = RefundRequest { id, amount, charge: Charge::of(&payment) };
        Ok(self.within_limit(cx, gateway.refund(&cx.node, &request)).await)
    }

    /// Settles a refund, or postpones it until the provider answers.
    pub(crate) async fn settle(&self, cx: &Cx, id: i64) -> Result<RefundAttempt, Error> {
        match self.request_refund(cx, id).await? {
            Some(reference) => {
                let payment = self.db.write(cx, move |tx| refund::settle(tx, id, &reference)).await?;
                Ok(RefundAttempt { payment, waiting: false })
            }
            None => self.postpone(cx, id).await,
        }
    }

    /// Schedules another attempt by the job, because the provider has not answered.
    pub(crate) async fn postpone(&self, cx: &Cx, id: i64) -> Result<RefundAttempt, Error> {
        tracing::warn!(refund = id, "the provider has not answered a refund request; it will be repeated");
        let payment = self.db.write(cx, move |tx| refund::postpone(tx, id)).await?;
        Ok(RefundAttempt { payment, waiting: true })
    }

    /// Repeats one bounded batch of due refund requests. Returns whether there may be more.
    pub(crate) async fn settle_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| refund::due(tx, cx.now, BATCH)).await?;
        let more = due.len() == BATCH;
        let requests: Vec<_> = due.into_iter().map(|refund| self.settle(cx, refund.id)).collect();
        let results: Vec<_> = stream::iter(requests).buffer_unordered(MAX_CONCURRENT).collect().await;
        results.into_iter().try_for_each(|result| result.map(drop))?;
        Ok(more)
    }

    /// Claims the amount and the idempotency key in one transaction. Returns the refund's id; a repeated request gets
    /// the same refund.
    pub(crate) async fn open_refund(&self, cx: &Cx, op: CreateRefund) -> Result<i64, Error> {
        let reason = multiline(&op.reason, 1, 200).map_err(|fault| Error::field("/reason", fault))?;
        let (claim, actor) = (cx.claim.clone(), cx.principal.name());
        let work = move |tx: &mut Tx<'_>| {
            if let Some(claim) = &claim
                && let Recall::Undecided(refund) = tx.recall(claim)?
            {
                return Ok(refund);
            }
            let refund = refund::request(tx, op.id, op.amount, &reason)?;
            if let Some(claim) = &claim {
                tx.claim(claim, refund)?;
            }
            let entry = Audited::new(actor.clone(), "payment.refund", format!("payment:{}", op.id), (), refund);
            tx.emit(op.id, &entry)?;
            Ok::<_, Error>(refund)
        };
        self.db.write(cx, work).await
    }
}
