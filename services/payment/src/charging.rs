//! Charging and voiding: calls a provider within a time limit and records the outcome in one transaction.

use std::future::Future;
use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentOutcome, ReturnSettlement};
use promox_kernel::{Cx, Error, Timestamp};
use promox_storage::{Transaction, Tx};
use tokio::time::Instant;

use crate::Payments;
use crate::charge::{Charge, Received};
use crate::commands::NextStep;
use crate::commands::charge::{self, PaymentRequest};
use crate::commands::refund::{self, ReturnRefund};
use crate::gateway::{Answer, Answering, Failed, Gateway, Registration};
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
        self.provider_limit.min(left)
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

    /// Waits for a provider's answer about a stored payment. Returns `None` also if the provider has captured another
    /// amount than it should: nothing is booked then, and the deviation is recorded for staff, who must settle it with
    /// the provider.
    pub(crate) async fn ask(
        &self,
        cx: &Cx,
        id: PaymentId,
        call: impl Future<Output = Result<Answer, Failed>>,
    ) -> Result<Option<Answer>, Error> {
        let answer = self.within_limit(cx, call).await;
        let Some(Answer::Mismatch { received }) = answer else { return Ok(answer) };
        self.record_mismatch(cx, id, received).await?;
        Ok(None)
    }

    /// Records that the provider has captured another amount of a payment than it should.
    async fn record_mismatch(&self, cx: &Cx, id: PaymentId, received: Received) -> Result<(), Error> {
        tracing::error!(payment = id.0, %received, "the provider has captured another amount than was asked for");
        self.db.write(cx, move |tx| charge::record_mismatch(tx, id, &received.to_string())).await
    }

    /// The provider of a new charge. Refused if it accepts no charges, even for orders placed while it did.
    pub(crate) fn charging(&self, provider: Provider) -> Result<&dyn Gateway, Error> {
        let gateway = self.gateways.of(provider)?;
        if gateway.accepts_charges() { Ok(gateway) } else { Err(reject::provider_off(provider)) }
    }

    /// Charges an order. The returned transaction replies with the outcome. If the provider has decided an earlier
    /// attempt, no call is made. A first answer that is a success is recorded by the transaction, so that the order can
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
        let mut attempts = Vec::new();
        let (update, is_stored) = match self.charging(known.as_ref().map_or(request.choice.provider, |it| it.provider))
        {
            Ok(gateway) => self.charge(cx, gateway, (id, &request), known.as_ref(), &mut attempts).await?,
            // A charge that was requested may have been carried out: it is not declined until the provider can be asked.
            Err(_) if known.as_ref().is_some_and(|known| known.reference.is_some()) => (ProviderUpdate::NoAnswer, true),
            Err(reject) => (ProviderUpdate::Declined { code: reject.code().to_owned() }, known.is_some()),
        };
        let expected = if is_stored { None } else { charge::first_outcome(id, &request, &update, cx.now) };
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

    /// Registers a charge where the provider needs it, and requests it. Adds the attempts; returns the update and
    /// whether the payment is stored.
    async fn charge(
        &self,
        cx: &Cx,
        gateway: &dyn Gateway,
        (id, request): (PaymentId, &PaymentRequest),
        known: Option<&Payment>,
        attempts: &mut Vec<Attempt>,
    ) -> Result<(ProviderUpdate, bool), Error> {
        let (node, until) = (&*cx.node, cx.node.clock.now() + self.time_limit(cx));
        let mut charge = known.map_or_else(|| request.charge(), Charge::of);
        let (mut id, earlier_tries) = (id, known.map_or(0, |known| known.tries));
        let mut is_stored = known.is_some();
        if charge.reference.is_none() && gateway.registers() {
            let request = request.clone();
            let payment = self.db.write(cx, move |tx| charge::open(tx, id, &request)).await?;
            (id, charge, is_stored) = (payment.id, Charge::of(&payment), true);
            check_not_ended(&payment)?;
        }
        if charge.reference.is_none() && gateway.registers() {
            match retried(cx, until, attempts, |_| gateway.register(node, &charge)).await {
                Some(Registration::Registered { reference }) => {
                    let stored = reference.clone();
                    let payment = self.db.write(cx, move |tx| charge::register(tx, id, &stored)).await?;
                    check_not_ended(&payment)?;
                    // A concurrent attempt may have registered the charge first: its reference is the one to use.
                    charge.reference = payment.reference.or(Some(reference));
                }
                Some(Registration::Declined { code }) => {
                    attempts.push(attempt(cx.node.clock.now(), AttemptOutcome::Declined, Some(code.clone())));
                    return Ok((ProviderUpdate::Declined { code }, is_stored));
                }
                None => return Ok((ProviderUpdate::NoAnswer, is_stored)),
            }
        }
        let answer = retried(cx, until, attempts, |n| gateway.charge(node, &charge, earlier_tries + n)).await;
        let at = cx.node.clock.now();
        match &answer {
            None | Some(Answer::Awaited) => {}
            // Only a registered charge can be captured for another amount, so the payment is stored.
            Some(Answer::Mismatch { received }) => self.record_mismatch(cx, id, received.clone()).await?,
            Some(Answer::Declined { code }) => {
                attempts.push(attempt(at, AttemptOutcome::Declined, Some(code.clone())));
            }
            Some(_) => attempts.push(attempt(at, AttemptOutcome::Answered, None)),
        }
        Ok((answer.map_or(ProviderUpdate::NoAnswer, Answer::update), is_stored))
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
        let (gateway, charge) = (self.gateways.of(payment.provider)?, Charge::of(payment));
        let answer = self.ask(cx, payment.id, gateway.void(&cx.node, &charge)).await?;
        let update = answer.map_or(ProviderUpdate::NoAnswer, Answer::update);
        if !matches!(update, ProviderUpdate::Voided | ProviderUpdate::Captured { .. }) {
            return Err(reject::no_answer());
        }
        let id = payment.id;
        let payment = self.db.write(cx, move |tx| apply_update(tx, id, &update)).await?;
        self.refund_late_capture(cx, payment).await.map(drop)
    }

    /// Asks the provider for the state of an order's payment, unless it is decided, and records it.
    pub(crate) async fn refresh(&self, cx: &Cx, order_id: OrderId) -> Result<PaymentOutcome, Error> {
        let payment = self.db.read(|tx| queries::of_order(tx, order_id)).await?;
        let payment = payment.ok_or_else(|| Error::not_found("payment"))?;
        if payment.check_confirm().is_err() {
            return Ok(queries::outcome(&payment));
        }
        let (gateway, charge, id) = (self.gateways.of(payment.provider)?, Charge::of(&payment), payment.id);
        let answer = self.ask(cx, id, gateway.inquire(&cx.node, &charge)).await?.ok_or_else(reject::no_answer)?;
        let update = answer.update();
        if rules::next(payment.status, &update).is_none() {
            return Ok(queries::outcome(&payment));
        }
        let payment = self.db.write(cx, move |tx| apply_update(tx, id, &update)).await?;
        self.refund_late_capture(cx, payment).await
    }

    /// Decides and requests the refund of a return. If the provider does not answer, a job repeats the request.
    pub(crate) async fn settle_return(&self, cx: &Cx, request: ReturnRefund) -> Result<ReturnSettlement, Error> {
        let order_id = request.order_id;
        if let Some(payment) = self.db.read(|tx| queries::of_order(tx, order_id)).await? {
            self.request_captures(cx, payment.id).await?;
        }
        let decided = self.db.write(cx, move |tx| refund::decide_return(tx, &request)).await?;
        match decided.next {
            NextStep::Done => {}
            NextStep::Void(payment) => self.void(cx, &payment).await?,
            NextStep::Refund(refund) => drop(self.settle(cx, refund).await?),
        }
        if let Some(payment) = decided.release {
            self.release(cx, &payment).await?;
        }
        let payment = self.db.read(|tx| queries::of_order(tx, order_id)).await?;
        let payment = payment.as_ref().map(queries::outcome).ok_or_else(|| Error::not_found("payment"))?;
        let Settlement { refund, voided, fee, .. } = decided.settlement;
        Ok(ReturnSettlement { refund, voided, fee, payment })
    }
}

/// Repeats a call while the provider fails and time is left. `call` is given the number of failures so far, each of which
/// is added to the attempts. Returns `None` without an answer; the provider may have carried out the call all the same.
async fn retried<'a, T>(
    cx: &Cx,
    until: Timestamp,
    attempts: &mut Vec<Attempt>,
    call: impl Fn(u32) -> Answering<'a, T>,
) -> Option<T> {
    let clock = &cx.node.clock;
    for (failures, pause) in (0..).zip(PAUSES) {
        if !pause.is_zero() {
            clock.sleep(pause).await;
        }
        let answer = tokio::select! {
            biased;
            answer = call(failures) => Some(answer),
            () = clock.sleep_until(until) => None,
        };
        match answer {
            Some(Ok(answer)) => return Some(answer),
            Some(Err(Failed)) => attempts.push(attempt(clock.now(), AttemptOutcome::ProviderError, None)),
            None => {
                attempts.push(attempt(clock.now(), AttemptOutcome::NoAnswer, None));
                return None;
            }
        }
    }
    None
}

/// Applies an update to an existing payment.
pub(crate) fn apply_update(tx: &mut Tx<'_>, id: PaymentId, update: &ProviderUpdate) -> Result<Payment, Error> {
    let payment = queries::payment(tx, id)?;
    Ok(charge::apply_update(tx, payment, update)?)
}

/// Refuses a charge whose order has ended.
fn check_not_ended(payment: &Payment) -> Result<(), Error> {
    if payment.cancelled_at.is_some() { Err(reject::cancelled()) } else { Ok(()) }
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

fn attempt(at: Timestamp, outcome: AttemptOutcome, code: Option<String>) -> Attempt {
    Attempt { at, outcome, code }
}
