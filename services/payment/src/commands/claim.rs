//! Claims of amounts to capture, before the provider is called. Each has a reference that names its cause, so that a
//! cause claims once.

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Error};
use promox_storage::{StoreError, Tx};

use super::save;
use crate::records::{Capture, CaptureByReference, CaptureStatus, Payment};
use crate::{queries, reject, rules};

/// Claims the amount to capture when the goods left to ship cost `unshipped`. Returns whether there is one. The caller
/// stores the payment.
fn claim(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str, unshipped: Amount) -> Result<bool, StoreError> {
    let Some(amount) = payment.to_capture(unshipped) else { return Ok(false) };
    if tx.get_by::<CaptureByReference>((payment.id, reference))?.is_some() {
        return Ok(false);
    }
    payment.capturing = Some(payment.capturing() + amount);
    let (id, now) = (tx.next_id::<Capture>()?, tx.now());
    tx.insert(&Capture {
        id,
        payment_id: payment.id,
        reference: reference.to_owned(),
        amount,
        is_last: payment.uncaptured().is_zero(),
        status: CaptureStatus::Pending,
        tries: 0,
        due_at: Some(now),
        created_at: now,
        settled_at: None,
    })?;
    Ok(true)
}

/// Claims what a parcel costs, once for each parcel. Payments that are not captured by shipments are left alone.
pub(crate) fn claim_parcel(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    parcel_id: i64,
    unshipped: Amount,
) -> Result<(), StoreError> {
    let Some(mut payment) = queries::of_order(tx, order_id)? else { return Ok(()) };
    if claim(tx, &mut payment, &rules::parcel_reference(parcel_id), unshipped)? {
        save(tx, &mut payment)?;
    }
    Ok(())
}

/// Claims all that is left to capture after a return, because no goods are left to ship. The caller stores the payment.
pub(crate) fn claim_rest(tx: &mut Tx<'_>, payment: &mut Payment, return_id: i64) -> Result<(), StoreError> {
    let unshipped = payment.currency.zero();
    claim(tx, payment, &rules::return_reference(return_id), unshipped).map(drop)
}

/// Claims all that is left to capture, at an administrator's request. Refused if nothing is left.
pub(crate) fn claim_all(tx: &mut Tx<'_>, id: PaymentId) -> Result<(), Error> {
    let mut payment = queries::payment(tx, id)?;
    payment.check_capture()?;
    let reference = format!("request:{}", payment.version);
    let unshipped = payment.currency.zero();
    if claim(tx, &mut payment, &reference, unshipped)? {
        save(tx, &mut payment)?;
    } else if payment.capturing().is_zero() {
        return Err(reject::transition(payment.status, PaymentStatus::Captured));
    }
    Ok(())
}

/// Ends the pending captures of a payment, because a single update of the provider decides all of them. The caller
/// stores the payment.
pub(super) fn close_pending(tx: &mut Tx<'_>, payment: &mut Payment, status: CaptureStatus) -> Result<(), StoreError> {
    if payment.capturing().is_zero() {
        return Ok(());
    }
    for capture in queries::pending_captures(tx, payment.id)? {
        tx.put(&Capture { status, due_at: None, settled_at: Some(tx.now()), ..capture })?;
    }
    payment.capturing = None;
    Ok(())
}
