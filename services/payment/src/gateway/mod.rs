//! The payment providers. A provider is a [`Gateway`]; each is in a file of its own and knows nothing about the others.

mod manual;
mod sandbox;
mod standard_webhooks;
mod stripe;

use std::fmt;
use std::future::ready;

use futures_util::future::BoxFuture;
use promox_contract::payment::PaymentAction;
use promox_kernel::{Amount, Error, Node, Timestamp};

use crate::charge::{Charge, Received};
use crate::commands::webhook::Webhook;
use crate::records::{Method, Provider};
use crate::rules::ProviderUpdate;
use crate::{Settings, reject};
use manual::Manual;
use sandbox::Sandbox;
use stripe::Stripe;

/// A refund at a provider.
#[derive(Clone, Debug)]
pub(crate) struct RefundRequest {
    /// The id of the refund, from which its idempotency key is derived.
    pub(crate) id: i64,
    pub(crate) amount: Amount,
    /// The captured charge.
    pub(crate) charge: Charge,
}

/// A capture at a provider.
#[derive(Clone, Debug)]
pub(crate) struct CaptureRequest {
    /// The idempotency key, which never changes.
    pub(crate) key: String,
    /// The amount to capture.
    pub(crate) amount: Amount,
    /// The authorised charge.
    pub(crate) charge: Charge,
}

/// What a provider says about a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is decided: a manual payment that has not arrived, or a charge that was registered and not requested.
    Awaited,
    /// The provider has accepted the charge and decides it later.
    Processing { reference: String },
    /// The money is reserved and can be captured.
    Authorized { reference: String },
    /// The money was captured: exactly the amount that was asked for.
    Captured { reference: String },
    /// The provider has captured another amount than it was asked for. Callers get it as no answer, see `Payments::ask`.
    Mismatch { received: Received },
    /// The buyer must act first.
    NeedsAction { reference: String, action: PaymentAction },
    /// The charge was declined.
    Declined { code: String },
    /// The charge was cancelled and can never be captured.
    Cancelled,
}

impl Answer {
    /// The update of the charge that follows.
    pub(crate) fn update(self) -> ProviderUpdate {
        match self {
            Self::Awaited | Self::Mismatch { .. } => ProviderUpdate::NoAnswer,
            Self::Processing { reference } => ProviderUpdate::Processing { reference },
            Self::Authorized { reference } => ProviderUpdate::Authorized { reference },
            Self::Captured { reference } => ProviderUpdate::Captured { reference },
            Self::NeedsAction { reference, action } => ProviderUpdate::NeedsAction { reference, action },
            Self::Declined { code } => ProviderUpdate::Declined { code },
            Self::Cancelled => ProviderUpdate::Voided,
        }
    }
}

/// The result of registering a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The provider's id of the charge. It must be stored before the charge is requested.
    Registered { reference: String },
    /// The provider refuses the charge.
    Declined { code: String },
}

/// A provider's failure, such as a status of 5xx or a lost connection. The request may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// A provider's answer, or its failure.
pub(crate) type Answering<'a, T> = BoxFuture<'a, Result<T, Failed>>;

/// A webhook as it was received.
#[derive(Clone, Debug)]
pub(crate) struct SignedRequest {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl SignedRequest {
    /// The value of a header, by its name in any case.
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }
}

/// A payment provider. Each call may be repeated after a failure or a crash and must then move no money twice. Callers
/// set the deadlines; a call that is dropped may have been carried out.
pub(crate) trait Gateway: fmt::Debug + Send + Sync {
    /// Whether new charges are accepted. Charges that exist can always be captured, voided and refunded.
    fn accepts_charges(&self) -> bool {
        true
    }

    /// The key with which the storefront's code may ask the provider for tokens.
    fn publishable_key(&self) -> Option<&str> {
        None
    }

    /// Whether the provider gives a charge an id of its own, so that it must be registered before it is requested.
    fn registers(&self) -> bool {
        false
    }

    /// Registers a charge, whose payment is stored, without moving money. Repetitions return the same id.
    fn register<'a>(&'a self, _node: &'a Node, _charge: &'a Charge) -> Answering<'a, Registration> {
        Box::pin(ready(Err(Failed)))
    }

    /// Requests a charge. `earlier_tries` is the number of earlier requests, whatever became of them.
    fn charge<'a>(&'a self, node: &'a Node, charge: &'a Charge, earlier_tries: u32) -> Answering<'a, Answer>;

    /// Continues a charge for which the buyer has acted.
    fn resume<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer>;

    /// Asks for the state of a charge. The default knows nothing new.
    fn inquire<'a>(&'a self, _node: &'a Node, _charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(ready(Ok(Answer::Awaited)))
    }

    /// Captures an amount of an authorised charge. `Captured` means that this amount was captured, which may be a part
    /// of the charge only where [`Provider::captures_in_parts`] says so.
    fn capture<'a>(&'a self, node: &'a Node, request: &'a CaptureRequest) -> Answering<'a, Answer>;

    /// Cancels what is not captured of a charge, so that it can never be captured. The answer is `Captured` if all of
    /// it was captured before.
    fn void<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer>;

    /// Refunds money. Returns the provider's reference of the refund.
    fn refund<'a>(&'a self, node: &'a Node, refund: &'a RefundRequest) -> Answering<'a, String>;

    /// Verifies and reads a webhook. The default is for providers without webhooks.
    fn read_webhook<'a>(
        &'a self,
        _node: &'a Node,
        _request: &'a SignedRequest,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Webhook, Error>> {
        Box::pin(ready(Err(reject::no_webhooks())))
    }
}

/// The providers of a node.
#[derive(Debug)]
pub(crate) struct Gateways {
    sandbox: Sandbox,
    manual: Manual,
    stripe: Option<Stripe>,
}

impl Gateways {
    /// The providers that the settings name. The error says which setting is wrong.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let stripe = settings.stripe.as_ref().map(Stripe::new).transpose()?;
        Ok(Self { sandbox: Sandbox::new(settings), manual: Manual, stripe })
    }

    /// A provider, or 503 if it is not configured any more.
    pub(crate) fn of(&self, provider: Provider) -> Result<&dyn Gateway, Error> {
        match provider {
            Provider::Sandbox => Ok(&self.sandbox),
            Provider::Manual => Ok(&self.manual),
            Provider::Stripe => match &self.stripe {
                Some(stripe) => Ok(stripe),
                None => Err(reject::not_configured(provider)),
            },
        }
    }

    /// Whether a provider accepts new charges.
    pub(crate) fn accepts(&self, provider: Provider) -> bool {
        self.of(provider).is_ok_and(Gateway::accepts_charges)
    }

    /// The provider that takes a payment method unless the buyer names another.
    pub(crate) fn default_for(&self, method: Method) -> Provider {
        match method {
            Method::Card if self.stripe.is_some() => Provider::Stripe,
            Method::Card => Provider::Sandbox,
            Method::CashOnDelivery | Method::BankTransfer => Provider::Manual,
        }
    }
}
