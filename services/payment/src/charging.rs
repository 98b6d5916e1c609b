//! Charging and voiding: calls a provider within a time limit and records the outcome in one transaction.

use std::future::Future;
use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentAction, PaymentOutcome, ReturnSettlement};
use promox_kernel::{Cx, Error};
use promox_storage::{Transaction, Tx};
use tokio::time::Instant;

use crate::Payments;
use crate::commands::NextStep;
use crate::commands::charge::{self, PaymentRequest};
use crate::commands::refund::{self, ReturnRefund};
use crate::gateway::{Answer, Charge, Failed};
use crate::queries;
use crate::records::{Attempt, AttemptOutcome, Payment, Provider, Settlement};
use crate::reject;
use crate::rules::{self, ProviderUpdate};

/// The part of a request's time reserved for recording the outcome.
const MARGIN: Duration = Duration::from_millis(500);
/// The pauses between attempts while the provider fails.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];

impl Payments {
    /// How long to wait for a provider: the configured limit, or the rest of the request's time if that is less.
    fn time_limit(&self, cx: &Cx) -> Duration {
        let left = cx.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        self.settings.provider_limit.min(left)
    }

    /// Waits for a provider's answer. Returns `None` when the call fails or times out; the provider may have carried
    /// out the request all the same.
    pub(crate) async fn within_limit<T>(&self, cx: &Cx, call: impl Future<Output = Result<T, Failed>>) -> Option<T> {
        tokio::select! {
            biased;
            answer = call => answer.ok(),
            () = cx.node.clock.sleep(self.time_limit(cx)) => None,
        }
    }

    /// Refuses sandbox payments while the sandbox is disabled, even for orders placed while it was enabled.
    pub(crate) fn check_sandbox(&self, provider: Provider) -> Result<(), Error> {
        if provider == Provider::Sandbox && !self.settings.sandbox { Err(reject::sandbox_off()) } else { Ok(()) }
    }

    /// Charges an order. The returned transaction replies with the outcome. If the provider has decided an earlier
    /// attempt, no call is made. A first answer that is a capture is recorded by the transaction, so that the order can
    /// be confirmed in the same group; every other answer has been recorded before this returns.
    pub(crate) async fn take(&self, cx: &Cx, request: PaymentRequest) -> Result<Transaction<PaymentOutcome>, Error> {
        let known = self.db.read(|tx| queries::chargeable(tx, request.order_id)).await?;
        if let Some(known) = &known {
            check_same_payment(known, &request)?;
            if !known.undecided() {
                return Ok(self.recorded(queries::outcome(known)));
            }
        }
        let id = match &known {
            Some(known) => known.id,
            None => PaymentId(self.ids.next(cx).await?),
        };
        let charge = Charge {
            key: rules::charge_key(request.order_id),
            token: request.choice.token.clone().unwrap_or_default(),
            earlier_tries: known.as_ref().map_or(0, |known| known.tries),
        };
        let (update, attempts) = match self.check_sandbox(request.choice.provider) {
            Ok(()) => self.charge(cx, request.choice.provider, &charge).await,
            Err(reject) => (ProviderUpdate::Declined { code: reject.code().to_owned() }, Vec::new()),
        };
        let is_first_capture = known.is_none() && matches!(update, ProviderUpdate::Captured { .. });
        let expected = is_first_capture.then(|| charge::captured_outcome(id, &request, cx.now));
        let record = move |tx: &mut Tx<'_>| charge::record(tx, id, &request, &attempts, &update);
        if let Some(expected) = expected {
            let transaction = self.db.transaction(move |tx| Ok(queries::outcome(&record(tx)?)));
            return Ok(transaction.expecting(expected));
        }
        let payment = self.db.write(cx, record).await?;
        Ok(self.recorded(self.refund_late_capture(cx, payment).await?))
    }

    /// A transaction that replies with an outcome that is recorded.
    fn recorded(&self, outcome: PaymentOutcome) -> Transaction<PaymentOutcome> {
        let reply = outcome.clone();
        self.db.transaction(move |_| Ok(reply.clone())).expecting(outcome)
    }

    /// Requests a charge, with retries while the provider fails and time is left. Returns the update and the attempts.
    async fn charge(&self, cx: &Cx, provider: Provider, charge: &Charge) -> (ProviderUpdate, Vec<Attempt>) {
        let (clock, gateway) = (&cx.node.clock, self.gateways.of(provider));
        let until = clock.now() + self.time_limit(cx);
        let mut attempts = Vec::new();
        for pause in PAUSES {
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
            let answer = tokio::select! {
                biased;
                answer = gateway.charge(clock, charge) => Some(answer),
                () = clock.sleep_until(until) => None,
            };
            if answer != Some(Ok(Answer::Awaited)) {
                attempts.push(attempt(clock.now(), answer.as_ref()));
            }
            match answer {
                Some(Ok(answer)) => return (update(answer), attempts),
                Some(Err(Failed)) => {}
                None => break,
            }
        }
        (ProviderUpdate::NoAnswer, attempts)
    }

    /// Refunds a payment captured after its order ended. If the provider does not answer, a job repeats the request.
    pub(crate) async fn refund_late_capture(&self, cx: &Cx, payment: Payment) -> Result<PaymentOutcome, Error> {
        if payment.cancelled_at.is_some()
            && let Some(refund) = self.db.read(|tx| refund::pending_cancel_refund(tx, payment.id)).await?
        {
            let settled = self.settle(cx, refund).await?;
            return Ok(queries::outcome(&settled.payment));
        }
        Ok(queries::outcome(&payment))
    }

    /// Ends an order's payment: voids it, or refunds what is left. Refused while the provider does not answer.
    pub(crate) async fn cancel(&self, cx: &Cx, order_id: OrderId, reason: String) -> Result<(), Error> {
        match self.db.write(cx, move |tx| charge::cancel(tx, order_id, &reason)).await? {
            NextStep::Done => Ok(()),
            NextStep::Void(payment) => self.void(cx, &payment).await,
            NextStep::Refund(refund) => {
                let settled = self.settle(cx, refund).await?;
                if settled.waiting { Err(reject::no_answer()) } else { Ok(()) }
            }
        }
    }

    /// Voids a charge at the provider and records it. If it was captured in the meantime, it is refunded.
    pub(crate) async fn void(&self, cx: &Cx, payment: &Payment) -> Result<(), Error> {
        self.void_charge(cx, payment).await?;
        let id = payment.id;
        let payment = self.db.write(cx, move |tx| apply_update(tx, id, &ProviderUpdate::Voided)).await?;
        self.refund_late_capture(cx, payment).await.map(drop)
    }

    /// Decides and requests the refund of a return. If the provider does not answer, a job repeats the request.
    pub(crate) async fn settle_return(&self, cx: &Cx, request: ReturnRefund) -> Result<ReturnSettlement, Error> {
        let order_id = request.order_id;
        let decided = self.db.write(cx, move |tx| refund::decide_return(tx, &request)).await?;
        match decided.next {
            NextStep::Done => {}
            NextStep::Void(payment) => self.void(cx, &payment).await?,
            NextStep::Refund(refund) => drop(self.settle(cx, refund).await?),
        }
        let payment = self.db.read(|tx| queries::of_order(tx, order_id)).await?;
        let payment = payment.as_ref().map(queries::outcome).ok_or_else(|| Error::not_found("payment"))?;
        let Settlement { refund, voided, fee, .. } = decided.settlement;
        Ok(ReturnSettlement { refund, voided, fee, payment })
    }

    /// Requests the void of a charge from the provider.
    async fn void_charge(&self, cx: &Cx, payment: &Payment) -> Result<(), Error> {
        let key = rules::charge_key(payment.order_id);
        let call = self.gateways.of(payment.provider).void(&cx.node.clock, &key);
        self.within_limit(cx, call).await.ok_or_else(reject::no_answer)
    }
}

/// Applies an update to an existing payment.
pub(crate) fn apply_update(tx: &mut Tx<'_>, id: PaymentId, update: &ProviderUpdate) -> Result<Payment, Error> {
    let payment = queries::payment(tx, id)?;
    Ok(charge::apply_update(tx, payment, update)?)
}

/// Refuses another amount or currency than the order's existing payment, and an undecided payment whose order has
/// ended.
fn check_same_payment(known: &Payment, request: &PaymentRequest) -> Result<(), Error> {
    if (known.amount, known.currency) != (request.amount, request.currency) {
        return Err(reject::mismatch(known.amount, known.currency));
    }
    if known.undecided() && known.cancelled_at.is_some() {
        return Err(reject::cancelled());
    }
    Ok(())
}

/// The record of a charge request that ended at a time. `answer` is `None` if the request timed out.
fn attempt(at: promox_kernel::Timestamp, answer: Option<&Result<Answer, Failed>>) -> Attempt {
    let (outcome, code) = match answer {
        Some(Ok(Answer::Declined { code })) => (AttemptOutcome::Declined, Some((*code).to_owned())),
        Some(Ok(_)) => (AttemptOutcome::Answered, None),
        Some(Err(Failed)) => (AttemptOutcome::ProviderError, None),
        None => (AttemptOutcome::NoAnswer, None),
    };
    Attempt { at, outcome, code }
}

/// The update of a charge that follows from a provider's answer.
fn update(answer: Answer) -> ProviderUpdate {
    match answer {
        Answer::Awaited => ProviderUpdate::NoAnswer,
        Answer::Captured { reference } => ProviderUpdate::Captured { reference },
        Answer::NeedsAction { reference, url } => {
            ProviderUpdate::NeedsAction { reference, action: PaymentAction { kind: "REDIRECT".to_owned(), url } }
        }
        Answer::Declined { code } => ProviderUpdate::Declined { code: code.to_owned() },
    }
}
