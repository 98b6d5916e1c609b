//! Cancellation: the order becomes CANCELLED at once, and a saga compensates it.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::{OrderCancelled, OrderStatus};
use promox_kernel::{Cx, EncodedJson, Error, Timestamp};
use promox_storage::Tx;

use crate::checkout::draft::{Draft, Undo};
use crate::checkout::transitions::SagaLease;
use crate::commands::returns;
use crate::order_row::{fact, note, touch};
use crate::queries::visible;
use crate::records::{Order, Saga, SagaStep};
use crate::reject;
use crate::rules::states;

/// Cancels an order on behalf of a caller, who must be allowed to. Returns the lease of its compensation, which lasts
/// until `lease_end`; `None` if the order was already cancelled.
pub(crate) fn cancel(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: OrderId,
    reason: &str,
    lease_end: Timestamp,
) -> Result<Option<SagaLease>, Error> {
    let order = visible(tx, cx, id, "order:cancel")?;
    cancel_order(tx, order, (&cx.principal.name(), reason), lease_end)
}

/// Cancels an order, if its status allows that and no return is in progress. Returns the lease of its compensation,
/// which lasts until `lease_end`; `None` if the order was already cancelled.
pub(crate) fn cancel_order(
    tx: &mut Tx<'_>,
    order: Order,
    (actor, reason): (&str, &str),
    lease_end: Timestamp,
) -> Result<Option<SagaLease>, Error> {
    if order.status == OrderStatus::Cancelled {
        return Ok(None);
    }
    if !states::may_follow(order.status, OrderStatus::Cancelled) || order.imported {
        let message = format!("An order that is {} can no longer be cancelled.", order.status);
        return Err(reject::state(codes::NOT_CANCELLABLE, message, order.status));
    }
    if returns::any_in_progress(tx, order.id)? {
        return Err(reject::return_in_progress());
    }
    begin(tx, order, (actor, reason), lease_end).map(Some)
}

/// Sets an order to CANCELLED, rejects its requested returns and adds the saga that compensates it. The caller has the
/// saga's lease until `due_at`; from then on a job resumes it.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    mut order: Order,
    (actor, reason): (&str, &str),
    due_at: Timestamp,
) -> Result<SagaLease, Error> {
    let attempt = take_over(tx, order.id)?;
    returns::reject_all(tx, order.id)?;
    order.status = OrderStatus::Cancelled;
    note(&mut order, tx.now(), "CANCEL", "DONE", reason, actor)?;
    touch(tx, &mut order)?;
    tx.put(&Saga { due_at, ..compensation(tx, &order, attempt, reason)? })?;
    tx.emit(order.id, &OrderCancelled(fact(&order)))?;
    Ok(SagaLease { order_id: order.id, attempt })
}

/// Takes over the order's saga if its checkout waits for the buyer. Returns the attempt that the new lease has. Refused
/// while the saga is running.
fn take_over(tx: &Tx<'_>, id: OrderId) -> Result<i64, Error> {
    match tx.get::<Saga>(&id)? {
        None => Ok(1),
        Some(saga) if saga.step == SagaStep::AwaitingAction => Ok(saga.attempt + 1),
        Some(_) => Err(reject::in_progress()),
    }
}

/// The saga that compensates an order.
fn compensation(tx: &Tx<'_>, order: &Order, attempt: i64, reason: &str) -> Result<Saga, Error> {
    let draft = Draft { undo: Some(Undo { reason: reason.to_owned() }), ..Draft::default() };
    Ok(Saga {
        order_id: order.id,
        step: SagaStep::Undoing,
        attempt,
        due_at: tx.now(),
        cart_id: None,
        cart_version: None,
        draft: EncodedJson::encode(&draft)?,
        tries: 0,
        last_error: None,
        created_at: tx.now(),
    })
}
