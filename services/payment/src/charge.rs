//! A charge as providers see it.

use std::fmt;

use promox_contract::ids::OrderId;
use promox_kernel::{Amount, Currency, Timestamp};

use crate::records::Payment;
use crate::rules;

/// A charge at a provider.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// The idempotency key, which never changes.
    pub(crate) key: String,
    pub(crate) order_id: OrderId,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    /// The provider's token for the payment method; empty once the charge is decided.
    pub(crate) token: String,
    /// Whether the money is only authorised, and captured by later requests.
    pub(crate) authorize_only: bool,
    /// The provider's id of the charge, once the charge is registered or answered.
    pub(crate) reference: Option<String>,
    /// When the payment was stored; `None` before. It never changes, and tells the charge from that of another shop's
    /// order of the same number.
    pub(crate) stored_at: Option<Timestamp>,
}

impl Charge {
    /// The charge of a stored payment, for the amount that is due, or the whole amount if nothing is due any more.
    pub(crate) fn of(payment: &Payment) -> Self {
        Self {
            key: rules::charge_key(payment.order_id),
            order_id: payment.order_id,
            amount: if payment.due().is_zero() { payment.amount } else { payment.due() },
            currency: payment.currency,
            token: payment.token.clone().unwrap_or_default(),
            authorize_only: payment.is_captured_later(),
            reference: payment.reference.clone(),
            stored_at: Some(payment.created_at),
        }
    }
}

/// What a provider says it has captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// The amount in the provider's smallest unit of the currency.
    pub(crate) units: i64,
    /// The currency's code as the provider writes it.
    pub(crate) currency: String,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor units of {:?}", self.units, self.currency)
    }
}
