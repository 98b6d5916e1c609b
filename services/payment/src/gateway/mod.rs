//! The providers, as the rest of the service sees them. Each call carries a key, so that a provider recognises a
//! repetition.

mod sandbox;

use std::time::Duration;

use promox_kernel::Clock;

use crate::records::Provider;
use sandbox::Sandbox;

/// A charge request. It has no amount: the sandbox moves no money.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// Its permanent key.
    pub(crate) key: String,
    /// The provider's token for the payment method.
    pub(crate) token: String,
    /// The number of earlier requests, according to our books.
    pub(crate) tried: u32,
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

/// The provider failed (5xx, lost connection): the request may have been carried out.
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

/// The client of one provider. For manual payments, the merchant's word is the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gateway<'a> {
    Sandbox(&'a Sandbox),
    Manual,
}

impl Gateway<'_> {
    /// Requests a charge. The same key is the same charge, however often it is requested.
    pub(crate) async fn charge(self, clock: &Clock, charge: &Charge) -> Result<Answer, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.charge(clock, charge).await,
            Self::Manual => Ok(Answer::Awaited),
        }
    }

    /// Continues after the buyer has acted; returns the provider's name for the charge.
    pub(crate) async fn confirm(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.settle(clock, key).await,
            Self::Manual => Ok(by_hand(key)),
        }
    }

    /// Captures an authorised charge; returns the provider's name for it.
    pub(crate) async fn capture(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }

    /// Voids a charge that we have no capture of, whatever its status at the provider.
    pub(crate) async fn void(self, clock: &Clock, key: &str) -> Result<(), Failed> {
        self.confirm(clock, key).await.map(drop)
    }

    /// Refunds money; returns the provider's name for the refund.
    pub(crate) async fn refund(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }
}

fn by_hand(key: &str) -> String {
    format!("manual:{key}")
}
