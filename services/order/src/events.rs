//! Reactions of orders to events: late captures, failures, refunds, erased users.

use promox_contract::codes;
use promox_contract::order::{OrderRefunded, OrderStatus};
use promox_contract::payment::{PaymentCaptured, PaymentFailed, PaymentOutcome, PaymentRefunded, PaymentStatus};
use promox_contract::user::UserErased;
use promox_kernel::{Amount, Error, Timestamp};
use promox_storage::{Consumer, Database, Event, Tx};

use crate::checkout::transitions::{confirm_captured, expire_failed};
use crate::commands::fulfil::finish;
use crate::commands::{cancel, leaving, returns};
use crate::exact::Exact;
use crate::order_row::{note, note_payment_status, touch};
use crate::queries::items;
use crate::records::{Order, OrderRefund, Saga};
use crate::rules::states;

/// The name of the consumer, which the auditor uses too.
pub(crate) const PAYMENT_EVENTS: &str = "order.news";

/// Follows payments and erasures.
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
        event.is::<PaymentCaptured>()
            || event.is::<PaymentFailed>()
            || event.is::<PaymentRefunded>()
            || event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        events.iter().try_for_each(|event| apply(tx, event))
    }
}

fn apply(tx: &mut Tx<'_>, event: &Event) -> Result<(), Error> {
    if event.is::<PaymentCaptured>() {
        let fact: PaymentCaptured = event.fact()?;
        confirm_captured(tx, fact.order_id, &captured(&fact))
    } else if event.is::<PaymentFailed>() {
        payment_failed(tx, &event.fact()?)
    } else if event.is::<PaymentRefunded>() {
        refunded(tx, &event.fact()?, event.occurred_at)
    } else {
        leaving::erase(tx, event.fact::<UserErased>()?.user_id)
    }
}

fn captured(fact: &PaymentCaptured) -> PaymentOutcome {
    PaymentOutcome {
        id: fact.payment_id,
        status: PaymentStatus::Captured,
        undecided: false,
        decline_code: None,
        action: None,
        captured: fact.amount,
        refunded: Amount::ZERO,
        left: fact.amount,
        secured: fact.amount,
    }
}

/// A refund. What a return refunds was counted with the return; a refund of money alone takes its share of the revenue.
/// The order keeps its status, unless all goods are returned and this was the last of its money.
fn refunded(tx: &mut Tx<'_>, fact: &PaymentRefunded, at: Timestamp) -> Result<(), Error> {
    let Some(mut order) = tx.get::<Order>(&fact.order_id)? else { return Ok(()) };
    let for_return = fact.return_id.is_some();
    order.refunds.0.push(OrderRefund { at: Exact(at), amount: fact.amount, for_return });
    let lines = items(tx, order.id)?;
    let whole = fact.refunded >= fact.captured;
    let status = if whole { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
    note_payment_status(&mut order, status);
    if fact.return_id.is_none() {
        returns::count_refund(&mut order, &lines, fact.amount);
    }
    finish(&mut order, &lines);
    let detail = format!("{} of {} refunded.", fact.amount, fact.captured);
    note(&mut order, tx.now(), "REFUND", "DONE", &detail, "system");
    touch(tx, &mut order)?;
    let (order_id, amount, currency) = (order.id, fact.amount, order.currency);
    Ok(tx.emit(order_id, &OrderRefunded { order_id, amount, currency })?)
}

/// A payment has failed. A checkout that waits for it ends; an order that was confirmed on it is cancelled, unless
/// goods have been shipped.
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
        if returns::any_moving(tx, order.id)? {
            return Err(Error::unavailable(codes::RETURN_IN_PROGRESS, "A return of the order is in progress.", 1));
        }
        let now = tx.now();
        return cancel::begin(tx, order, ("system", reason), now).map(drop);
    }
    let lines = items(tx, order.id)?;
    finish(&mut order, &lines);
    note(&mut order, tx.now(), "TAKE_PAYMENT", "FAILED", reason, "system");
    touch(tx, &mut order)
}
