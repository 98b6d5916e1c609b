//! Refunds: the amount is claimed first, then the provider is asked, then it is entered in the ledger.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::PaymentRefunded;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{StoreError, Tx};

use super::{enter, keep};
use crate::queries;
use crate::records::{EntryKind, Payment, Refund, RefundByDue, RefundByReference, RefundStatus};
use crate::reject::Reject;
use crate::rules::{self, MOST_REFUNDS};

/// What names the refund of an order that ended.
const CANCEL: &str = "cancel";
/// How long who opened a refund has to settle it before the job asks the provider too.
const FIRST_TURN: Duration = Duration::from_secs(20);
/// The longest pause between two tries.
const LONGEST_PAUSE: u64 = 600;

/// Opens a refund: from now on nobody else can refund this amount. Without a reference its own id is one.
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

/// Opens the refund of all that is left, because the order ended; the caller writes the payment.
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

/// Opens a refund that an administrator asks for; all that is left unless an amount is said.
pub(crate) fn request(tx: &mut Tx<'_>, id: PaymentId, amount: Option<Amount>, reason: &str) -> Result<i64, Reject> {
    let mut payment = queries::payment(tx, id)?;
    let amount = amount.map(|amount| rules::money(amount, payment.currency)).transpose()?;
    let amount = amount.unwrap_or_else(|| payment.left());
    if amount.is_zero() {
        return Err(Reject::Exceeds { left: payment.left(), currency: payment.currency });
    }
    payment.check_refund(amount)?;
    check_number(tx, id)?;
    let refund = open(tx, &mut payment, None, amount, reason)?;
    keep(tx, &mut payment)?;
    Ok(refund)
}

/// Opens the refund of a return, once a reference.
pub(crate) fn for_return(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    reference: &str,
    amount: Amount,
    reason: &str,
) -> Result<i64, Reject> {
    let mut payment = queries::of_order(tx, order_id)?.ok_or(Reject::Absent("payment"))?;
    let amount = rules::money(amount, payment.currency)?;
    if let Some(known) = tx.get_by::<RefundByReference>((payment.id, reference))? {
        rules::same_refund(&known, amount)?;
        return Ok(known.id);
    }
    payment.check_refund(amount)?;
    check_number(tx, payment.id)?;
    let refund = open(tx, &mut payment, Some(reference), amount, reason)?;
    keep(tx, &mut payment)?;
    Ok(refund)
}

fn check_number(tx: &Tx<'_>, id: PaymentId) -> Result<(), Reject> {
    if queries::refunds(tx, id)?.len() < MOST_REFUNDS {
        return Ok(());
    }
    Err(Reject::TooManyRefunds { most: MOST_REFUNDS })
}

/// The provider gave the money back: it is entered, once.
pub(crate) fn settle(tx: &mut Tx<'_>, id: i64, reference: &str) -> Result<Payment, Reject> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Reject::Absent("refund"))?;
    let mut payment = queries::payment(tx, refund.payment_id)?;
    if refund.status == RefundStatus::Succeeded {
        return Ok(payment);
    }
    payment.refunding -= refund.amount;
    payment.refunded += refund.amount;
    payment.status = rules::after_refund(payment.captured, payment.refunded);
    enter(tx, &mut payment, (EntryKind::Refund, refund.amount), Some(reference.to_owned()), Some(id))?;
    keep(tx, &mut payment)?;
    refund.status = RefundStatus::Succeeded;
    refund.due_at = None;
    refund.settled_at = Some(tx.now());
    tx.put(&refund)?;
    tell(tx, &payment, refund.amount)?;
    Ok(payment)
}

fn tell(tx: &mut Tx<'_>, payment: &Payment, amount: Amount) -> Result<(), StoreError> {
    let told = PaymentRefunded {
        payment_id: payment.id,
        order_id: payment.order_id,
        amount,
        refunded: payment.refunded,
        currency: payment.currency,
    };
    tx.emit(payment.id, &told)
}

/// The provider has not answered: it is asked again later, each time later, for ever.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: i64) -> Result<Payment, Reject> {
    let mut refund = tx.get::<Refund>(&id)?.ok_or(Reject::Absent("refund"))?;
    if refund.status == RefundStatus::Pending {
        refund.tries = refund.tries.saturating_add(1);
        let pause = (1_u64 << refund.tries.min(16)).min(LONGEST_PAUSE);
        refund.due_at = Some(tx.now() + Duration::from_secs(pause));
        tx.put(&refund)?;
    }
    queries::payment(tx, refund.payment_id)
}

/// Refunds whose provider is to be asked again.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, most: usize) -> Result<Vec<Refund>, StoreError> {
    let now = Some(now + Duration::from_micros(1));
    tx.scan_by::<RefundByDue>().before(now).collect(most)
}
