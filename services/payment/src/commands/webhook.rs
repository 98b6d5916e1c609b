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

/// What became of a webhook.
#[derive(Debug)]
pub(crate) enum Processed {
    /// It has changed this payment.
    Changed(Box<Payment>),
    /// It was processed before or has no effect.
    Unchanged,
    /// It states an amount that is not due. Staff are shown the deviation, and the provider gets this error, so that it
    /// sends the webhook again.
    Mismatch(Error),
}

/// Processes a webhook once.
pub(crate) fn process(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<Processed, Error> {
    let (provider, event_id) = (webhook.provider, webhook.event_id.clone());
    if tx.get::<ProviderEvent>(&(provider, event_id.clone()))?.is_some() {
        return Ok(Processed::Unchanged);
    }
    let payment = match &webhook.subject {
        Subject::Charge { order_id, reference, update, amount } => {
            match of_charge(tx, provider, *order_id, reference.as_deref())? {
                Some(payment) => {
                    if let Some((sum, currency)) = amount.filter(|stated| !is_expected(&payment, *stated)) {
                        let refusal = reject::mismatch(payment.due(), payment.currency);
                        charge::record_mismatch(tx, payment.id, &format!("{sum} {currency}"))?;
                        return Ok(Processed::Mismatch(refusal));
                    }
                    update_charge(tx, payment, update)?
                }
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
    Ok(payment.map_or(Processed::Unchanged, |payment| Processed::Changed(Box::new(payment))))
}

/// Whether an amount that a provider states for a charge is due.
fn is_expected(payment: &Payment, (sum, currency): (Amount, Currency)) -> bool {
    let due = payment.due();
    // A voided payment has nothing due, but the provider may still capture its original amount.
    currency == payment.currency && (sum == due || (due.is_zero() && sum == payment.amount))
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

/// Applies an update to a payment whose amount the provider has stated as expected, or not at all.
fn update_charge(tx: &mut Tx<'_>, payment: Payment, update: &ProviderUpdate) -> Result<Option<Payment>, Error> {
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
