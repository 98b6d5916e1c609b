//! The providers, as the rest of the service sees them. Each call carries a key by which the provider knows it again.

mod sandbox;

use std::time::Duration;

use promox_kernel::Clock;

use crate::records::Provider;
use sandbox::Sandbox;

/// A charge that is asked for. What it costs is ours to know: the sandbox moves no money.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// Names it for ever.
    pub(crate) key: String,
    /// The provider's token for the means of payment.
    pub(crate) token: String,
    /// How often it was asked for before, by our books.
    pub(crate) tried: u32,
}

/// What a provider says to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The money comes by hand, some day.
    Awaited,
    /// The money is taken.
    Captured { reference: String },
    /// The buyer has to do something first.
    NeedsAction { reference: String, url: String },
    /// No.
    Declined { code: &'static str },
}

/// The provider failed (5xx, a cut connection): what was asked may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// All providers of a node.
#[derive(Debug)]
pub(crate) struct Gateways {
    sandbox: Sandbox,
}

impl Gateways {
    pub(crate) fn new(sandbox_latency: Duration) -> Self {
        Self { sandbox: Sandbox::new(sandbox_latency) }
    }

    /// The way to a provider.
    pub(crate) fn of(&self, provider: Provider) -> Gateway<'_> {
        match provider {
            Provider::Sandbox => Gateway::Sandbox(&self.sandbox),
            Provider::Manual => Gateway::Manual,
        }
    }
}

/// The way to one provider. By hand, the merchant's word is the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gateway<'a> {
    Sandbox(&'a Sandbox),
    Manual,
}

impl Gateway<'_> {
    /// Asks for the money. The same key is one charge, however often it is asked for.
    pub(crate) async fn charge(self, clock: &Clock, charge: &Charge) -> Result<Answer, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.charge(clock, charge).await,
            Self::Manual => Ok(Answer::Awaited),
        }
    }

    /// Goes on after the buyer did what was asked; the charge's name at the provider.
    pub(crate) async fn confirm(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        match self {
            Self::Sandbox(sandbox) => sandbox.settle(clock, key).await,
            Self::Manual => Ok(by_hand(key)),
        }
    }

    /// Takes money that was authorised; the charge's name at the provider.
    pub(crate) async fn capture(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }

    /// Ends a charge that we have no capture of, whatever became of it at the provider.
    pub(crate) async fn void(self, clock: &Clock, key: &str) -> Result<(), Failed> {
        self.confirm(clock, key).await.map(drop)
    }

    /// Gives money back; the refund's name at the provider.
    pub(crate) async fn refund(self, clock: &Clock, key: &str) -> Result<String, Failed> {
        self.confirm(clock, key).await
    }
}

fn by_hand(key: &str) -> String {
    format!("manual:{key}")
}
