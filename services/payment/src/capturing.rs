//! Capturing what was shipped: calls the provider for a claimed capture and records the outcome. Unanswered requests
//! are repeated until the provider answers.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use promox_contract::audit::Audited;
use promox_contract::ids::PaymentId;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Cx, Error};
use promox_storage::Tx;

use crate::api::PaymentView;
use crate::charge::Charge;
use crate::charging::apply_update;
use crate::commands::{capture, claim};
use crate::gateway::{Answer, CaptureRequest};
use crate::records::{Capture, Payment};
use crate::{Payments, queries, reject, rules};

/// Maximum captures handled by one run of the job.
const BATCH: usize = 64;
/// Maximum captures that wait for a provider at once, each of another payment.
const MAX_CONCURRENT: usize = 16;

impl Payments {
    /// Requests one bounded batch of due captures: those of one payment one after another, and those of several
    /// payments at once, so that one that is not answered delays no other. Returns whether there may be more.
    pub(crate) async fn capture_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| queries::due_captures(tx, cx.now, BATCH)).await?;
        let more = due.len() == BATCH;
        let mut by_payment = BTreeMap::<PaymentId, Vec<Capture>>::new();
        for capture in due {
            by_payment.entry(capture.payment_id).or_default().push(capture);
        }
        let requests = by_payment.into_values().map(|captures| self.request_in_order(cx, captures));
        let results: Vec<_> =
            stream::iter(requests.collect::<Vec<_>>()).buffer_unordered(MAX_CONCURRENT).collect().await;
        results.into_iter().collect::<Result<(), Error>>()?;
        Ok(more)
    }

    /// Requests captures of one payment.
    async fn request_in_order(&self, cx: &Cx, captures: Vec<Capture>) -> Result<(), Error> {
        for capture in &captures {
            self.request_capture(cx, capture).await?;
        }
        Ok(())
    }

    /// Requests the pending captures of a payment.
    pub(crate) async fn request_captures(&self, cx: &Cx, id: PaymentId) -> Result<(), Error> {
        let pending = self.db.read(|tx| queries::pending_captures(tx, id)).await?;
        self.request_in_order(cx, pending).await
    }

    /// Requests a capture under its own key and records the answer, or postpones it. A charge that the provider has
    /// cancelled is recorded as voided, which ends its captures.
    async fn request_capture(&self, cx: &Cx, claimed: &Capture) -> Result<(), Error> {
        let (id, payment_id) = (claimed.id, claimed.payment_id);
        let payment = self.db.read(|tx| queries::payment(tx, payment_id)).await?;
        let answer = match self.gateways.of(payment.provider) {
            Ok(gateway) => {
                let (key, charge) = (rules::capture_key(id), Charge::of(&payment));
                let request = CaptureRequest { key, amount: claimed.amount, charge };
                self.ask(cx, payment_id, gateway.capture(&cx.node, &request)).await?
            }
            // A provider that is not configured any more is silent like one that does not answer.
            Err(_) => None,
        };
        match answer {
            Some(Answer::Captured { reference }) => {
                let payment = self.db.write(cx, move |tx| capture::settle(tx, id, &reference)).await?;
                self.refund_late_capture(cx, payment).await.map(drop)
            }
            Some(Answer::Cancelled) => {
                tracing::error!(
                    payment = payment_id.0,
                    "goods were shipped, but the provider has cancelled their payment"
                );
                let update = Answer::Cancelled.update();
                self.db.write(cx, move |tx| apply_update(tx, payment_id, &update)).await.map(drop)
            }
            _ => {
                tracing::warn!(capture = id, "the provider has not answered a capture request; it will be repeated");
                self.db.write(cx, move |tx| capture::postpone(tx, id)).await
            }
        }
    }

    /// Has the provider release what is authorised and no longer due.
    pub(crate) async fn release(&self, cx: &Cx, payment: &Payment) -> Result<(), Error> {
        let (gateway, charge) = (self.gateways.of(payment.provider)?, Charge::of(payment));
        self.within_limit(cx, gateway.void(&cx.node, &charge)).await.map(drop).ok_or_else(reject::no_answer)
    }

    /// Captures all that is left of a payment whose money is captured as goods are shipped, ahead of the goods.
    pub(crate) async fn capture_rest(&self, cx: &Cx, payment: Payment) -> Result<PaymentView, Error> {
        let (id, actor, was) = (payment.id, cx.principal.name(), payment.status);
        self.db.write(cx, move |tx| claim::claim_all(tx, id)).await?;
        self.request_captures(cx, id).await?;
        let now = self.db.read(|tx| queries::payment(tx, id)).await?;
        if now.status == PaymentStatus::Voided {
            return Err(reject::transition(now.status, PaymentStatus::Captured));
        }
        if now.capturing().is_zero() {
            let work = move |tx: &mut Tx<'_>| {
                let payment = queries::payment(tx, id)?;
                let subject = format!("payment:{id}");
                tx.emit(id, &Audited::new(actor.clone(), "payment.capture", subject, was, payment.status))?;
                Ok(queries::view(tx, payment)?)
            };
            return self.db.answer(cx, work).await;
        }
        let mut view = self.db.read(|tx| queries::view(tx, now.clone())).await?;
        view.waiting = true;
        Ok(view)
    }
}
