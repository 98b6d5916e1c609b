//! Loading an order's row, recording changes in it, and storing it.

use promox_contract::ids::OrderId;
use promox_contract::order::OrderFact;
use promox_contract::payment::{PaymentOutcome, PaymentStatus};
use promox_kernel::{Error, Timestamp};
use promox_storage::Tx;

use crate::records::{Order, TimelineEntry};

/// The order with an id, or 404.
pub(crate) fn load(tx: &Tx<'_>, id: OrderId) -> Result<Order, Error> {
    tx.get::<Order>(&id)?.ok_or_else(|| Error::not_found("order"))
}

/// The data of an order's events.
pub(crate) fn fact(order: &Order) -> OrderFact {
    OrderFact {
        order_id: order.id,
        user_id: order.user_id,
        total: order.total,
        currency: order.currency,
        points_multiplier: order.details.points_multiplier,
        points_redeemed: order.points_redeemed,
        points_earned: order.points_earned,
    }
}

/// Adds an entry to an order's timeline, which the caller stores.
pub(crate) fn note(
    order: &mut Order,
    at: Timestamp,
    step: &str,
    status: &str,
    detail: &str,
    actor: &str,
) -> Result<(), Error> {
    order.timeline.push(&TimelineEntry {
        at,
        step: step.to_owned(),
        status: status.to_owned(),
        detail: detail.to_owned(),
        actor: actor.to_owned(),
    })
}

/// Stores a changed order as its next version.
pub(crate) fn touch(tx: &mut Tx<'_>, order: &mut Order) -> Result<(), Error> {
    order.version += 1;
    order.updated_at = tx.now();
    Ok(tx.put(order)?)
}

/// Copies the id and the status of an order's payment, if there is one.
pub(crate) fn note_payment(order: &mut Order, paid: Option<&PaymentOutcome>) {
    if let Some(paid) = paid {
        order.payment_id = Some(paid.id);
        note_payment_status(order, paid.status);
    }
}

/// Copies the status of an order's payment, unless a later one is known: replies and events may arrive out of order.
pub(crate) fn note_payment_status(order: &mut Order, status: PaymentStatus) {
    use PaymentStatus as Status;
    let rank = |status: PaymentStatus| match status {
        Status::Pending => 0,
        Status::RequiresAction | Status::Processing => 1,
        Status::Authorized => 2,
        Status::Failed | Status::Voided => 3,
        Status::PartiallyCaptured => 4,
        Status::Captured => 5,
        Status::PartiallyRefunded => 6,
        Status::Refunded => 7,
    };
    if order.payment_status.is_none_or(|known| rank(status) >= rank(known)) {
        order.payment_status = Some(status);
    }
}
