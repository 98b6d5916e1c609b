//! Refunds: the amount is claimed first, then the provider is asked, then it is entered in the ledger.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::PaymentRefunded;
use promox_kernel::{Amount, BackOff, Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::{Ending, enter, save};
use crate::queries;
use crate::records::{EntryKind, Payment, Refund, RefundByDue, RefundByReference, RefundStatus, Settlement};
use crate::reject;
use crate::rules::{self, MAX_REFUNDS, Settled};

/// The reference of the refund of an ended order.
const CANCEL: &str = "cancel";
/// How long the opener of a refund has to settle it before the job asks the provider too.
const FIRST_TURN: Duration = Duration::from_secs(20);
/// The pauses between attempts, up to the longest.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 9 };
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Opens a refund: from now on nobody else can refund this amount. Without a reference its own id becomes one.
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
        due_at: Some(tx.now() + FIRST_TURN),
        created_at: tx.now(),
        settled_at: None,
    })?;
    Ok(id)
}

/// Opens the refund of everything that is left, because the order ended; the caller writes the payment.
pub(crate) fn open_rest(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<Option<i64>, StoreError> {
    let left = payment.left();
    if left <= Amount::ZERO {
        return Ok(None);
    }
    let reason = payment.cancel_reason.clone().unwrap_or_default();
    open(tx, payment, Some(CANCEL), left, &reason).map(Some)
}

/// The refund of an order's end that the provider has not answered.
pub(crate) fn unsettled(tx: &Tx<'_>, payment_id: PaymentId) -> Result<Option<i64>, StoreError> {
    let known = tx.get_by::<RefundByReference>((payment_id, CANCEL))?;
    Ok(known.filter(|refund| refund.status == RefundStatus::Pending).map(|refund| refund.id))
}

/// Opens a refund requested by an administrator; everything that is left unless an amount is given.
pub(crate) fn request(tx: &mut Tx<'_>, id: PaymentId, amount: Option<Amount>, reason: &str) -> Result<i64, Error> {
    let mut payment = queries::payment(tx, id)?;
    let amount = amount.map(|amount| rules::money(amount, payment.currency)).transpose()?;
    let amount = amount.unwrap_or_else(|| payment.left());
    if amount.is_zero() {
        return Err(reject::exceeds(payment.left(), payment.currency));
    }
    payment.check_refund(amount)?;
    check_number(tx, id)?;
    let refund = open(tx, &mut payment, None, amount, reason)?;
    save(tx, &mut payment)?;
    Ok(refund)
}

/// The refund request of a return.
#[derive(Clone, Debug)]
pub(crate) struct Returned {
    pub(crate) order_id: OrderId,
    pub(crate) return_id: i64,
    pub(crate) amount: Amount,
    pub(crate) fee: Amount,
    pub(crate) whole: bool,
    pub(crate) reason: String,
}

/// The effect of a return, and what is still to be requested from the provider.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) settlement: Settlement,
    pub(crate) next: Ending,
}

/// Decides the effect of a return, once: the money is claimed, or no longer due, in the same transaction.
pub(crate) fn for_return(tx: &mut Tx<'_>, asked: &Returned) -> Result<Decided, Error> {
    let mut payment = queries::of_order(tx, asked.order_id)?.ok_or(Error::not_found("payment"))?;
    if let Some(settlement) = tx.get::<Settlement>(&asked.return_id)? {
        let next = unfinished(tx, payment, &settlement)?;
        return Ok(Decided { settlement, next });
    }
    let Settled { refund, voided, fee } = payment.settlement(asked.amount, asked.fee, asked.whole);
    let (payment_id, at) = (payment.id, tx.now());
    let settlement = Settlement { return_id: asked.return_id, payment_id, refund, voided, fee, at };
    tx.insert(&settlement)?;
    payment.voided += voided;
    if voided > Amount::ZERO && payment.due().is_zero() {
        payment.cancel(&asked.reason, tx.now());
    }
    if refund > Amount::ZERO {
        open(tx, &mut payment, Some(&rules::return_reference(asked.return_id)), refund, &asked.reason)?;
    }
    save(tx, &mut payment)?;
    let next = unfinished(tx, payment, &settlement)?;
    Ok(Decided { settlement, next })
}

/// The remaining work of a decided return.
fn unfinished(tx: &Tx<'_>, payment: Payment, settlement: &Settlement) -> Result<Ending, StoreError> {
    let reference = rules::return_reference(settlement.return_id);
    let refund = tx.get_by::<RefundByReference>((payment.id, &reference))?;
    if let Some(refund) = refund.filter(|refund| refund.status == RefundStatus::Pending) {
        return Ok(Ending::Refund(refund.id));
    }
    let ends = payment.due().is_zero() && payment.check_void().is_ok();
    Ok(if ends { Ending::Void(Box::new(payment)) } else { Ending::Done })
}

fn check_number(tx: &Tx<'_>, id: PaymentId) -> Result<(), Error> {
    let refunds = queries::refunds(tx, id)?;
    if refunds.iter().filter(|refund| rules::return_of(&refund.reference).is_none()).count() < MAX_REFUNDS {
        return Ok(());
    }
    Err(reject::too_many_refunds(MAX_REFUNDS))
}

/// The provider has refunded the money: it is recorded, once.
pub(crate) fn settle(tx: &mut Tx<'_>, id: i64, reference: &str) -> Result<Payment, Error> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
    let mut payment = queries::payment(tx, refund.payment_id)?;
    if refund.status == RefundStatus::Succeeded {
        return Ok(payment);
    }
    payment.refunding -= refund.amount;
    payment.refunded += refund.amount;
    payment.status = rules::after_refund(payment.captured, payment.refunded);
    enter(tx, &mut payment, (EntryKind::Refund, refund.amount), Some(reference.to_owned()), Some(id))?;
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
    };
    tx.emit(payment.id, &fact)
}

/// The provider has not answered: it is asked again later, with growing pauses, forever.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: i64) -> Result<Payment, Error> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Error::not_found("refund"))?;
    if refund.status == RefundStatus::Pending {
        refund.tries = refund.tries.saturating_add(1);
        refund.due_at = Some(tx.now() + PAUSES.after(refund.tries).min(LONGEST_PAUSE));
        tx.put(&refund)?;
    }
    queries::payment(tx, refund.payment_id)
}

/// Refunds whose provider is to be asked again.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, most: usize) -> Result<Vec<Refund>, StoreError> {
    let now = Some(now + Duration::from_micros(1));
    tx.scan_by::<RefundByDue>().before(now).collect(most)
}
