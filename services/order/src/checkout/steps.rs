//! The saga's transactions: each writes one step down.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderConfirmed, OrderFact, OrderFailed, OrderStatus};
use promox_contract::payment::{PaymentOutcome, PaymentStatus};
use promox_kernel::{Claim, Cx, Error, Reply, Response, Sealed, Timestamp};
use promox_storage::{Recall, Tx};

use crate::api::OrderView;
use crate::checkout::{Confirmation, Draft, Opening, OrderedCart, Undo};
use crate::queries::view;
use crate::records::{Order, Saga, SagaStep, TimelineEntry};
use crate::reject;
use crate::rules::states;

/// What a driver is given beyond its deadline before another takes its saga up.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
/// The longest pause before a checkout that could not be brought further is taken up again.
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// How long the buyer has for what the provider asks.
pub(crate) const ACTION_LIFE: Duration = Duration::from_mins(30);

/// Until when a driver holds its saga: a little longer than it lives. At its deadline a driver is dropped wherever it stands,
/// so a longer lease would leave the saga to nobody for the rest of it.
pub(crate) fn lease(cx: &Cx) -> Timestamp {
    cx.ends_at + LEASE_MARGIN
}

/// A saga as one driver holds it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) order_id: OrderId,
    pub(crate) attempt: i64,
}

/// What became of claiming a checkout.
pub(crate) enum Begun {
    New(Held),
    /// The key was used before and is not decided: this is its order.
    Claimed(OrderId),
    /// The key is decided, since a moment ago.
    Decided(Response),
}

/// Claims the key and writes the saga down, before anything is held. Its driver holds it `until` then.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    draft: &Sealed<Draft>,
    claim: Option<&Claim>,
    cart: Option<OrderedCart>,
    until: Timestamp,
) -> Result<Begun, Error> {
    if let Some(claim) = claim {
        match tx.recall(claim)? {
            Recall::Undecided(order) => return Ok(Begun::Claimed(OrderId(order))),
            Recall::Decided(response) => return Ok(Begun::Decided(response)),
            Recall::New | Recall::OtherRequest => {}
        }
    }
    if let Some(cart) = cart
        && tx.get_by::<crate::records::SagaByCart>(Some(cart.id))?.is_some()
    {
        return Err(reject::in_progress());
    }
    let order_id = OrderId(tx.next_id::<Order>()?);
    if let Some(claim) = claim {
        tx.claim(claim, order_id.0)?;
    }
    tx.insert(&Saga {
        order_id,
        step: SagaStep::Holding,
        attempt: 1,
        due_at: until,
        cart_id: cart.map(|cart| cart.id),
        cart_version: cart.map(|cart| cart.version),
        draft: draft.clone(),
        tries: 0,
        last_error: None,
        created_at: tx.now(),
    })?;
    Ok(Begun::New(Held { order_id, attempt: 1 }))
}

/// The saga, when this driver still holds it.
pub(crate) fn held(tx: &Tx<'_>, held: &Held) -> Result<Saga, Error> {
    match tx.get::<Saga>(&held.order_id)? {
        Some(saga) if saga.attempt == held.attempt => Ok(saga),
        _ => Err(reject::in_progress()),
    }
}

/// Which sagas may be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeUp {
    /// One that is due at this time: nobody drives it.
    Due(Timestamp),
    /// Any: whoever drove it ended with the last process.
    Any,
}

/// Takes a saga up, to be held `until` then; `None` when there is none to take up.
pub(crate) fn take_up(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    which: TakeUp,
    until: Timestamp,
) -> Result<Option<(Held, SagaStep)>, Error> {
    let free = |saga: &Saga| match which {
        TakeUp::Due(now) => saga.due_at <= now,
        TakeUp::Any => true,
    };
    let Some(mut saga) = tx.get::<Saga>(&order_id)?.filter(free) else { return Ok(None) };
    saga.attempt += 1;
    saga.due_at = until;
    tx.put(&saga)?;
    Ok(Some((Held { order_id, attempt: saga.attempt }, saga.step)))
}

/// Lets go of a saga that its driver could not bring further: the next one takes it up when the pause is over, longer each
/// time. One that has ended, has another driver or waits for its buyer is left as it is.
pub(crate) fn hand_over(tx: &mut Tx<'_>, driver: &Held, error: &str) -> Result<(), Error> {
    let Some(mut saga) = left_standing(tx, driver)? else { return Ok(()) };
    saga.tries += 1;
    saga.due_at = tx.now() + pause(saga.tries - 1).min(LONGEST_PAUSE);
    saga.last_error = Some(error.to_owned());
    Ok(tx.put(&saga)?)
}

/// The saga, when this driver holds it and it is to be driven further.
pub(crate) fn left_standing(tx: &Tx<'_>, driver: &Held) -> Result<Option<Saga>, Error> {
    let ours = |saga: &Saga| saga.attempt == driver.attempt && saga.step != SagaStep::AwaitingAction;
    Ok(tx.get::<Saga>(&driver.order_id)?.filter(ours))
}

/// The pause after so many failures in a row: from 1 second to 4 minutes.
fn pause(tries: i64) -> Duration {
    Duration::from_secs(1_u64 << tries.clamp(0, 8))
}

/// Ends a checkout that was refused before the payment: no order, no claim.
pub(crate) fn abandon(tx: &mut Tx<'_>, driver: &Held) -> Result<(), Error> {
    let saga = held(tx, driver)?;
    if let Some(claim) = saga.draft.open()?.claim {
        tx.unclaim(&claim.to_claim())?;
    }
    tx.delete::<Saga>(&driver.order_id)?;
    Ok(())
}

/// Everything is held: the order exists, PENDING, and its payment is about to be taken.
pub(crate) fn open_order(tx: &mut Tx<'_>, driver: &Held, opening: &Opening) -> Result<(), Error> {
    let mut saga = held(tx, driver)?;
    tx.insert_prepared(&opening.row)?;
    for item in &opening.item_rows {
        tx.insert_prepared(item)?;
    }
    saga.step = SagaStep::Paying;
    saga.draft = opening.rest.clone();
    tx.put(&saga)?;
    Ok(tx.emit(opening.id(), &opening.created)?)
}

/// The payment is good: the order is confirmed as it was made ready, its answer kept, its saga ended. Whether it still was
/// as it was opened; otherwise nothing is done.
pub(crate) fn confirm_opened(
    tx: &mut Tx<'_>,
    driver: &Held,
    opening: &Opening,
    ready: &Confirmation,
) -> Result<bool, Error> {
    held(tx, driver)?;
    if !tx.swap_prepared(&opening.row, &ready.row)? {
        return Ok(false);
    }
    tx.delete::<Saga>(&driver.order_id)?;
    tx.emit(opening.id(), &ready.confirmed)?;
    if let Some((claim, response)) = &ready.kept {
        tx.keep(&claim.to_claim(), response)?;
    }
    Ok(true)
}

/// The payment is good: the order is confirmed, its answer kept, its saga ended.
pub(crate) fn confirm(tx: &mut Tx<'_>, driver: &Held, paid: Option<&PaymentOutcome>) -> Result<OrderView, Error> {
    let draft = held(tx, driver)?.draft.open()?;
    let mut order = order(tx, driver.order_id)?;
    become_confirmed(&mut order, paid, tx.now())?;
    tx.put(&order)?;
    tx.delete::<Saga>(&driver.order_id)?;
    tx.emit(order.id, &OrderConfirmed(fact(&order)))?;
    let mut answer = view(tx, order)?;
    answer.order_token.clone_from(&draft.token);
    keep(tx, &draft, &answer)?;
    Ok(answer)
}

/// The order as a payment that is good leaves it.
pub(crate) fn become_confirmed(order: &mut Order, paid: Option<&PaymentOutcome>, now: Timestamp) -> Result<(), Error> {
    if !states::may_follow(order.status, OrderStatus::Confirmed) {
        return Err(reject::state("INVALID_STATE", "The order cannot be confirmed any more.", order.status));
    }
    note_payment(order, paid);
    if let Some(paid) = paid {
        let detail = format!("Payment {} is {}.", paid.id, paid.status);
        note(order, now, "TAKE_PAYMENT", "DONE", &detail, "system");
    }
    order.status = OrderStatus::Confirmed;
    note(order, now, "CONFIRM", "DONE", "The order is confirmed.", "system");
    order.version += 1;
    order.updated_at = now;
    Ok(())
}

/// The provider wants something of the buyer: the saga waits, the answer is given.
pub(crate) fn await_action(tx: &mut Tx<'_>, driver: &Held, paid: &PaymentOutcome) -> Result<OrderView, Error> {
    let mut saga = held(tx, driver)?;
    let mut order = order(tx, driver.order_id)?;
    note_payment(&mut order, Some(paid));
    note(&mut order, tx.now(), "TAKE_PAYMENT", "WAITING", "The buyer has to confirm the payment.", "system");
    touch(tx, &mut order)?;
    let mut draft = saga.draft.open()?;
    let mut answer = view(tx, order)?;
    answer.order_token.clone_from(&draft.token);
    if let Some(payment) = &mut answer.payment {
        payment.action.clone_from(&paid.action);
    }
    keep(tx, &draft, &answer)?;
    draft.claim = None;
    draft.token = None;
    saga.draft = Sealed::of(&draft)?;
    saga.step = SagaStep::AwaitingAction;
    saga.due_at = saga.created_at + ACTION_LIFE;
    tx.put(&saga)?;
    Ok(answer)
}

/// The provider has not answered: somebody asks again soon.
pub(crate) fn ask_again(
    tx: &mut Tx<'_>,
    driver: &Held,
    paid: Option<&PaymentOutcome>,
    wait: Duration,
) -> Result<OrderView, Error> {
    let mut saga = held(tx, driver)?;
    saga.due_at = tx.now() + wait;
    saga.tries = 0;
    tx.put(&saga)?;
    let mut order = order(tx, driver.order_id)?;
    if paid.is_some() && order.payment_id.is_none() {
        note_payment(&mut order, paid);
        note(&mut order, tx.now(), "TAKE_PAYMENT", "WAITING", "The provider has not answered yet.", "system");
        touch(tx, &mut order)?;
    }
    let mut answer = view(tx, order)?;
    answer.order_token = saga.draft.open()?.token;
    answer.undecided = true;
    Ok(answer)
}

/// The payment failed for good: the order is FAILED, what it held is given back next.
pub(crate) fn fail(tx: &mut Tx<'_>, driver: &Held, paid: Option<&PaymentOutcome>, reason: &str) -> Result<(), Error> {
    let mut saga = held(tx, driver)?;
    let mut order = order(tx, driver.order_id)?;
    note_payment(&mut order, paid);
    order.details.decline_code = paid.and_then(|paid| paid.decline_code.clone());
    order.status = OrderStatus::Failed;
    note(&mut order, tx.now(), "TAKE_PAYMENT", "FAILED", reason, "system");
    touch(tx, &mut order)?;
    saga.step = SagaStep::Undoing;
    saga.draft = Sealed::of(&Draft { undo: Some(Undo { reason: reason.to_owned() }), ..saga.draft.open()? })?;
    tx.put(&saga)?;
    Ok(tx.emit(order.id, &OrderFailed(fact(&order)))?)
}

/// Everything is given back: the saga ends.
pub(crate) fn undone(tx: &mut Tx<'_>, driver: &Held, paid: Option<&PaymentOutcome>) -> Result<OrderView, Error> {
    held(tx, driver)?;
    let mut order = order(tx, driver.order_id)?;
    note_payment(&mut order, paid);
    note(&mut order, tx.now(), "UNDO", "DONE", "Stock and money are given back.", "system");
    touch(tx, &mut order)?;
    tx.delete::<Saga>(&driver.order_id)?;
    view(tx, order)
}

/// An undo did not work: it is tried again, later each time, for ever, and shown.
pub(crate) fn undo_later(tx: &mut Tx<'_>, driver: &Held, error: &str) -> Result<(), Error> {
    let mut saga = held(tx, driver)?;
    saga.tries += 1;
    saga.due_at = tx.now() + pause(saga.tries);
    saga.last_error = Some(error.to_owned());
    Ok(tx.put(&saga)?)
}

/// News of a capture: a checkout that waits for it is confirmed, in the consumer's transaction.
pub(crate) fn confirm_paid(tx: &mut Tx<'_>, order_id: OrderId, paid: &PaymentOutcome) -> Result<(), Error> {
    let Some(saga) = tx.get::<Saga>(&order_id)? else { return note_capture(tx, order_id, paid) };
    if saga.step != SagaStep::AwaitingAction {
        return Ok(());
    }
    if saga.cart_id.is_some() {
        // The cart is to be emptied first, which is another service's transaction: a driver does both.
        return Ok(tx.put(&Saga { step: SagaStep::Paying, due_at: tx.now(), ..saga })?);
    }
    let driver = Held { order_id, attempt: saga.attempt };
    confirm(tx, &driver, Some(paid)).map(drop)
}

/// A capture by hand of an order that is confirmed already.
fn note_capture(tx: &mut Tx<'_>, order_id: OrderId, paid: &PaymentOutcome) -> Result<(), Error> {
    let Some(mut order) = tx.get::<Order>(&order_id)? else { return Ok(()) };
    if !matches!(order.payment_status, Some(PaymentStatus::Pending | PaymentStatus::Authorized)) {
        return Ok(());
    }
    note_payment(&mut order, Some(paid));
    note(&mut order, tx.now(), "TAKE_PAYMENT", "DONE", "The payment was captured.", "system");
    touch(tx, &mut order)
}

/// News of a failed payment: a checkout that waits for the buyer ends now.
pub(crate) fn note_failed_payment(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    let Some(mut saga) = tx.get::<Saga>(&order_id)? else { return Ok(()) };
    if saga.step == SagaStep::AwaitingAction {
        saga.due_at = tx.now();
        tx.put(&saga)?;
    }
    Ok(())
}

/// The order that a saga is about.
pub(crate) fn order(tx: &Tx<'_>, id: OrderId) -> Result<Order, Error> {
    tx.get::<Order>(&id)?.ok_or_else(|| Error::not_found("order"))
}

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

pub(crate) fn note(order: &mut Order, at: Timestamp, step: &str, status: &str, detail: &str, actor: &str) {
    order.timeline.push(TimelineEntry {
        at,
        step: step.to_owned(),
        status: status.to_owned(),
        detail: detail.to_owned(),
        actor: actor.to_owned(),
    });
}

/// Writes a changed order.
pub(crate) fn touch(tx: &mut Tx<'_>, order: &mut Order) -> Result<(), Error> {
    order.version += 1;
    order.updated_at = tx.now();
    Ok(tx.put(order)?)
}

/// What a payment says of itself stands with its order.
pub(crate) fn note_payment(order: &mut Order, paid: Option<&PaymentOutcome>) {
    if let Some(paid) = paid {
        order.payment_id = Some(paid.id);
        note_payment_status(order, paid.status);
    }
}

/// A payment's status stands with its order as the furthest that was heard of: answers and events overtake each other.
pub(crate) fn note_payment_status(order: &mut Order, status: PaymentStatus) {
    use PaymentStatus as Status;
    let rank = |status: PaymentStatus| match status {
        Status::Pending => 0,
        Status::RequiresAction => 1,
        Status::Authorized => 2,
        Status::Failed | Status::Voided => 3,
        Status::Captured => 4,
        Status::PartiallyRefunded => 5,
        Status::Refunded => 6,
    };
    if order.payment_status.is_none_or(|known| rank(status) >= rank(known)) {
        order.payment_status = Some(status);
    }
}

/// Keeps the answer with the request's idempotency key.
fn keep(tx: &mut Tx<'_>, draft: &Draft, answer: &OrderView) -> Result<(), Error> {
    let Some(stored) = &draft.claim else { return Ok(()) };
    let claim: Claim = stored.to_claim();
    if let Some(response) = answer.kept(claim.status)? {
        tx.keep(&claim, &response)?;
    }
    Ok(())
}
