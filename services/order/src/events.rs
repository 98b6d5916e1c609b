//! Event consumer of orders: reacts to captures, failures and refunds of payments, and to the erasure of users.

use std::sync::Arc;

use promox_contract::codes;
use promox_contract::ids::PaymentId;
use promox_contract::order::{OrderRefunded, OrderStatus};
use promox_contract::payment::{
    PaymentAuthorized, PaymentCaptured, PaymentDisputed, PaymentFailed, PaymentOutcome, PaymentRefunded, PaymentStatus,
};
use promox_contract::user::UserErased;
use promox_kernel::{Amount, Error, Timestamp};
use promox_storage::{Consumer, Database, Event, Tx};

use crate::checkout::transitions::{confirm_paid, expire_failed};
use crate::commands::fulfil::finish_if_returned;
use crate::commands::{cancel, erasure, returns};
use crate::exact::Exact;
use crate::order_row::{note, note_payment_status, touch};
use crate::queries::items;
use crate::records::{Order, OrderRefund, Saga};
use crate::rules::states;

/// The name of the consumer; the audit reads its progress.
pub(crate) const PAYMENT_EVENTS: &str = "order.news";

/// Applies events of payments and erasures to orders.
#[derive(Debug)]
pub struct PaymentEvents;

impl Consumer for PaymentEvents {
    fn name(&self) -> &'static str {
        PAYMENT_EVENTS
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<PaymentAuthorized>()
            || event.is::<PaymentCaptured>()
            || event.is::<PaymentFailed>()
            || event.is::<PaymentRefunded>()
            || event.is::<PaymentDisputed>()
            || event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        events.iter().try_for_each(|event| apply(tx, event))
    }
}

fn apply(tx: &mut Tx<'_>, event: &Event) -> Result<(), Error> {
    if event.is::<PaymentAuthorized>() {
        let fact: PaymentAuthorized = event.fact()?;
        let zero = fact.currency.zero();
        confirm_paid(tx, fact.order_id, &paid((fact.payment_id, PaymentStatus::Authorized), zero, fact.amount))
    } else if event.is::<PaymentCaptured>() {
        let fact: PaymentCaptured = event.fact()?;
        let status = fact.status.unwrap_or(PaymentStatus::Captured);
        confirm_paid(tx, fact.order_id, &paid((fact.payment_id, status), fact.amount, fact.amount))
    } else if event.is::<PaymentFailed>() {
        payment_failed(tx, &event.fact()?)
    } else if event.is::<PaymentRefunded>() {
        refunded(tx, &event.fact()?, event.occurred_at)
    } else if event.is::<PaymentDisputed>() {
        disputed(tx, &event.fact()?)
    } else {
        erasure::erase(tx, event.fact::<UserErased>()?.user_id)
    }
}

/// The outcome of a payment of which an amount was authorised or captured.
fn paid((id, status): (PaymentId, PaymentStatus), captured: Amount, secured: Amount) -> PaymentOutcome {
    PaymentOutcome {
        id,
        status,
        undecided: false,
        decline_code: None,
        action: None,
        captured,
        refunded: Amount::ZERO,
        left: captured,
        secured,
    }
}

/// Records a refund. The refund of a return was counted with the return; a refund without goods is counted here. The
/// order becomes REFUNDED if all its goods are returned and this was the last of its money.
fn refunded(tx: &mut Tx<'_>, fact: &PaymentRefunded, at: Timestamp) -> Result<(), Error> {
    let Some(mut order) = tx.get::<Order>(&fact.order_id)? else { return Ok(()) };
    let for_return = fact.return_id.is_some();
    order.refunds.0.push(OrderRefund { at: Exact(at), amount: fact.amount, for_return });
    let lines = items(tx, order.id)?;
    let is_refunded_in_full = fact.refunded >= fact.captured;
    let by_amounts = if is_refunded_in_full { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
    note_payment_status(&mut order, fact.status.unwrap_or(by_amounts));
    if fact.return_id.is_none() {
        returns::count_refund(&mut order, &lines, fact.amount);
    }
    finish_if_returned(&mut order, &lines);
    let detail = format!("{} of {} refunded.", fact.amount, fact.captured);
    note(&mut order, tx.now(), "REFUND", "DONE", &detail, "system")?;
    touch(tx, &mut order)?;
    let (order_id, amount, currency) = (order.id, fact.amount, order.currency);
    Ok(tx.emit(order_id, &OrderRefunded { order_id, amount, currency })?)
}

/// Notes a dispute on the order's timeline.
fn disputed(tx: &mut Tx<'_>, fact: &PaymentDisputed) -> Result<(), Error> {
    let Some(mut order) = tx.get::<Order>(&fact.order_id)? else { return Ok(()) };
    let detail = format!("{} {} disputed ({}): {}.", fact.amount, fact.currency, fact.reason, fact.status);
    note(&mut order, tx.now(), "DISPUTE", &fact.status, &detail, "system")?;
    touch(tx, &mut order)
}

/// Reacts to a failed payment. A checkout that waits for it is ended; a confirmed order is cancelled, unless goods were
/// shipped.
fn payment_failed(tx: &mut Tx<'_>, fact: &PaymentFailed) -> Result<(), Error> {
    if tx.get::<Saga>(&fact.order_id)?.is_some() {
        return expire_failed(tx, fact.order_id);
    }
    let Some(mut order) = tx.get::<Order>(&fact.order_id)? else { return Ok(()) };
    let uncaptured = [PaymentStatus::Pending, PaymentStatus::Authorized, PaymentStatus::Voided];
    if !order.payment_status.is_some_and(|status| uncaptured.contains(&status)) {
        return Ok(());
    }
    order.payment_status = Some(PaymentStatus::Voided);
    let reason = "The payment was voided by its provider.";
    if states::may_follow(order.status, OrderStatus::Cancelled) {
        if returns::any_in_progress(tx, order.id)? {
            return Err(Error::unavailable(codes::RETURN_IN_PROGRESS, "A return of the order is in progress.", 1));
        }
        let now = tx.now();
        return cancel::begin(tx, order, ("system", reason), now).map(drop);
    }
    let lines = items(tx, order.id)?;
    finish_if_returned(&mut order, &lines);
    note(&mut order, tx.now(), "TAKE_PAYMENT", "FAILED", reason, "system")?;
    touch(tx, &mut order)
}
