//! The transactions of a saga. Each checks that its driver still has the lease, and records one step.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderConfirmed, OrderFailed, OrderStatus};
use promox_contract::payment::{PaymentOutcome, PaymentStatus};
use promox_kernel::{BackOff, Claim, Cx, EncodedJson, Error, Reply, Timestamp};
use promox_storage::{Before, Recall, Tx};

use crate::api::OrderView;
use crate::checkout::draft::{Draft, OrderedCart, StoredClaim, Undo};
use crate::checkout::rows::{self, ConfirmedRows, PendingRows};
use crate::order_row::{self, fact, note, note_payment, touch};
use crate::queries::view;
use crate::records::{Order, Saga, SagaByCart, SagaStep};
use crate::reject;

/// How long a lease outlives its driver's deadline.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
/// The pauses before a saga that could not be advanced is resumed: at most 32 seconds.
const RESUME_PAUSES: BackOff = BackOff { first: Duration::from_secs(1), doublings: 5 };
/// The pauses before a failed compensation is retried: at most 256 seconds.
const COMPENSATION_PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 7 };
/// How long the buyer has, from the beginning of the checkout, for an action that the provider requires.
pub(crate) const ACTION_TIMEOUT: Duration = Duration::from_mins(30);
/// The pause before the provider is asked again about a payment that it is processing. Usually its webhook comes first.
const PROCESSING_PAUSE: Duration = Duration::from_mins(10);
/// Why a payment is requested again.
const NOT_ANSWERED: &str = "The provider has not answered yet.";

/// When the lease of a driver that runs under `cx` ends: shortly after its deadline. The driver is dropped at the
/// deadline at the latest, and a longer lease would leave the saga without a driver.
pub(crate) fn lease_end(cx: &Cx) -> Timestamp {
    cx.ends_at + LEASE_MARGIN
}

/// A driver's lease of a saga. It is lost when another driver resumes the saga, which increments `attempt`.
#[derive(Clone, Debug)]
pub(crate) struct SagaLease {
    pub(crate) order_id: OrderId,
    pub(crate) attempt: i64,
}

/// Claims the idempotency key and adds the saga, before anything is held. The lease lasts until `lease_end`. Refused
/// with 409 `CHECKOUT_IN_PROGRESS` if another checkout orders the same cart, or if the key was used since the request
/// arrived; repeating the request then returns the other's reply.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    draft: &EncodedJson<Draft>,
    claim: Option<&Claim>,
    cart: Option<OrderedCart>,
    lease_end: Timestamp,
) -> Result<(), Error> {
    if let Some(claim) = claim
        && matches!(tx.recall(claim)?, Recall::Undecided(_) | Recall::Decided(_))
    {
        return Err(reject::in_progress());
    }
    if let Some(cart) = cart
        && tx.get_by::<SagaByCart>(Some(cart.id))?.is_some()
    {
        return Err(reject::in_progress());
    }
    if let Some(claim) = claim {
        tx.claim(claim, order_id.0)?;
    }
    tx.insert(&Saga {
        order_id,
        step: SagaStep::Holding,
        attempt: 1,
        due_at: lease_end,
        cart_id: cart.map(|cart| cart.id),
        cart_version: cart.map(|cart| cart.version),
        draft: draft.clone(),
        tries: 0,
        last_error: None,
        created_at: tx.now(),
    })?;
    Ok(())
}

/// The saga, if this driver has its lease; otherwise 409 `CHECKOUT_IN_PROGRESS`.
pub(crate) fn leased(tx: &Tx<'_>, lease: &SagaLease) -> Result<Saga, Error> {
    match tx.get::<Saga>(&lease.order_id)? {
        Some(saga) if saga.attempt == lease.attempt => Ok(saga),
        _ => Err(reject::in_progress()),
    }
}

/// The condition for resuming a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumable {
    /// It must be due at this time: then its lease has ended and no driver runs it.
    DueAt(Timestamp),
    /// No condition: its driver ended with the previous process.
    Always,
}

/// Takes the lease of a saga until `lease_end`. Returns it with the saga's step; `None` if there is no saga to resume.
pub(crate) fn resume(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    resumable: Resumable,
    lease_end: Timestamp,
) -> Result<Option<(SagaLease, SagaStep)>, Error> {
    let can_resume = |saga: &Saga| match resumable {
        Resumable::DueAt(now) => saga.due_at <= now,
        Resumable::Always => true,
    };
    let Some(mut saga) = tx.get::<Saga>(&order_id)?.filter(can_resume) else { return Ok(None) };
    saga.attempt += 1;
    saga.due_at = lease_end;
    tx.put(&saga)?;
    Ok(Some((SagaLease { order_id, attempt: saga.attempt }, saga.step)))
}

/// Ends the lease of a saga that its driver could not advance, so that it is resumed after a pause: 1 second, doubled
/// with each consecutive failure, at most 32 seconds. Does nothing if the saga has ended, has another driver or waits
/// for the buyer.
pub(crate) fn release(tx: &mut Tx<'_>, lease: &SagaLease, error: &str) -> Result<(), Error> {
    let Some(mut saga) = unfinished(tx, lease)? else { return Ok(()) };
    saga.tries += 1;
    saga.due_at = tx.now() + RESUME_PAUSES.after(saga.tries);
    saga.last_error = Some(error.to_owned());
    Ok(tx.put(&saga)?)
}

/// The saga, if this driver has its lease and it does not wait for the buyer.
pub(crate) fn unfinished(tx: &Tx<'_>, lease: &SagaLease) -> Result<Option<Saga>, Error> {
    let is_unfinished = |saga: &Saga| saga.attempt == lease.attempt && saga.step != SagaStep::AwaitingAction;
    Ok(tx.get::<Saga>(&lease.order_id)?.filter(is_unfinished))
}

/// Removes a checkout that was refused before its payment. No order remains, and the idempotency key can be used again.
pub(crate) fn abandon(tx: &mut Tx<'_>, lease: &SagaLease) -> Result<(), Error> {
    let saga = leased(tx, lease)?;
    if let Some(claim) = saga.draft.decode()?.claim {
        tx.unclaim(&claim.to_claim())?;
    }
    tx.delete::<Saga>(&lease.order_id)?;
    Ok(())
}

/// Adds the PENDING order once everything is held. The next step is the payment.
pub(crate) fn open(tx: &mut Tx<'_>, lease: &SagaLease, pending: &PendingRows) -> Result<(), Error> {
    let mut saga = leased(tx, lease)?;
    let before = Before::of(&saga);
    tx.insert_prepared(&pending.order_row)?;
    for item in &pending.item_rows {
        tx.insert_prepared(item)?;
    }
    saga.step = SagaStep::Paying;
    saga.draft = pending.draft_after.clone();
    tx.put_changed(&before, &saga)?;
    Ok(tx.emit(pending.id(), &pending.created)?)
}

/// Confirms the order, stores the reply and ends the saga. `paid` is the successful payment; `None` if nothing was due.
///
/// `prepared` are the rows of the order as this driver opened it, and as it is to be confirmed. If the order has not
/// changed since, they are written and `None` is returned: the prepared reply applies. Otherwise the current order is
/// confirmed and its view returned.
pub(crate) fn confirm(
    tx: &mut Tx<'_>,
    lease: &SagaLease,
    paid: Option<&PaymentOutcome>,
    prepared: Option<(&PendingRows, &ConfirmedRows)>,
) -> Result<Option<OrderView>, Error> {
    let saga = leased(tx, lease)?;
    if let Some((pending, confirmed)) = prepared
        && tx.swap_prepared(&pending.order_row, &confirmed.order_row)?
    {
        tx.delete::<Saga>(&lease.order_id)?;
        tx.emit(pending.id(), &confirmed.event)?;
        if let Some((claim, response)) = &confirmed.stored {
            tx.keep(&claim.to_claim(), response)?;
        }
        return Ok(None);
    }
    let mut order = order_row::load(tx, lease.order_id)?;
    rows::become_confirmed(&mut order, paid, tx.now())?;
    tx.put(&order)?;
    tx.delete::<Saga>(&lease.order_id)?;
    tx.emit(order.id, &OrderConfirmed(fact(&order)))?;
    let view = view(tx, order)?;
    store_reply(tx, view, &saga.draft.decode()?).map(Some)
}

/// Suspends the saga until the buyer completes the action that the provider requires, or the provider has processed the
/// payment, and stores the reply.
pub(crate) fn await_action(tx: &mut Tx<'_>, lease: &SagaLease, paid: &PaymentOutcome) -> Result<OrderView, Error> {
    let mut saga = leased(tx, lease)?;
    let mut order = order_row::load(tx, lease.order_id)?;
    note_payment(&mut order, Some(paid));
    let is_processing = paid.status == PaymentStatus::Processing;
    let reason =
        if is_processing { "The provider is processing the payment." } else { "The buyer must confirm the payment." };
    note(&mut order, tx.now(), "TAKE_PAYMENT", "WAITING", reason, "system")?;
    touch(tx, &mut order)?;
    let mut draft = saga.draft.decode()?;
    let mut view = view(tx, order)?;
    if let Some(payment) = &mut view.payment {
        payment.action.clone_from(&paid.action);
    }
    let view = store_reply(tx, view, &draft)?;
    draft.claim = None;
    draft.token = None;
    saga.draft = EncodedJson::encode(&draft)?;
    (saga.step, saga.tries, saga.last_error) = (SagaStep::AwaitingAction, 0, None);
    saga.due_at = if is_processing { tx.now() + PROCESSING_PAUSE } else { saga.created_at + ACTION_TIMEOUT };
    tx.put(&saga)?;
    Ok(view)
}

/// Waits on for a payment that the provider is processing.
pub(crate) fn keep_waiting(tx: &mut Tx<'_>, lease: &SagaLease) -> Result<(), Error> {
    let saga = leased(tx, lease)?;
    Ok(tx.put(&Saga { due_at: tx.now() + PROCESSING_PAUSE, ..saga })?)
}

/// Schedules another attempt at the payment, because the provider has not answered: after the pauses of a saga that could
/// not be advanced, so that a provider which answers slowly is not kept busy by requests that nobody waits for any more.
/// Returns the undecided order.
pub(crate) fn retry_payment_later(
    tx: &mut Tx<'_>,
    lease: &SagaLease,
    paid: Option<&PaymentOutcome>,
) -> Result<OrderView, Error> {
    let mut saga = leased(tx, lease)?;
    saga.tries += 1;
    saga.due_at = tx.now() + RESUME_PAUSES.after(saga.tries);
    saga.last_error = Some(NOT_ANSWERED.to_owned());
    tx.put(&saga)?;
    let mut order = order_row::load(tx, lease.order_id)?;
    if paid.is_some() && order.payment_id.is_none() {
        note_payment(&mut order, paid);
        note(&mut order, tx.now(), "TAKE_PAYMENT", "WAITING", NOT_ANSWERED, "system")?;
        touch(tx, &mut order)?;
    }
    let mut view = view(tx, order)?;
    view.order_token = saga.draft.decode()?.token;
    view.undecided = true;
    Ok(view)
}

/// Sets the order to FAILED because its payment failed. The next step is the compensation.
pub(crate) fn fail(
    tx: &mut Tx<'_>,
    lease: &SagaLease,
    paid: Option<&PaymentOutcome>,
    reason: &str,
) -> Result<(), Error> {
    let mut saga = leased(tx, lease)?;
    let mut order = order_row::load(tx, lease.order_id)?;
    note_payment(&mut order, paid);
    order.details.decline_code = paid.and_then(|paid| paid.decline_code.clone());
    order.status = OrderStatus::Failed;
    note(&mut order, tx.now(), "TAKE_PAYMENT", "FAILED", reason, "system")?;
    touch(tx, &mut order)?;
    (saga.step, saga.tries, saga.last_error) = (SagaStep::Undoing, 0, None);
    saga.draft =
        EncodedJson::encode(&Draft { undo: Some(Undo { reason: reason.to_owned() }), ..saga.draft.decode()? })?;
    tx.put(&saga)?;
    Ok(tx.emit(order.id, &OrderFailed(fact(&order)))?)
}

/// Ends the saga of an order whose payment is refunded and whose holds are released.
pub(crate) fn compensated(
    tx: &mut Tx<'_>,
    lease: &SagaLease,
    paid: Option<&PaymentOutcome>,
) -> Result<OrderView, Error> {
    leased(tx, lease)?;
    let mut order = order_row::load(tx, lease.order_id)?;
    note_payment(&mut order, paid);
    note(&mut order, tx.now(), "UNDO", "DONE", "The holds were released and the payment was refunded.", "system")?;
    touch(tx, &mut order)?;
    tx.delete::<Saga>(&lease.order_id)?;
    view(tx, order)
}

/// Schedules a retry of a failed compensation: after 2 seconds, doubled with each failure, at most 256 seconds. The
/// number of retries is not limited.
pub(crate) fn compensate_later(tx: &mut Tx<'_>, lease: &SagaLease, error: &str) -> Result<(), Error> {
    let mut saga = leased(tx, lease)?;
    saga.tries += 1;
    saga.due_at = tx.now() + COMPENSATION_PAUSES.after(saga.tries);
    saga.last_error = Some(error.to_owned());
    Ok(tx.put(&saga)?)
}

/// Confirms a checkout that waits for the buyer, because its payment was authorised or captured. For a confirmed order
/// a capture is recorded.
pub(crate) fn confirm_paid(tx: &mut Tx<'_>, order_id: OrderId, paid: &PaymentOutcome) -> Result<(), Error> {
    let Some(saga) = tx.get::<Saga>(&order_id)? else { return note_capture(tx, order_id, paid) };
    if saga.step != SagaStep::AwaitingAction {
        return Ok(());
    }
    if saga.cart_id.is_some() {
        // The cart must be emptied together with the confirmation, by another service: a driver does both.
        return Ok(tx.put(&Saga { step: SagaStep::Paying, due_at: tx.now(), ..saga })?);
    }
    let lease = SagaLease { order_id, attempt: saga.attempt };
    confirm(tx, &lease, Some(paid), None).map(drop)
}

/// Records a capture of a confirmed order's payment.
fn note_capture(tx: &mut Tx<'_>, order_id: OrderId, paid: &PaymentOutcome) -> Result<(), Error> {
    use PaymentStatus::{Authorized, PartiallyCaptured, Pending};
    let Some(mut order) = tx.get::<Order>(&order_id)? else { return Ok(()) };
    let is_open = matches!(order.payment_status, Some(Pending | Authorized | PartiallyCaptured));
    if !is_open || paid.status == Authorized {
        return Ok(());
    }
    note_payment(&mut order, Some(paid));
    let detail = match paid.status {
        PartiallyCaptured => format!("{} {} of the payment were captured.", paid.captured, order.currency),
        _ => "The payment was captured.".to_owned(),
    };
    note(&mut order, tx.now(), "TAKE_PAYMENT", "DONE", &detail, "system")?;
    touch(tx, &mut order)
}

/// Makes a checkout that waits for the buyer due at once, because its payment failed.
pub(crate) fn expire_failed(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    let Some(mut saga) = tx.get::<Saga>(&order_id)? else { return Ok(()) };
    if saga.step == SagaStep::AwaitingAction {
        saga.due_at = tx.now();
        tx.put(&saga)?;
    }
    Ok(())
}

/// Adds the guest's token to a reply and stores the reply under the request's idempotency key.
fn store_reply(tx: &mut Tx<'_>, mut view: OrderView, draft: &Draft) -> Result<OrderView, Error> {
    view.order_token.clone_from(&draft.token);
    if let Some(claim) = draft.claim.as_ref().map(StoredClaim::to_claim)
        && let Some(response) = view.stored_response(claim.status)?
    {
        tx.keep(&claim, &response)?;
    }
    Ok(view)
}
