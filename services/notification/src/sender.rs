//! The sender: takes due deliveries, queries the details, renders, sends and records the outcome.
//!
//! While more messages are due than one run sends, runs follow one another, so that the queue of a rush empties quickly.

use futures_util::StreamExt;
use futures_util::stream;
use minijinja::Value;
use promox_contract::order::DescribeOrder;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Email, Error, Kind, UserId};
use promox_storage::Lane;

use crate::commands::{self, DeliveryResult, Outcome};
use crate::kinds::{Channel, MessageKind, Subject};
use crate::records::{Attempt, Delivery, MessageBody};
use crate::templates::context::{self, Members};
use crate::templates::{Message, Source, builtin};
use crate::{Notifications, mail, queries, rules};

/// Maximum deliveries per run.
const BATCH: usize = 256;
/// Maximum deliveries in progress at the same time.
const MAX_CONCURRENT: usize = 16;

/// A delivery that is ready to be sent.
struct Prepared {
    to: Email,
    /// The e-mail; `None` if the recipient has turned it off.
    message: Option<Message>,
    /// The user and the inbox item, if one is to be created.
    inbox: Option<(UserId, Message)>,
}

/// The recipient of a message, and the template data.
struct Addressed {
    to: Email,
    user: Option<UserId>,
    /// The recipient's preferred locale, if known.
    locale: Option<String>,
    members: Members,
}

/// Why a delivery could not be prepared.
enum PrepareError {
    /// It cannot succeed later either.
    Permanent(String),
    /// It may succeed later; this counts as a failed attempt.
    Temporary(String),
    /// Another service is not available at the moment; this does not count as an attempt.
    Unavailable,
}

impl From<Error> for PrepareError {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::NotFound => Self::Permanent(error.message().to_owned()),
            _ if error.is_transient() => Self::Unavailable,
            _ => Self::Temporary(error.to_string()),
        }
    }
}

impl Notifications {
    /// One run: sends due messages, at most a batch. Returns whether there may be more.
    pub(crate) async fn send_due(&self, cx: &Cx) -> Result<bool, Error> {
        let now = cx.now;
        let due = self.db.read(|tx| queries::due(tx, now, BATCH)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() == BATCH;
        let store = cx.call(GetStoreProfile {}).await?;
        let work: Vec<_> = due.into_iter().map(|(row, body)| self.deliver(cx, &store, row, body)).collect();
        let mut outcomes: Vec<Outcome> = stream::iter(work).buffer_unordered(MAX_CONCURRENT).collect().await;
        // Inbox items are created in the order of the events, not of the mail server's answers.
        outcomes.sort_by_key(|outcome| outcome.id);
        let after = Cx { now: cx.node.clock.now(), ..cx.clone() };
        self.db.write_in(&after, Lane::Bulk, move |tx| commands::record(tx, &outcomes)).await?;
        Ok(more)
    }

    /// Prepares and sends one delivery.
    async fn deliver(&self, cx: &Cx, store: &StoreProfile, row: Delivery, body: Option<MessageBody>) -> Outcome {
        let prepared = match body {
            Some(body) => Ok(stored_message(body)),
            None => self.prepare(cx, store, &row).await,
        };
        let (id, attempts) = (row.id, row.attempts.len());
        let (result, inbox) = match prepared {
            Ok(Prepared { to, message: Some(message), inbox }) => (self.send(cx, &row, &to, &message).await, inbox),
            Ok(Prepared { message: None, inbox, .. }) => (DeliveryResult::Unwanted, inbox),
            Err(PrepareError::Unavailable) => (DeliveryResult::Postponed, None),
            Err(PrepareError::Temporary(why)) => (DeliveryResult::Failed(attempt(cx, false, &why), false), None),
            Err(PrepareError::Permanent(why)) => (DeliveryResult::Failed(attempt(cx, false, &why), true), None),
        };
        Outcome { id, attempts, result, inbox }
    }

    async fn send(&self, cx: &Cx, row: &Delivery, to: &Email, message: &Message) -> DeliveryResult {
        let mail = match mail::compose(&self.from, to, message, row.id, row.created_at) {
            Ok(mail) => mail,
            Err(why) => return DeliveryResult::Failed(attempt(cx, false, &why), true),
        };
        match self.transport.send(row.id, row.created_at, &mail).await {
            Ok(response) => DeliveryResult::Sent(attempt(cx, true, &response)),
            Err(refusal) => DeliveryResult::Failed(attempt(cx, false, &refusal.detail), refusal.permanent),
        }
    }

    /// Queries the recipient and renders the parts of a message that the recipient has not turned off.
    async fn prepare(&self, cx: &Cx, store: &StoreProfile, row: &Delivery) -> Result<Prepared, PrepareError> {
        let addressed = self.address(cx, row).await?;
        let locales = rules::locale_chain(addressed.locale.as_deref(), &store.locale);
        let (kind, user) = (row.kind, addressed.user);
        let (email, inbox) =
            self.db.read(|tx| queries::sources(tx, kind, user, &locales)).await.map_err(Error::from)?;
        let context = self.context(store, addressed.members);
        let render = |channel, source: Option<Source>| {
            source
                .map(|source| self.render(kind, channel, &source, &context))
                .transpose()
                .map_err(PrepareError::Permanent)
        };
        let message = render(Channel::Email, email)?;
        let inbox = render(Channel::Inbox, inbox.filter(|_| !row.in_inbox))?;
        Ok(Prepared { to: addressed.to, message, inbox: user.zip(inbox) })
    }

    /// Queries the recipient and the template data of a delivery.
    async fn address(&self, cx: &Cx, row: &Delivery) -> Result<Addressed, PrepareError> {
        match (row.kind.subject(), row.order_id, row.user_id) {
            (Subject::Order, Some(order_id), _) => {
                let order = cx.call(DescribeOrder { order_id }).await?;
                let members = context::order(&order, &row.facts);
                let to = order.email.ok_or_else(|| PrepareError::Permanent("the buyer no longer exists".to_owned()))?;
                Ok(Addressed { to, user: order.user_id, locale: None, members })
            }
            (Subject::User, _, Some(user)) => {
                let description = cx.call(DescribeUsers { ids: vec![user] }).await?.items.into_iter().next();
                let description =
                    description.ok_or_else(|| PrepareError::Permanent("the user no longer exists".to_owned()))?;
                let members = Members::from([("name".to_owned(), Value::from(description.name))]);
                let locale = description.attributes.get("locale").cloned();
                Ok(Addressed { to: description.email, user: Some(user), locale, members })
            }
            (Subject::Merchant, _, _) => {
                let members = context::members(&row.facts);
                Ok(Addressed { to: self.merchant.clone(), user: None, locale: None, members })
            }
            _ => Err(PrepareError::Permanent("the message is no longer stored".to_owned())),
        }
    }

    /// The data of a template: `members` and the store. The name is null if it is unknown.
    pub(crate) fn context(&self, store: &StoreProfile, mut members: Members) -> Value {
        members.entry("name".to_owned()).or_insert(Value::from(()));
        members.insert("store".to_owned(), context::store(store, &self.public_url));
        Value::from(members)
    }

    /// Renders a template. If a merchant's template fails on real data, the built-in one is used instead.
    pub(crate) fn render(
        &self,
        kind: MessageKind,
        channel: Channel,
        source: &Source,
        context: &Value,
    ) -> Result<Message, String> {
        self.renderer.render(source, context).or_else(|fault| {
            tracing::warn!(
                %kind, %channel, part = fault.part, line = fault.line, detail = fault.detail,
                "a template could not be rendered; the built-in one is used"
            );
            let built_in = builtin::source(kind, channel);
            let rendered = self.renderer.render(&built_in, context);
            rendered.map_err(|fault| format!("the built-in template could not be rendered: {}", fault.detail))
        })
    }
}

/// A message that was rendered when it was requested; its inbox item exists already.
fn stored_message(body: MessageBody) -> Prepared {
    let message = Message { subject: body.subject, html: body.html, text: body.text };
    Prepared { to: body.email, message: Some(message), inbox: None }
}

fn attempt(cx: &Cx, sent: bool, detail: &str) -> Attempt {
    Attempt { at: cx.node.clock.now(), sent, detail: rules::attempt_detail(detail) }
}
