//! Updates about a charge and their effects. Answers of a provider and its webhooks take the same path.

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{
    CaptureAt, PaymentAuthorized, PaymentCaptured, PaymentFailed, PaymentOutcome, PaymentStatus as Status,
};
use promox_kernel::{Amount, Currency, Error, Json, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use super::{NextStep, add_entry, claim, enter_released, refund, save};
use crate::charge::Charge;
use crate::queries;
use crate::records::{Attempt, Cancellation, CaptureStatus, EntryKind, Payment};
use crate::rules::{self, Choice, ProviderUpdate};

/// A validated request to pay for an order.
#[derive(Clone, Debug)]
pub(crate) struct PaymentRequest {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) choice: Choice,
    pub(crate) capture_at: CaptureAt,
}

impl PaymentRequest {
    /// The charge of an order that has no payment yet.
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            key: rules::charge_key(self.order_id),
            order_id: self.order_id,
            amount: self.amount,
            currency: self.currency,
            token: self.choice.token.clone().unwrap_or_default(),
            authorize_only: self.capture_at() == CaptureAt::Shipment,
            reference: None,
            stored_at: None,
        }
    }
}

impl PaymentRequest {
    /// When the money is captured; methods that staff record are not captured by a shipment.
    fn capture_at(&self) -> CaptureAt {
        if self.choice.provider.authorizes() { self.capture_at } else { CaptureAt::Order }
    }
}

/// Records a provider's answer to an order's charge. The first answer creates the payment, with this id.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    id: PaymentId,
    request: &PaymentRequest,
    attempts: &[Attempt],
    update: &ProviderUpdate,
) -> Result<Payment, StoreError> {
    let mut payment = match queries::of_order(tx, request.order_id)? {
        Some(known) => known,
        None => new_payment(id, request, tx.get::<Cancellation>(&request.order_id)?, tx.now()),
    };
    payment.record_attempts(attempts);
    apply_update(tx, payment, update)
}

/// Stores the payment of an order before its charge is registered, so that every attempt to register it has the same
/// idempotency key. The payment gets this id, unless an earlier attempt has stored it.
pub(crate) fn open(tx: &mut Tx<'_>, id: PaymentId, request: &PaymentRequest) -> Result<Payment, StoreError> {
    if let Some(known) = queries::of_order(tx, request.order_id)? {
        return Ok(known);
    }
    let mut payment = new_payment(id, request, tx.get::<Cancellation>(&request.order_id)?, tx.now());
    save(tx, &mut payment)?;
    Ok(payment)
}

/// Stores the provider's id of a charge before the charge is requested, so that it can be found and cancelled whatever
/// becomes of the request.
pub(crate) fn register(tx: &mut Tx<'_>, id: PaymentId, reference: &str) -> Result<Payment, Error> {
    let mut payment = queries::payment(tx, id)?;
    if payment.reference.is_none() && payment.undecided() {
        payment.reference = Some(reference.to_owned());
        save(tx, &mut payment)?;
    }
    Ok(payment)
}

/// The payment of an order before any update, not stored yet. It is cancelled from the start if the order has ended.
fn new_payment(id: PaymentId, request: &PaymentRequest, cancellation: Option<Cancellation>, now: Timestamp) -> Payment {
    let zero = request.currency.zero();
    Payment {
        id,
        order_id: request.order_id,
        user_id: request.user_id,
        provider: request.choice.provider,
        method: request.choice.method,
        status: Status::Pending,
        amount: request.amount,
        currency: request.currency,
        authorized: zero,
        captured: zero,
        refunded: zero,
        refunding: zero,
        voided: zero,
        failure_code: None,
        token: request.choice.token.clone(),
        reference: None,
        action: Json(None),
        attempts: Json(Vec::new()),
        tries: 0,
        entries: 0,
        cancelled_at: cancellation.as_ref().map(|cancellation| cancellation.at),
        cancel_reason: cancellation.map(|cancellation| cancellation.reason),
        version: 0,
        created_at: now,
        updated_at: now,
        capture_at: Some(request.capture_at()),
        capturing: None,
    }
}

/// The outcome of a payment whose first answer is a success, unless its order ends meanwhile; `None` for other answers.
pub(crate) fn first_outcome(
    id: PaymentId,
    request: &PaymentRequest,
    update: &ProviderUpdate,
    now: Timestamp,
) -> Option<PaymentOutcome> {
    let payment = new_payment(id, request, None, now);
    let (authorized, zero) = (payment.amount, payment.currency.zero());
    let (status, captured) = match update {
        ProviderUpdate::Captured { .. } => (Status::Captured, authorized),
        ProviderUpdate::Authorized { .. } => (Status::Authorized, zero),
        _ => return None,
    };
    Some(queries::outcome(&Payment { status, authorized, captured, ..payment }))
}

/// Applies an update and stores the payment. An update that the status does not allow has no effect.
pub(crate) fn apply_update(
    tx: &mut Tx<'_>,
    mut payment: Payment,
    update: &ProviderUpdate,
) -> Result<Payment, StoreError> {
    if let Some(status) = rules::next(payment.status, update) {
        let before = std::mem::replace(&mut payment.status, status);
        apply_effects(tx, &mut payment, update)?;
        if status == Status::Authorized && before != Status::Pending {
            report_authorized(tx, &payment)?;
        }
        if !matches!(payment.status, Status::Pending | Status::RequiresAction) {
            payment.token = None;
        }
    }
    save(tx, &mut payment)?;
    Ok(payment)
}

/// Records the effects of an update on a payment that has its new status. The caller stores the payment.
fn apply_effects(tx: &mut Tx<'_>, payment: &mut Payment, update: &ProviderUpdate) -> Result<(), StoreError> {
    payment.action = Json(None);
    match update {
        ProviderUpdate::Authorized { reference } => authorize(tx, payment, reference)?,
        ProviderUpdate::Captured { reference } => capture(tx, payment, reference)?,
        ProviderUpdate::NeedsAction { reference, action } => {
            payment.reference = Some(reference.clone());
            payment.action = Json(Some(action.clone()));
        }
        ProviderUpdate::Processing { reference } => payment.reference = Some(reference.clone()),
        ProviderUpdate::Declined { code } => {
            payment.failure_code = Some(code.clone());
            let (payment_id, order_id, code) = (payment.id, payment.order_id, code.clone());
            tx.emit(payment_id, &PaymentFailed { payment_id, order_id, code })?;
        }
        ProviderUpdate::Voided => void(tx, payment)?,
        ProviderUpdate::NoAnswer => {}
    }
    Ok(())
}

/// Reports an authorisation for which the order waits.
fn report_authorized(tx: &mut Tx<'_>, payment: &Payment) -> Result<(), StoreError> {
    let Payment { id: payment_id, order_id, authorized: amount, currency, .. } = *payment;
    tx.emit(payment_id, &PaymentAuthorized { payment_id, order_id, amount, currency })
}

/// Records once that the provider states another amount for a payment than is due, such as one that it has captured: the
/// payment shows the code `PAYMENT_MISMATCH`, and the audit log both amounts. The money is not booked.
pub(crate) fn record_mismatch(tx: &mut Tx<'_>, id: PaymentId, stated: &str) -> Result<(), Error> {
    let mut payment = queries::payment(tx, id)?;
    if payment.failure_code.as_deref() == Some(codes::PAYMENT_MISMATCH) {
        return Ok(());
    }
    payment.failure_code = Some(codes::PAYMENT_MISMATCH.to_owned());
    let (due, subject) = (format!("{} {}", payment.due(), payment.currency), format!("payment:{id}"));
    tx.emit(id, &Audited::new("system".to_owned(), "payment.mismatch", subject, due, stated))?;
    Ok(save(tx, &mut payment)?)
}

/// Marks the whole amount as voided. Unless the order ended first, its payment is reported as failed.
fn void(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), StoreError> {
    payment.voided = payment.amount;
    claim::close_pending(tx, payment, CaptureStatus::Failed)?;
    if payment.authorized > payment.captured {
        let amount = payment.authorized - payment.captured;
        add_entry(tx, payment, (EntryKind::Void, amount), None, None)?;
    }
    if payment.cancelled_at.is_none() {
        let (payment_id, order_id, code) = (payment.id, payment.order_id, "VOIDED".to_owned());
        tx.emit(payment_id, &PaymentFailed { payment_id, order_id, code })?;
    }
    Ok(())
}

/// Records an authorisation of the amount due.
fn authorize(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str) -> Result<(), StoreError> {
    payment.authorized = payment.due();
    payment.reference = Some(reference.to_owned());
    add_entry(tx, payment, (EntryKind::Authorize, payment.authorized), Some(reference.to_owned()), None)
}

/// Records a capture of all that is due. If the order has ended, the refund is opened in the same transaction.
fn capture(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str) -> Result<(), StoreError> {
    if payment.due().is_zero() {
        // The provider captured a voided payment: the whole amount counts as captured, so that all of it is refunded.
        payment.voided = payment.currency.zero();
    }
    if payment.authorized.is_zero() {
        authorize(tx, payment, reference)?;
    }
    claim::close_pending(tx, payment, CaptureStatus::Succeeded)?;
    add_capture(tx, payment, payment.due() - payment.captured, reference)
}

/// Enters a captured amount and sets the status that follows. The caller stores the payment.
pub(crate) fn add_capture(
    tx: &mut Tx<'_>,
    payment: &mut Payment,
    amount: Amount,
    reference: &str,
) -> Result<(), StoreError> {
    payment.captured += amount;
    payment.failure_code = None;
    payment.status = payment.status_by_amounts();
    add_entry(tx, payment, (EntryKind::Capture, amount), Some(reference.to_owned()), None)?;
    enter_released(tx, payment)?;
    let (payment_id, order_id, status) = (payment.id, payment.order_id, Some(payment.status));
    tx.emit(payment_id, &PaymentCaptured { payment_id, order_id, amount, currency: payment.currency, status })?;
    if payment.cancelled_at.is_some() {
        refund::open_cancel_refund(tx, payment)?;
    }
    Ok(())
}

/// Records that an order has ended, so that a later capture is refunded. Returns what to request from the provider.
pub(crate) fn cancel(tx: &mut Tx<'_>, order_id: OrderId, reason: &str) -> Result<NextStep, StoreError> {
    let Some(mut payment) = queries::of_order(tx, order_id)? else {
        if tx.get::<Cancellation>(&order_id)?.is_none() {
            tx.insert(&Cancellation { order_id, reason: reason.to_owned(), at: tx.now() })?;
        }
        return Ok(NextStep::Done);
    };
    if payment.check_void().is_ok() || payment.is_open_after_failure() {
        return begin_void(tx, payment, reason).map(|payment| NextStep::Void(Box::new(payment)));
    }
    if let Some(id) = refund::pending_cancel_refund(tx, payment.id)? {
        return Ok(NextStep::Refund(id));
    }
    let newly_cancelled = payment.cancelled_at.is_none();
    payment.cancel(reason, tx.now());
    let refund_id = refund::open_cancel_refund(tx, &mut payment)?;
    if newly_cancelled || refund_id.is_some() {
        save(tx, &mut payment)?;
    }
    Ok(refund_id.map_or(NextStep::Done, NextStep::Refund))
}

/// Records that a charge is being voided, before the provider is called.
pub(crate) fn begin_void(tx: &mut Tx<'_>, mut payment: Payment, reason: &str) -> Result<Payment, StoreError> {
    if payment.cancelled_at.is_none() {
        payment.cancel(reason, tx.now());
        save(tx, &mut payment)?;
    }
    Ok(payment)
}
