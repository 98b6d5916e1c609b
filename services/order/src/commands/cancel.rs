//! Cancellation: the order is CANCELLED at once, and a saga compensates it.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::{OrderCancelled, OrderStatus};
use promox_kernel::{Cx, Error, Sealed, Timestamp};
use promox_storage::Tx;

use crate::checkout::draft::{Draft, Undo};
use crate::checkout::transitions::SagaLease;
use crate::commands::returns;
use crate::order_row::{fact, note, touch};
use crate::queries::visible;
use crate::records::{Order, Saga, SagaStep};
use crate::reject;
use crate::rules::states;

/// Cancels an order for a caller who may see it; `None` when it was already cancelled. The caller drives the
/// compensation `until` then.
pub(crate) fn cancel(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: OrderId,
    reason: &str,
    until: Timestamp,
) -> Result<Option<SagaLease>, Error> {
    let order = visible(tx, cx, id, "order:cancel")?;
    of_order(tx, order, (&cx.principal.name(), reason), until)
}

/// Marks an order cancelled and starts its compensation, which the caller drives `until` then; `None` when it was
/// already cancelled.
pub(crate) fn of_order(
    tx: &mut Tx<'_>,
    order: Order,
    (actor, reason): (&str, &str),
    until: Timestamp,
) -> Result<Option<SagaLease>, Error> {
    if order.status == OrderStatus::Cancelled {
        return Ok(None);
    }
    if !states::may_follow(order.status, OrderStatus::Cancelled) || order.imported {
        let message = format!("An order that is {} can no longer be cancelled.", order.status);
        return Err(reject::state(codes::NOT_CANCELLABLE, message, order.status));
    }
    if returns::any_moving(tx, order.id)? {
        return Err(reject::return_in_progress());
    }
    begin(tx, order, (actor, reason), until).map(Some)
}

/// The order is CANCELLED from here on, and a saga compensates it: driven by the caller, or from `due_at` on by the
/// sweeper. Requested returns are rejected.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    mut order: Order,
    (actor, reason): (&str, &str),
    due_at: Timestamp,
) -> Result<SagaLease, Error> {
    let attempt = take_over(tx, order.id)?;
    returns::reject_all(tx, order.id)?;
    order.status = OrderStatus::Cancelled;
    note(&mut order, tx.now(), "CANCEL", "DONE", reason, actor);
    touch(tx, &mut order)?;
    tx.put(&Saga { due_at, ..undo_saga(tx, &order, attempt, reason)? })?;
    tx.emit(order.id, &OrderCancelled(fact(&order)))?;
    Ok(SagaLease { order_id: order.id, attempt })
}

/// A checkout that waits for its buyer is taken over; a running one is left alone.
fn take_over(tx: &Tx<'_>, id: OrderId) -> Result<i64, Error> {
    match tx.get::<Saga>(&id)? {
        None => Ok(1),
        Some(saga) if saga.step == SagaStep::AwaitingAction => Ok(saga.attempt + 1),
        Some(_) => Err(reject::in_progress()),
    }
}

fn undo_saga(tx: &Tx<'_>, order: &Order, attempt: i64, reason: &str) -> Result<Saga, Error> {
    let draft = Draft { undo: Some(Undo { reason: reason.to_owned() }), ..Draft::default() };
    Ok(Saga {
        order_id: order.id,
        step: SagaStep::Undoing,
        attempt,
        due_at: tx.now(),
        cart_id: None,
        cart_version: None,
        draft: Sealed::of(&draft)?,
        tries: 0,
        last_error: None,
        created_at: tx.now(),
    })
}
