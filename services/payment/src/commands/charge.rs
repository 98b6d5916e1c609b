//! What is heard of a charge, and what is done about it: one function for answers, webhooks and what comes too late.

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{PaymentCaptured, PaymentFailed, PaymentStatus as Status};
use promox_kernel::{Amount, Currency, Error, Json, UserId};
use promox_storage::{StoreError, Tx};

use super::{enter, keep, refund};
use crate::queries;
use crate::records::{Attempt, Cancellation, EntryKind, Payment, Provider, ProviderEvent};
use crate::reject;
use crate::rules::{self, Choice, News};

/// What an order is to pay, checked.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) choice: Choice,
}

/// Notes what a provider answered to an order's charge. The first answer makes the payment.
pub(crate) fn note(tx: &mut Tx<'_>, due: &Due, attempts: &[Attempt], news: &News) -> Result<Payment, StoreError> {
    let mut payment = match queries::of_order(tx, due.order_id)? {
        Some(known) => known,
        None => begin(tx, due)?,
    };
    payment.tried(attempts);
    hear(tx, payment, news)
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

/// Hears news, wherever it comes from; what is no news changes nothing but the attempts.
pub(crate) fn hear(tx: &mut Tx<'_>, mut payment: Payment, news: &News) -> Result<Payment, StoreError> {
    if let Some(status) = rules::next(payment.status, news) {
        payment.status = status;
        follow(tx, &mut payment, news)?;
        if !matches!(payment.status, Status::Pending | Status::RequiresAction) {
            payment.token = None;
        }
    }
    keep(tx, &mut payment)?;
    Ok(payment)
}

fn follow(tx: &mut Tx<'_>, payment: &mut Payment, news: &News) -> Result<(), StoreError> {
    payment.action = Json(None);
    match news {
        News::Authorized { reference } => authorize(tx, payment, reference)?,
        News::Captured { reference } => capture(tx, payment, reference)?,
        News::NeedsAction { reference, action } => {
            payment.reference = Some(reference.clone());
            payment.action = Json(Some(action.clone()));
        }
        News::Declined { code } => {
            payment.failure_code = Some(code.clone());
            let (payment_id, order_id, code) = (payment.id, payment.order_id, code.clone());
            tx.emit(payment_id, &PaymentFailed { payment_id, order_id, code })?;
        }
        News::Voided => void(tx, payment)?,
        News::Silence => {}
    }
    Ok(())
}

/// Nothing will be captured. An order that has not ended by itself is told: its money does not come.
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

/// The money is there. If its order has ended, it goes back: the refund is opened in the same transaction.
fn capture(tx: &mut Tx<'_>, payment: &mut Payment, reference: &str) -> Result<(), StoreError> {
    if payment.due().is_zero() {
        // The provider took what was void: it is all there, and goes back.
        payment.voided = payment.currency.zero();
    }
    if payment.authorized.is_zero() {
        authorize(tx, payment, reference)?;
    }
    payment.captured = payment.due();
    payment.failure_code = None;
    enter(tx, payment, (EntryKind::Capture, payment.captured), Some(reference.to_owned()), None)?;
    let (payment_id, order_id) = (payment.id, payment.order_id);
    let told = PaymentCaptured { payment_id, order_id, amount: payment.captured, currency: payment.currency };
    tx.emit(payment_id, &told)?;
    if payment.cancelled_at.is_some() {
        refund::open_rest(tx, payment)?;
    }
    Ok(())
}

/// What the end of an order, or a return, asks the provider for.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Nothing more.
    Done,
    /// The provider is to end the charge.
    Void(Box<Payment>),
    /// Money is to be given back.
    GiveBack(i64),
}

/// Ends an order's payment. It is written down first, so that whatever is heard later is given back.
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
        return Ok(Ending::GiveBack(id));
    }
    let first = payment.cancelled_at.is_none();
    payment.cancel(reason, tx.now());
    let rest = refund::open_rest(tx, &mut payment)?;
    if first || rest.is_some() {
        keep(tx, &mut payment)?;
    }
    Ok(rest.map_or(Ending::Done, Ending::GiveBack))
}

/// Writes down that a charge is to be ended, before the provider is asked to.
pub(crate) fn begin_void(tx: &mut Tx<'_>, mut payment: Payment, reason: &str) -> Result<Payment, StoreError> {
    if payment.cancelled_at.is_none() {
        payment.cancel(reason, tx.now());
        keep(tx, &mut payment)?;
    }
    Ok(payment)
}

/// What a webhook says.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) provider: Provider,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) subject: Subject,
}

/// What a webhook is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A charge, with the amount that the provider names.
    Charge { order_id: OrderId, news: News, amount: Option<(Amount, Currency)> },
    /// A refund that was made.
    Refund { id: i64, reference: String },
    /// Something that we do not follow.
    Nothing,
}

/// Hears a webhook once; the payment that it is news for.
pub(crate) fn hear_notice(tx: &mut Tx<'_>, notice: &Notice) -> Result<Option<Payment>, Error> {
    let (provider, event_id) = (notice.provider, notice.event_id.clone());
    if tx.get::<ProviderEvent>(&(provider, event_id.clone()))?.is_some() {
        return Ok(None);
    }
    let payment = match &notice.subject {
        Subject::Charge { order_id, news, amount } => {
            let payment = queries::of_order(tx, *order_id)?.filter(|it| it.provider == provider);
            let payment = payment.ok_or(Error::not_found("payment"))?;
            let (due, all) = (payment.due(), payment.amount);
            let known = |(sum, currency)| currency == payment.currency && (sum == due || (due.is_zero() && sum == all));
            if amount.is_some_and(|amount| !known(amount)) {
                return Err(reject::mismatch(due, payment.currency));
            }
            match rules::next(payment.status, news) {
                Some(_) => Some(hear(tx, payment, news)?),
                None => None,
            }
        }
        Subject::Refund { id, reference } => Some(refund::settle(tx, *id, reference)?),
        Subject::Nothing => None,
    };
    tx.insert(&ProviderEvent { provider, event_id, kind: notice.kind.clone(), at: tx.now() })?;
    Ok(payment)
}
