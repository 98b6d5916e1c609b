//! What orders do on news of others: captures that were waited for, failures, refunds, erased people.

use promox_contract::order::OrderStatus;
use promox_contract::payment::{PaymentCaptured, PaymentFailed, PaymentOutcome, PaymentRefunded, PaymentStatus};
use promox_contract::user::UserErased;
use promox_kernel::{Amount, Error, UserId};
use promox_storage::{Consumer, Event, Tx};

use crate::checkout::steps::{note, touch};
use crate::checkout::{confirm_paid, note_failed_payment};
use crate::records::{Order, OrderByUser};
use crate::rules::states;

/// Orders of an erased person that one event cleans; a person with more is cleaned by batches of this.
const MOST_ERASED: usize = 2_000;

/// Follows payments and erasures.
#[derive(Debug)]
pub struct OrderNews;

impl Consumer for OrderNews {
    fn name(&self) -> &'static str {
        "order.news"
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
        confirm_paid(tx, fact.order_id, &captured(&fact))
    } else if event.is::<PaymentFailed>() {
        let fact: PaymentFailed = event.fact()?;
        note_failed_payment(tx, fact.order_id)
    } else if event.is::<PaymentRefunded>() {
        refunded(tx, &event.fact()?)
    } else {
        erase(tx, event.fact::<UserErased>()?.user_id)
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
    }
}

/// A refund by hand or by a return shows on the order; all of it back makes the order REFUNDED.
fn refunded(tx: &mut Tx<'_>, fact: &PaymentRefunded) -> Result<(), Error> {
    let Some(mut order) = tx.get::<Order>(&fact.order_id)? else { return Ok(()) };
    let whole = fact.refunded >= order.total;
    order.payment_status = Some(if whole { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded });
    if whole && states::may_follow(order.status, OrderStatus::Refunded) {
        order.status = OrderStatus::Refunded;
    }
    let detail = format!("{} of {} given back.", fact.amount, order.total);
    note(&mut order, tx.now(), "REFUND", "DONE", &detail, "system");
    touch(tx, &mut order)
}

/// The books stay, the person goes.
fn erase(tx: &mut Tx<'_>, user: UserId) -> Result<(), Error> {
    let orders: Vec<Order> = tx.scan_by::<OrderByUser>().prefix(Some(user)).collect(MOST_ERASED)?;
    for mut order in orders {
        order.email = None;
        order.details.shipping_address = order.details.shipping_address.take().map(without_person);
        order.details.billing_address = None;
        order.details.note = None;
        order.details.attributes.clear();
        touch(tx, &mut order)?;
    }
    Ok(())
}

/// Country and region decide the tax that the books show; the rest is the person's.
fn without_person(address: crate::api::Address) -> crate::api::Address {
    crate::api::Address {
        name: "erased".to_owned(),
        line1: "erased".to_owned(),
        line2: None,
        city: "erased".to_owned(),
        postal_code: None,
        phone: None,
        ..address
    }
}
