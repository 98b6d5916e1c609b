//! Refunds: the amount is claimed, then the provider is called, then the refund is entered in the ledger.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentRefunded, PaymentStatus as Status};
use promox_kernel::{Amount, BackOff, Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::{NextStep, add_entry, claim, enter_released, save};
use crate::queries;
use crate::records::{EntryKind, Payment, Refund, RefundByDue, RefundByReference, RefundStatus, Settlement};
use crate::reject;
use crate::rules::{self, MAX_REFUNDS, ReturnEffect};

/// The reference of the refund that follows the end of an order.
const CANCEL: &str = "cancel";
/// How long the request that opens a refund has to settle it before the job repeats the call.
const FIRST_RETRY_AFTER: Duration = Duration::from_secs(20);
/// The pauses between attempts, limited to [`MAX_PAUSE`].
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 9 };
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// Opens a refund and claims its amount, so that no other refund can use it. Without `reference` it is named after its
/// id. The caller stores the payment.
fn open(
    tx: &mut Tx<'_>,
    payment: &mut Payment,
    reference: Option<&str>,
    amount: Amount,
    reason: &str,
) -> Result<i64, StoreError> {
    let id = tx.next_id::<Refund>()?;
    payment.refunding += amount;
    tx.insert(&Refund {
        id,
        payment_id: payment.id,
        reference: reference.map_or_else(|| format!("request:{id}"), str::to_owned),
        amount,
        reason: reason.to_owned(),
        status: RefundStatus::Pending,
        tries: 0,
        due_at: Some(tx.now() + FIRST_RETRY_AFTER),
        created_at: tx.now(),
        settled_at: None,
    })?;
    Ok(id)
}

/// Opens the refund of everything that is left after the order ended; `None` if nothing is left. The caller stores the
/// payment.
pub(crate) fn open_cancel_refund(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<Option<i64>, StoreError> {
    let left = payment.left();
    if left <= Amount::ZERO {
        return Ok(None);
    }
    let reason = payment.cancel_reason.clone().unwrap_or_default();
    open(tx, payment, Some(CANCEL), left, &reason).map(Some)
}

/// The id of the pending refund that follows the end of an order, if there is one.
pub(crate) fn pending_cancel_refund(tx: &Tx<'_>, payment_id: PaymentId) -> Result<Option<i64>, StoreError> {
    let refund = tx.get_by::<RefundByReference>((payment_id, CANCEL))?;
    Ok(refund.filter(|refund| refund.status == RefundStatus::Pending).map(|refund| refund.id))
}

/// Opens a refund requested by an administrator: of `amount`, or of everything that is left. Returns the refund's id.
pub(crate) fn request(tx: &mut Tx<'_>, id: PaymentId, amount: Option<Amount>, reason: &str) -> Result<i64, Error> {
    let mut payment = queries::payment(tx, id)?;
    let amount = amount.map(|amount| rules::money(amount, payment.currency)).transpose()?;
    let amount = amount.unwrap_or_else(|| payment.left());
    if amount.is_zero() {
        return Err(reject::exceeds(payment.left(), payment.currency));
    }
    payment.check_refund(amount)?;
    check_refund_count(tx, id)?;
    let refund = open(tx, &mut payment, None, amount, reason)?;
    save(tx, &mut payment)?;
    Ok(refund)
}

/// A request to refund a return.
#[derive(Clone, Debug)]
pub(crate) struct ReturnRefund {
    pub(crate) order_id: OrderId,
    pub(crate) return_id: i64,
    pub(crate) amount: Amount,
    pub(crate) fee: Amount,
    /// Whether the last of the order's goods are returned.
    pub(crate) whole: bool,
    /// The part of the amount that is for units which were never shipped.
    pub(crate) unshipped: Amount,
    /// Whether no goods are left to ship.
    pub(crate) complete: bool,
    pub(crate) reason: String,
}

/// The decided effect of a return, and what to request from the provider.
#[derive(Clone, Debug)]
pub(crate) struct ReturnDecision {
    pub(crate) settlement: Settlement,
    pub(crate) next: NextStep,
    /// The payment, if its provider must be told that the rest is not captured any more.
    pub(crate) release: Option<Payment>,
}

/// Decides the effect of a return once; a repeated request gets the stored decision. The amount is claimed for a
/// refund, or deducted from what is due, in the same transaction. A new decision waits for captures that are pending.
pub(crate) fn decide_return(tx: &mut Tx<'_>, request: &ReturnRefund) -> Result<ReturnDecision, Error> {
    let mut payment = queries::of_order(tx, request.order_id)?.ok_or(Error::not_found("payment"))?;
    if let Some(settlement) = tx.get::<Settlement>(&request.return_id)? {
        return decision(tx, payment, settlement);
    }
    if !payment.capturing().is_zero() {
        return Err(reject::capturing());
    }
    let ReturnEffect { refund, voided, fee } =
        payment.return_effect(request.amount, request.fee, request.unshipped, request.whole);
    let (payment_id, at) = (payment.id, tx.now());
    let settlement = Settlement { return_id: request.return_id, payment_id, refund, voided, fee, at };
    tx.insert(&settlement)?;
    payment.voided += voided;
    if voided > Amount::ZERO && payment.due().is_zero() {
        payment.cancel(&request.reason, tx.now());
    }
    if refund > Amount::ZERO {
        open(tx, &mut payment, Some(&rules::return_reference(request.return_id)), refund, &request.reason)?;
    }
    if payment.status == Status::PartiallyCaptured {
        payment.status = payment.status_by_amounts();
        enter_released(tx, &mut payment)?;
    }
    if request.complete {
        claim::claim_rest(tx, &mut payment, request.return_id)?;
    }
    save(tx, &mut payment)?;
    decision(tx, payment, settlement)
}

/// A decided return, with what is still to be requested from the provider. A job requests captures.
fn decision(tx: &Tx<'_>, payment: Payment, settlement: Settlement) -> Result<ReturnDecision, Error> {
    let reference = rules::return_reference(settlement.return_id);
    let refund = tx.get_by::<RefundByReference>((payment.id, &reference))?;
    let pending = refund.filter(|refund| refund.status == RefundStatus::Pending);
    let is_released = payment.authorized > payment.captured && payment.captured >= payment.due();
    let releases = is_released && payment.captured > Amount::ZERO && payment.provider.captures_in_parts();
    let release = Some(payment.clone()).filter(|_| releases && !settlement.voided.is_zero());
    let next = match pending {
        Some(refund) => NextStep::Refund(refund.id),
        None if payment.due().is_zero() && payment.check_void().is_ok() => NextStep::Void(Box::new(payment)),
        None => NextStep::Done,
    };
    Ok(ReturnDecision { settlement, next, release })
}

/// Refuses another manual refund of a payment that has [`MAX_REFUNDS`].
fn check_refund_count(tx: &Tx<'_>, id: PaymentId) -> Result<(), Error> {
    let refunds = queries::refunds(tx, id)?;
    let manual = refunds.iter().filter(|refund| rules::return_of(&refund.reference).is_none()).count();
    if manual < MAX_REFUNDS { Ok(()) } else { Err(reject::too_many_refunds(MAX_REFUNDS)) }
}

/// Records that the provider has made a refund. `reference` is the provider's. Repeating it changes nothing.
pub(crate) fn settle(tx: &mut Tx<'_>, id: i64, reference: &str) -> Result<Payment, Error> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
    let mut payment = queries::payment(tx, refund.payment_id)?;
    if refund.status == RefundStatus::Succeeded {
        return Ok(payment);
    }
    payment.refunding -= refund.amount;
    payment.refunded += refund.amount;
    payment.status = payment.status_by_amounts();
    add_entry(tx, &mut payment, (EntryKind::Refund, refund.amount), Some(reference.to_owned()), Some(id))?;
    save(tx, &mut payment)?;
    refund.status = RefundStatus::Succeeded;
    refund.due_at = None;
    refund.settled_at = Some(tx.now());
    tx.put(&refund)?;
    emit_refunded(tx, &payment, &refund)?;
    Ok(payment)
}

fn emit_refunded(tx: &mut Tx<'_>, payment: &Payment, refund: &Refund) -> Result<(), StoreError> {
    let fact = PaymentRefunded {
        payment_id: payment.id,
        order_id: payment.order_id,
        amount: refund.amount,
        refunded: payment.refunded,
        captured: payment.captured,
        currency: payment.currency,
        return_id: rules::return_of(&refund.reference),
        status: Some(payment.status),
    };
    tx.emit(payment.id, &fact)
}

/// Schedules another attempt at a refund that the provider has not answered. The pauses grow, and attempts never end.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: i64) -> Result<Payment, Error> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
    if refund.status == RefundStatus::Pending {
        refund.tries = refund.tries.saturating_add(1);
        refund.due_at = Some(tx.now() + PAUSES.after(refund.tries).min(MAX_PAUSE));
        tx.put(&refund)?;
    }
    queries::payment(tx, refund.payment_id)
}

/// The pending refunds whose next attempt is due, at most `max`.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, max: usize) -> Result<Vec<Refund>, StoreError> {
    let after_now = Some(now + Duration::from_micros(1));
    tx.scan_by::<RefundByDue>().before(after_now).collect(max)
}
