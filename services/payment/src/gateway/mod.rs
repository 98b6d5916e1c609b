//! Clients of the payment providers. Every call carries an idempotency key, so that a provider recognises a repetition.

mod sandbox;

use std::time::Duration;

use promox_kernel::Clock;

use crate::records::Provider;
use sandbox::Sandbox;

/// A charge request. It has no amount: the sandbox moves no money.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// The idempotency key, which never changes.
    pub(crate) key: String,
    /// The provider's token for the payment method.
    pub(crate) token: String,
    /// The number of earlier requests that are recorded.
    pub(crate) earlier_tries: u32,
}

/// A provider's answer to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The payment is manual and will arrive later.
    Awaited,
    /// The money was captured.
    Captured { reference: String },
    /// The buyer must act first.
    NeedsAction { reference: String, url: String },
    /// The charge was declined.
    Declined { code: &'static str },
}

/// A provider's failure, such as a status of 5xx or a lost connection. The request may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// The providers of a node.
#[derive(Debug)]
pub(crate) struct Gateways {
    sandbox: Sandbox,
}

impl Gateways {
    pub(crate) fn new(sandbox_latency: Duration) -> Self {
        Self { sandbox: Sandbox::new(sandbox_latency) }
    }

    /// The client of a provider.
    pub(crate) fn of(&self, provider: Provider) -> Gateway<'_> {
        match provider {
            Provider::Sandbox => Gateway::Sandbox(&self.sandbox),
            Provider::Manual => Gateway::Manual,
        }
    }
}

/// The client of one provider. Manual payments have none: every request succeeds at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gateway<'a> {
    Sandbox(&'a Sandbox),
    Manual,
}

impl Gateway<'_> {
    /// Requests a charge. Repeating a request with the same key does not charge again.
    pub(crate) async fn charge(self, clock: &Clock, charge: &Charge) -> Result<Answer, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.charge(clock, charge).await,
            Self::Manual => Ok(Answer::Awaited),
        }
    }

    /// Continues a charge after the buyer has acted. Returns the provider's reference of the charge.
    pub(crate) async fn confirm(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.settle(clock, key).await,
            Self::Manual => Ok(manual_reference(key)),
        }
    }

    /// Captures an authorised charge. Returns the provider's reference of the capture.
    pub(crate) async fn capture(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }

    /// Voids a charge of which no capture is recorded, whatever its status at the provider.
    pub(crate) async fn void(self, clock: &Clock, key: &str) -> Result<(), Failed> {
        self.confirm(clock, key).await.map(drop)
    }

    /// Refunds money. Returns the provider's reference of the refund.
    pub(crate) async fn refund(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }
}

/// The reference of an operation on a manual payment.
fn manual_reference(key: &str) -> String {
    format!("manual:{key}")
}
