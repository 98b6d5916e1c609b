//! Updates about a charge and their effects: one function for answers, webhooks and late arrivals.

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentCaptured, PaymentFailed, PaymentStatus as Status};
use promox_kernel::{Amount, Currency, Error, Json, UserId};
use promox_storage::{StoreError, Tx};

use super::{Ending, enter, refund, save};
use crate::queries;
use crate::records::{Attempt, Cancellation, EntryKind, Payment, Provider, ProviderEvent};
use crate::reject;
use crate::rules::{self, Choice, ProviderUpdate};

/// The validated payment of an order.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) choice: Choice,
}

/// Records a provider's answer to an order's charge. The first answer creates the payment.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    due: &Due,
    attempts: &[Attempt],
    update: &ProviderUpdate,
) -> Result<Payment, StoreError> {
    let mut payment = match queries::of_order(tx, due.order_id)? {
        Some(known) => known,
        None => begin(tx, due)?,
    };
    payment.tried(attempts);
    apply_update(tx, payment, update)
}

fn begin(tx: &mut Tx<'_>, due: &Due) -> Result<Payment, StoreError> {
    let zero = due.currency.zero();
    let ended = tx.get::<Cancellation>(&due.order_id)?;
    Ok(Payment {
        id: PaymentId(tx.next_id::<Payment>()?),
        order_id: due.order_id,
        user_id: due.user_id,
        provider: due.choice.provider,
        method: due.choice.method,
        status: Status::Pending,
        amount: due.amount,
        currency: due.currency,
        authorized: zero,
        captured: zero,
        refunded: zero,
        refunding: zero,
        voided: zero,
        failure_code: None,
        token: due.choice.token.clone(),
        reference: None,
        action: Json(None),
        attempts: Json(Vec::new()),
        tries: 0,
        entries: 0,
        cancelled_at: ended.as_ref().map(|ended| ended.at),
        cancel_reason: ended.map(|ended| ended.reason),
        version: 0,
        created_at: tx.now(),
        updated_at: tx.now(),
    })
}

/// Applies an update from any source; one without effect only changes the attempts.
pub(crate) fn apply_update(
    tx: &mut Tx<'_>,
    mut payment: Payment,
    update: &ProviderUpdate,
) -> Result<Payment, StoreError> {
    if let Some(status) = rules::next(payment.status, update) {
        payment.status = status;
        apply_effects(tx, &mut payment, update)?;
        if !matches!(payment.status, Status::Pending | Status::RequiresAction) {
            payment.token = None;
        }
    }
    save(tx, &mut payment)?;
    Ok(payment)
}

fn apply_effects(tx: &mut Tx<'_>, payment: &mut Payment, update: &ProviderUpdate) -> Result<(), StoreError> {
    payment.action = Json(None);
    match update {
        ProviderUpdate::Authorized { reference } => authorize(tx, payment, reference)?,
        ProviderUpdate::Captured { reference } => capture(tx, payment, reference)?,
        ProviderUpdate::NeedsAction { reference, action } => {
            payment.reference = Some(reference.clone());
            payment.action = Json(Some(action.clone()));
        }
        ProviderUpdate::Declined { code } => {
            payment.failure_code = Some(code.clone());
            let (payment_id, order_id, code) = (payment.id, payment.order_id, code.clone());
            tx.emit(payment_id, &PaymentFailed { payment_id, order_id, code })?;
        }
        ProviderUpdate::Voided => void(tx, payment)?,
        ProviderUpdate::NoAnswer => {}
    }
    Ok(())
}

/// Nothing will be captured. If the order has not ended by itself, an event says that its payment failed.
fn void(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), StoreError> {
    payment.voided = payment.amount;
    if payment.authorized > payment.captured {
        let amount = payment.authorized - payment.captured;
        enter(tx, payment, (EntryKind::Void, amount), None, None)?;
    }
    if payment.cancelled_at.is_none() {
        let (payment_id, order_id, code) = (payment.id, payment.order_id, "VOIDED".to_owned());
        tx.emit(payment_id, &PaymentFailed { payment_id, order_id, code })?;
    }
    Ok(())
}

fn authorize(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str) -> Result<(), StoreError> {
    payment.authorized = payment.due();
    payment.reference = Some(reference.to_owned());
    enter(tx, payment, (EntryKind::Authorize, payment.authorized), Some(reference.to_owned()), None)
}

/// The money was captured. If its order has ended, it is refunded: the refund is opened in the same transaction.
fn capture(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str) -> Result<(), StoreError> {
    if payment.due().is_zero() {
        // The provider captured a voided payment: it is refunded in full.
        payment.voided = payment.currency.zero();
    }
    if payment.authorized.is_zero() {
        authorize(tx, payment, reference)?;
    }
    payment.captured = payment.due();
    payment.failure_code = None;
    enter(tx, payment, (EntryKind::Capture, payment.captured), Some(reference.to_owned()), None)?;
    let (payment_id, order_id) = (payment.id, payment.order_id);
    let fact = PaymentCaptured { payment_id, order_id, amount: payment.captured, currency: payment.currency };
    tx.emit(payment_id, &fact)?;
    if payment.cancelled_at.is_some() {
        refund::open_rest(tx, payment)?;
    }
    Ok(())
}

/// Ends an order's payment. This is recorded first, so that whatever is captured later is refunded.
pub(crate) fn cancel(tx: &mut Tx<'_>, order_id: OrderId, reason: &str) -> Result<Ending, StoreError> {
    let Some(mut payment) = queries::of_order(tx, order_id)? else {
        let ended = tx.get::<Cancellation>(&order_id)?;
        if ended.is_none() {
            tx.insert(&Cancellation { order_id, reason: reason.to_owned(), at: tx.now() })?;
        }
        return Ok(Ending::Done);
    };
    if payment.check_void().is_ok() {
        return begin_void(tx, payment, reason).map(|payment| Ending::Void(Box::new(payment)));
    }
    if let Some(id) = refund::unsettled(tx, payment.id)? {
        return Ok(Ending::Refund(id));
    }
    let first = payment.cancelled_at.is_none();
    payment.cancel(reason, tx.now());
    let rest = refund::open_rest(tx, &mut payment)?;
    if first || rest.is_some() {
        save(tx, &mut payment)?;
    }
    Ok(rest.map_or(Ending::Done, Ending::Refund))
}

/// Records that a charge is being voided, before the provider is asked.
pub(crate) fn begin_void(tx: &mut Tx<'_>, mut payment: Payment, reason: &str) -> Result<Payment, StoreError> {
    if payment.cancelled_at.is_none() {
        payment.cancel(reason, tx.now());
        save(tx, &mut payment)?;
    }
    Ok(payment)
}

/// A webhook's content.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) provider: Provider,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) subject: Subject,
}

/// A webhook's subject.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A charge, with the amount that the provider names.
    Charge { order_id: OrderId, update: ProviderUpdate, amount: Option<(Amount, Currency)> },
    /// A completed refund.
    Refund { id: i64, reference: String },
    /// Something that we do not follow.
    Nothing,
}

/// Processes a webhook once; returns the payment that it changes.
pub(crate) fn process_webhook(tx: &mut Tx<'_>, notice: &Webhook) -> Result<Option<Payment>, Error> {
    let (provider, event_id) = (notice.provider, notice.event_id.clone());
    if tx.get::<ProviderEvent>(&(provider, event_id.clone()))?.is_some() {
        return Ok(None);
    }
    let payment = match &notice.subject {
        Subject::Charge { order_id, update, amount } => {
            let payment = queries::of_order(tx, *order_id)?.filter(|payment| payment.provider == provider);
            let payment = payment.ok_or(Error::not_found("payment"))?;
            let (due, all) = (payment.due(), payment.amount);
            let known = |(sum, currency)| currency == payment.currency && (sum == due || (due.is_zero() && sum == all));
            if amount.is_some_and(|amount| !known(amount)) {
                return Err(reject::mismatch(due, payment.currency));
            }
            match rules::next(payment.status, update) {
                Some(_) => Some(apply_update(tx, payment, update)?),
                None => None,
            }
        }
        Subject::Refund { id, reference } => Some(refund::settle(tx, *id, reference)?),
        Subject::Nothing => None,
    };
    tx.insert(&ProviderEvent { provider, event_id, kind: notice.kind.clone(), at: tx.now() })?;
    Ok(payment)
}
