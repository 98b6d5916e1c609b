//! Reads: payments by id, order and user, and their representations for clients and for the order service.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{CaptureAt, PaymentOutcome};
use promox_kernel::{Cursor, Error, Limit, Page, Timestamp, UserId};
use promox_storage::{Db, StoreError, Tx};

use crate::api::{CaptureView, PaymentView, RefundView};
use crate::records::{
    Cancellation, Capture, CaptureByDue, CaptureByReference, CaptureStatus, Payment, PaymentByCreated, PaymentByOrder,
    PaymentByUser, Refund, RefundByReference,
};
use crate::reject;
use crate::rules::MAX_ALL_REFUNDS;

/// Maximum captures of a payment: one for each parcel and each return, and manual ones.
const MAX_CAPTURES: usize = 2_000;

/// A payment as the order service sees it.
pub(crate) fn outcome(payment: &Payment) -> PaymentOutcome {
    PaymentOutcome {
        id: payment.id,
        status: payment.status,
        undecided: payment.undecided(),
        decline_code: payment.failure_code.clone(),
        action: payment.action.0.clone(),
        captured: payment.captured,
        refunded: payment.refunded,
        left: payment.left(),
        secured: payment.secured(),
    }
}

/// A payment as clients see it.
pub(crate) fn view(tx: &Tx<'_>, payment: Payment) -> Result<PaymentView, StoreError> {
    let refunds = refunds(tx, payment.id)?.into_iter().map(|refund| RefundView {
        id: refund.id,
        amount: refund.amount,
        reason: refund.reason,
        reference: refund.reference,
        status: refund.status,
        created_at: refund.created_at,
    });
    let claimed = if payment.is_captured_later() { captures(tx, payment.id)? } else { Vec::new() };
    let captures = claimed.into_iter().map(|capture| CaptureView {
        id: capture.id,
        amount: capture.amount,
        reference: capture.reference,
        status: capture.status,
        created_at: capture.created_at,
    });
    Ok(PaymentView {
        id: payment.id,
        order_id: payment.order_id,
        provider: payment.provider,
        method: payment.method,
        status: payment.status,
        amount: payment.amount,
        currency: payment.currency,
        authorized: payment.authorized,
        captured: payment.captured,
        refunded: payment.refunded,
        voided: payment.voided,
        attempts: payment.attempts.0,
        capture_at: payment.capture_at.unwrap_or(CaptureAt::Order),
        captures: captures.collect(),
        refunds: refunds.collect(),
        action: payment.action.0,
        failure_code: payment.failure_code,
        created_at: payment.created_at,
        updated_at: payment.updated_at,
        waiting: false,
    })
}

/// A payment's refunds, oldest first.
pub(crate) fn refunds(tx: &Tx<'_>, id: PaymentId) -> Result<Vec<Refund>, StoreError> {
    let mut refunds = tx.scan_by::<RefundByReference>().prefix(id).collect(MAX_ALL_REFUNDS)?;
    refunds.sort_by_key(|refund| (refund.created_at, refund.id));
    Ok(refunds)
}

/// The captures of a payment, oldest first.
pub(crate) fn captures(tx: &Tx<'_>, id: PaymentId) -> Result<Vec<Capture>, StoreError> {
    let mut captures = tx.scan_by::<CaptureByReference>().prefix(id).collect(MAX_CAPTURES)?;
    captures.sort_by_key(|capture| (capture.created_at, capture.id));
    Ok(captures)
}

/// The pending captures of a payment, oldest first.
pub(crate) fn pending_captures(tx: &Tx<'_>, id: PaymentId) -> Result<Vec<Capture>, StoreError> {
    let mut found = captures(tx, id)?;
    found.retain(|capture| capture.status == CaptureStatus::Pending);
    Ok(found)
}

/// The pending captures whose next attempt is due, at most `max`.
pub(crate) fn due_captures(tx: &Tx<'_>, now: Timestamp, max: usize) -> Result<Vec<Capture>, StoreError> {
    let after_now = Some(now + Duration::from_micros(1));
    tx.scan_by::<CaptureByDue>().before(after_now).collect(max)
}

/// The payment with an id, or 404.
pub(crate) fn payment(tx: &Tx<'_>, id: PaymentId) -> Result<Payment, Error> {
    tx.get::<Payment>(&id)?.ok_or(Error::not_found("payment"))
}

/// The payment of an order, if it has one.
pub(crate) fn of_order(tx: &Tx<'_>, order_id: OrderId) -> Result<Option<Payment>, StoreError> {
    tx.get_by::<PaymentByOrder>(order_id)
}

/// The payment of an order that is to be charged; `None` before the first attempt. Refused if the order ended without a
/// payment.
pub(crate) fn chargeable(tx: &Tx<'_>, order_id: OrderId) -> Result<Option<Payment>, Error> {
    let known = of_order(tx, order_id)?;
    if known.is_none() && tx.get::<Cancellation>(&order_id)?.is_some() {
        return Err(reject::cancelled());
    }
    Ok(known)
}

/// All payments, newest first.
pub(crate) fn all(tx: &Tx<'_>, limit: Limit, cursor: Option<Cursor>) -> Result<Page<PaymentView>, Error> {
    views(tx, tx.scan_by::<PaymentByCreated>().backward().page(limit, cursor)?)
}

/// A user's payments, newest first.
pub(crate) fn of_user(
    tx: &Tx<'_>,
    user: UserId,
    limit: Limit,
    cursor: Option<Cursor>,
) -> Result<Page<PaymentView>, Error> {
    views(tx, tx.scan_by::<PaymentByUser>().prefix(Some(user)).backward().page(limit, cursor)?)
}

/// An order's payment as a page of at most one item.
pub(crate) fn page_of_order(tx: &Tx<'_>, order_id: OrderId) -> Result<Page<PaymentView>, Error> {
    views(tx, Page::new(of_order(tx, order_id)?.into_iter().collect(), None))
}

fn views(tx: &Tx<'_>, page: Page<Payment>) -> Result<Page<PaymentView>, Error> {
    page.try_map(|payment| view(tx, payment))
}

/// A user's payments for the export of personal data, oldest first.
pub(crate) async fn export(db: &Db, user: UserId) -> Result<Vec<PaymentView>, Error> {
    let own = |tx: &Tx<'_>, limit, cursor| tx.scan_by::<PaymentByUser>().prefix(Some(user)).page(limit, cursor);
    let mut views = Vec::new();
    for payment in db.read_all(own).await? {
        views.push(db.read(|tx| view(tx, payment.clone())).await?);
    }
    Ok(views)
}
