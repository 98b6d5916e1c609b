//! Stripe, by its PaymentIntents.
//!
//! An intent is created first and its id stored; only then is it confirmed. So whatever happens to an answer, the
//! intent can be found: before another attempt its state is asked for, an intent is captured at most once, and an order
//! that fails cancels it, after which nobody can confirm it. A creation whose answer was lost is repeated with the same
//! key, so that an order has one intent. One whose id was never stored is never confirmed, and its secret is known to
//! nobody.
//!
//! Idempotency keys contain the intent's id, or the time of the payment before there is one, so that they are unique in
//! an account that several shops share. Stripe keeps them for a day only, so that nothing relies on them alone: a refund
//! is looked for before it is requested.
//!
//! An intent is captured once. Captures in parts are a feature of some accounts and cards only, and a card's
//! authorisation is released by the first capture everywhere else. So a payment that is captured as goods are shipped
//! is captured when the last of them are, for all that is due by then.

mod api;
mod decline;
mod intent;
mod money;
mod webhook;

use futures_util::future::BoxFuture;
use promox_kernel::{Amount, Error, Node, Timestamp};

use super::{Answer, Answering, CaptureRequest, Failed, Gateway, RefundRequest, Registration, SignedRequest};
use crate::charge::Charge;
use crate::commands::webhook::{Subject, Webhook};
use crate::records::Provider;
use crate::{StripeSettings, reject};
use api::{Api, List, REFUND, Refund, Refusal};
use decline::upper_snake;
use intent::{Intent, ORDER};
use webhook::Dispute;

/// The number of an intent's refunds that are looked at. Stripe gives at most 100 at once.
const MAX_REFUNDS: usize = 100;

/// The provider Stripe.
#[derive(Debug)]
pub(super) struct Stripe {
    api: Api,
    publishable_key: String,
    webhook_secret: String,
}

impl Stripe {
    /// The error says which setting is wrong.
    pub(super) fn new(settings: &StripeSettings) -> Result<Self, String> {
        Ok(Self {
            api: Api::new(settings)?,
            publishable_key: settings.publishable_key.clone(),
            webhook_secret: settings.webhook_secret.clone(),
        })
    }

    /// Creates an intent. Repeating it after a lost answer returns the same intent.
    async fn create(&self, node: &Node, charge: &Charge) -> Result<Registration, Failed> {
        let order = charge.order_id.to_string();
        let Some(units) = money::units(charge.amount, charge.currency) else {
            return Ok(Registration::Declined { code: upper_snake("invalid_amount") });
        };
        let (amount, currency) = (units.to_string(), charge.currency.code().to_ascii_lowercase());
        let metadata = format!("metadata[{ORDER}]");
        let form = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("payment_method", &charge.token),
            ("payment_method_types[]", "card"),
            ("capture_method", if charge.authorize_only { "manual" } else { "automatic" }),
            (&metadata, &order),
        ];
        let stored_at = charge.stored_at.ok_or(Failed)?;
        let key = format!("{}-{}", charge.key, stored_at.to_jiff().as_microsecond());
        match self.api.post::<Intent>(node, "/v1/payment_intents", &key, &form).await {
            Ok(intent) => Ok(Registration::Registered { reference: intent.id }),
            Err(Refusal::Refused(error)) => Ok(Registration::Declined { code: error.decline_code() }),
            Err(Refusal::Failed) => Err(Failed),
        }
    }

    /// Confirms an intent. After an earlier attempt its state is asked for first.
    async fn confirm(&self, node: &Node, charge: &Charge, earlier_tries: u32) -> Result<Answer, Failed> {
        let id = reference(charge)?;
        if earlier_tries > 0 {
            let intent = self.intent(node, id).await?;
            if !intent.awaits_confirmation() {
                return Ok(intent.answer_to(charge, charge.amount));
            }
        }
        match self.api.act(node, (id, "confirm"), &format!("{id}-confirm-{earlier_tries}"), &[]).await {
            Ok(intent) => Ok(intent.answer_to(charge, charge.amount)),
            Err(Refusal::Failed) => Err(Failed),
            Err(Refusal::Refused(error)) => {
                // The refusal may mean that an earlier request was carried out after all.
                let intent = self.intent(node, id).await?;
                if intent.awaits_confirmation() || intent.status == "requires_payment_method" {
                    return Ok(Answer::Declined { code: error.decline_code() });
                }
                Ok(intent.answer_to(charge, charge.amount))
            }
        }
    }

    /// Captures an amount of an intent; the rest of it is released.
    async fn capture_once(&self, node: &Node, request: &CaptureRequest) -> Result<Answer, Failed> {
        let charge = &request.charge;
        let id = reference(charge)?;
        let units = money::units(request.amount, charge.currency).ok_or(Failed)?.to_string();
        let form = [("amount_to_capture", units.as_str())];
        match self.api.act(node, (id, "capture"), &format!("{id}-capture-{units}"), &form).await {
            Ok(intent) => Ok(intent.answer_to(charge, request.amount)),
            Err(Refusal::Failed) => Err(Failed),
            Err(Refusal::Refused(_)) => self.state(node, charge, request.amount).await,
        }
    }

    /// Cancels an intent. One that cannot be cancelled any more is answered with its state.
    async fn cancel(&self, node: &Node, charge: &Charge) -> Result<Answer, Failed> {
        let Some(id) = charge.reference.as_deref() else { return Ok(Answer::Cancelled) };
        match self.api.act(node, (id, "cancel"), &format!("{id}-cancel"), &[]).await {
            Ok(intent) => Ok(intent.answer()),
            Err(Refusal::Failed) => Err(Failed),
            Err(Refusal::Refused(_)) => self.state(node, charge, charge.amount).await,
        }
    }

    /// Refunds money, unless a refund with the same id exists. One that has failed at the card's bank is repeated.
    async fn refund_once(&self, node: &Node, request: &RefundRequest) -> Result<String, Failed> {
        let (intent, id) = (reference(&request.charge)?, request.id.to_string());
        let path = format!("/v1/refunds?payment_intent={intent}&limit={MAX_REFUNDS}");
        let list: List = self.api.get(node, &path).await.map_err(|_| Failed)?;
        let own: Vec<&Refund> = list.data.iter().filter(|refund| refund.is_named(&id)).collect();
        if let Some(done) = own.iter().find(|refund| !refund.has_failed()) {
            return Ok(done.id.clone());
        }
        let units = money::units(request.amount, request.charge.currency).ok_or(Failed)?.to_string();
        let metadata = format!("metadata[{REFUND}]");
        let form = [("payment_intent", intent), ("amount", &units), (&metadata, &id)];
        let key = format!("{intent}-refund-{id}-{}", own.len());
        let refund: Refund = self.api.post(node, "/v1/refunds", &key, &form).await.map_err(|_| Failed)?;
        if refund.has_failed() { Err(Failed) } else { Ok(refund.id) }
    }

    /// The state of a charge, of which `amount` should be captured.
    async fn state(&self, node: &Node, charge: &Charge, amount: Amount) -> Result<Answer, Failed> {
        Ok(self.intent(node, reference(charge)?).await?.answer_to(charge, amount))
    }

    async fn intent(&self, node: &Node, id: &str) -> Result<Intent, Failed> {
        self.api.intent(node, id).await.map_err(|_| Failed)
    }

    async fn read(&self, node: &Node, request: &SignedRequest, now: Timestamp) -> Result<Webhook, Error> {
        if self.webhook_secret.is_empty() {
            return Err(reject::no_webhooks());
        }
        let event = webhook::read(&self.webhook_secret, request, now)?;
        let subject = if event.is_of_intent() {
            event.object::<Intent>().map_or(Subject::Other, webhook::subject)
        } else if let Some(dispute) = event.dispute() {
            self.disputed(node, dispute).await?
        } else {
            Subject::Other
        };
        Ok(Webhook { provider: Provider::Stripe, event_id: event.id, kind: event.kind, subject })
    }

    /// What a dispute is about. Only its intent says which order that is.
    async fn disputed(&self, node: &Node, dispute: Dispute) -> Result<Subject, Error> {
        let Some(id) = dispute.payment_intent.as_deref() else { return Ok(Subject::Other) };
        match self.api.intent(node, id).await {
            Ok(intent) => Ok(dispute.subject(&intent)),
            Err(Refusal::Refused(_)) => Ok(Subject::Other),
            Err(Refusal::Failed) => Err(reject::no_answer()),
        }
    }
}

/// The id of a charge's intent.
fn reference(charge: &Charge) -> Result<&str, Failed> {
    charge.reference.as_deref().ok_or(Failed)
}

impl Gateway for Stripe {
    fn publishable_key(&self) -> Option<&str> {
        Some(self.publishable_key.as_str()).filter(|key| !key.is_empty())
    }

    fn registers(&self) -> bool {
        true
    }

    fn register<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Registration> {
        Box::pin(self.create(node, charge))
    }

    fn charge<'a>(&'a self, node: &'a Node, charge: &'a Charge, earlier_tries: u32) -> Answering<'a, Answer> {
        Box::pin(self.confirm(node, charge, earlier_tries))
    }

    fn resume<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(self.state(node, charge, charge.amount))
    }

    fn inquire<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(self.state(node, charge, charge.amount))
    }

    fn capture<'a>(&'a self, node: &'a Node, request: &'a CaptureRequest) -> Answering<'a, Answer> {
        Box::pin(self.capture_once(node, request))
    }

    fn void<'a>(&'a self, node: &'a Node, charge: &'a Charge) -> Answering<'a, Answer> {
        Box::pin(self.cancel(node, charge))
    }

    fn refund<'a>(&'a self, node: &'a Node, refund: &'a RefundRequest) -> Answering<'a, String> {
        Box::pin(self.refund_once(node, refund))
    }

    fn read_webhook<'a>(
        &'a self,
        node: &'a Node,
        request: &'a SignedRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Webhook, Error>> {
        Box::pin(self.read(node, request, now))
    }
}
