//! Webhooks of providers, each processed once.

use promox_contract::ids::OrderId;
use promox_contract::payment::PaymentDisputed;
use promox_kernel::{Amount, Currency, Error};
use promox_storage::Tx;

use super::{charge, refund};
use crate::queries;
use crate::records::{Payment, Provider, ProviderEvent};
use crate::reject;
use crate::rules::{self, ProviderUpdate};

/// A verified webhook.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) provider: Provider,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) subject: Subject,
}

/// The change that a webhook reports.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// An update of an order's charge, with the amount that the provider states. If a reference is given, charges with
    /// another one belong to somebody else and are ignored.
    Charge { order_id: OrderId, reference: Option<String>, update: ProviderUpdate, amount: Option<(Amount, Currency)> },
    /// A completed refund.
    Refund { id: i64, reference: String },
    /// A dispute of the charge with this reference, which moves no money of this service.
    Dispute { order_id: OrderId, charge: String, dispute: DisputeState },
    /// Something that this service does not follow.
    Other,
}

/// A dispute as its provider states it.
#[derive(Clone, Debug)]
pub(crate) struct DisputeState {
    pub(crate) id: String,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) reason: String,
    pub(crate) status: String,
}

/// Processes a webhook once. Returns the payment that it changed; `None` if it was processed before or has no effect.
pub(crate) fn process(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<Option<Payment>, Error> {
    let (provider, event_id) = (webhook.provider, webhook.event_id.clone());
    if tx.get::<ProviderEvent>(&(provider, event_id.clone()))?.is_some() {
        return Ok(None);
    }
    let payment = match &webhook.subject {
        Subject::Charge { order_id, reference, update, amount } => {
            match of_charge(tx, provider, *order_id, reference.as_deref())? {
                Some(payment) => update_charge(tx, payment, update, *amount)?,
                None => None,
            }
        }
        Subject::Refund { id, reference } => Some(refund::settle(tx, *id, reference)?),
        Subject::Dispute { order_id, charge, dispute } => {
            if let Some(payment) = of_charge(tx, provider, *order_id, Some(charge))? {
                report_dispute(tx, &payment, dispute)?;
            }
            None
        }
        Subject::Other => None,
    };
    tx.insert(&ProviderEvent { provider, event_id, kind: webhook.kind.clone(), at: tx.now() })?;
    Ok(payment)
}

/// The payment that a charge belongs to. A charge with a reference that no payment has is somebody else's; without a
/// reference, a missing payment is 404.
fn of_charge(
    tx: &Tx<'_>,
    provider: Provider,
    order_id: OrderId,
    reference: Option<&str>,
) -> Result<Option<Payment>, Error> {
    let payment = queries::of_order(tx, order_id)?.filter(|payment| payment.provider == provider);
    match reference {
        Some(reference) => Ok(payment.filter(|payment| payment.reference.as_deref() == Some(reference))),
        None => payment.map(Some).ok_or(Error::not_found("payment")),
    }
}

/// Applies an update to a payment, unless the provider states an amount that is not due.
fn update_charge(
    tx: &mut Tx<'_>,
    payment: Payment,
    update: &ProviderUpdate,
    amount: Option<(Amount, Currency)>,
) -> Result<Option<Payment>, Error> {
    let due = payment.due();
    // A voided payment has nothing due, but the provider may still capture its original amount.
    let is_expected =
        |(sum, currency)| currency == payment.currency && (sum == due || (due.is_zero() && sum == payment.amount));
    if amount.is_some_and(|amount| !is_expected(amount)) {
        return Err(reject::mismatch(due, payment.currency));
    }
    if *update == ProviderUpdate::Voided && !payment.capturing().is_zero() {
        // The answer to the capture tells which of the two came first.
        return Err(reject::capturing());
    }
    match rules::next(payment.status, update) {
        Some(_) => Ok(Some(charge::apply_update(tx, payment, update)?)),
        None => Ok(None),
    }
}

/// Reports a dispute to whoever follows the events of payments.
fn report_dispute(tx: &mut Tx<'_>, payment: &Payment, dispute: &DisputeState) -> Result<(), Error> {
    let DisputeState { id, amount, currency, reason, status } = dispute.clone();
    let (payment_id, order_id) = (payment.id, payment.order_id);
    Ok(tx.emit(payment_id, &PaymentDisputed { payment_id, order_id, dispute: id, amount, currency, reason, status })?)
}
