//! The sender: takes due deliveries, gets the details, renders, sends, records.
//!
//! Its rate is limited, so that after a rush of orders messages are sent a little later and checkouts keep the machine.

use futures_util::StreamExt;
use futures_util::stream;
use promox_contract::order::DescribeOrder;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Email, Error, Kind, UserId};
use promox_storage::Lane;
use serde_json::{Map, Value, json};

use crate::commands::{self, Delivered, Outcome};
use crate::kinds::{Channel, MessageKind, Subject};
use crate::records::{Attempt, Delivery, MessageBody};
use crate::templates::{Message, Source, builtin, context};
use crate::{Notifications, mail, queries, rules};

/// Deliveries per run.
const BATCH: usize = 32;
/// Deliveries in progress at once.
const PARALLEL: usize = 16;

/// A prepared delivery.
struct Prepared {
    to: Email,
    /// Nothing if it is not wanted by e-mail.
    message: Option<Message>,
    inbox: Option<(UserId, Message)>,
}

/// The recipient of a message, and its template data.
struct Addressed {
    to: Email,
    user: Option<UserId>,
    locale: Option<String>,
    members: Map<String, Value>,
}

/// Why a delivery could not be prepared.
enum PrepareError {
    /// It will never succeed.
    Never(String),
    /// It failed, but may succeed later.
    Broken(String),
    /// Another service does not reply at the moment.
    NotNow,
}

impl From<Error> for PrepareError {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::NotFound => Self::Never(error.message().to_owned()),
            _ if error.will_pass() => Self::NotNow,
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl Notifications {
    /// One run: sends due messages, at most a batch. It always reports that there is no more work, because the pause
    /// between runs limits the rate.
    pub(crate) async fn send_due(&self, cx: &Cx) -> Result<bool, Error> {
        let now = cx.now;
        let due = self.db.read(|tx| queries::due(tx, now, BATCH)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let store = cx.call(GetStoreProfile {}).await?;
        let work: Vec<_> = due.into_iter().map(|(row, body)| self.deliver(cx, &store, row, body)).collect();
        let mut outcomes: Vec<Outcome> = stream::iter(work).buffer_unordered(PARALLEL).collect().await;
        // An inbox shows events in the order in which they happened, not in which mail servers answered.
        outcomes.sort_by_key(|outcome| outcome.id);
        let after = Cx { now: cx.node.clock.now(), ..cx.clone() };
        self.db.write_in(&after, Lane::Bulk, move |tx| commands::record(tx, &outcomes)).await?;
        Ok(false)
    }

    async fn deliver(&self, cx: &Cx, store: &StoreProfile, row: Delivery, body: Option<MessageBody>) -> Outcome {
        let prepared = match body {
            Some(body) => Ok(kept(body)),
            None => self.prepare(cx, store, &row).await,
        };
        let (id, attempts) = (row.id, row.attempts.len());
        let (result, inbox) = match prepared {
            Ok(Prepared { to, message: Some(message), inbox }) => (self.send(cx, &row, &to, &message).await, inbox),
            Ok(Prepared { message: None, inbox, .. }) => (Delivered::Unwanted, inbox),
            Err(PrepareError::NotNow) => (Delivered::Later, None),
            Err(PrepareError::Broken(why)) => (Delivered::Failed(attempt(cx, false, &why), false), None),
            Err(PrepareError::Never(why)) => (Delivered::Failed(attempt(cx, false, &why), true), None),
        };
        Outcome { id, attempts, result, inbox }
    }

    async fn send(&self, cx: &Cx, row: &Delivery, to: &Email, message: &Message) -> Delivered {
        let mail = match mail::compose(&self.from, to, message, row.id, row.created_at) {
            Ok(mail) => mail,
            Err(why) => return Delivered::Failed(attempt(cx, false, &why), true),
        };
        match self.transport.send(row.id, row.created_at, &mail).await {
            Ok(said) => Delivered::Sent(attempt(cx, true, &said)),
            Err(refusal) => Delivered::Failed(attempt(cx, false, &refusal.detail), refusal.permanent),
        }
    }

    async fn prepare(&self, cx: &Cx, store: &StoreProfile, row: &Delivery) -> Result<Prepared, PrepareError> {
        let addressed = self.address(cx, row).await?;
        let locales = rules::locale_chain(addressed.locale.as_deref(), &store.locale);
        let (kind, user) = (row.kind, addressed.user);
        let (by_mail, inbox) =
            self.db.read(|tx| queries::sources(tx, kind, user, &locales)).await.map_err(Error::from)?;
        let context = self.context(store, addressed.members);
        let render = |channel, source: Option<Source>| {
            source.map(|source| self.render(kind, channel, &source, &context)).transpose().map_err(PrepareError::Never)
        };
        let message = render(Channel::Email, by_mail)?;
        let inbox = render(Channel::Inbox, inbox.filter(|_| !row.in_inbox))?;
        Ok(Prepared { to: addressed.to, message, inbox: user.zip(inbox) })
    }

    /// Finds the recipient of a delivery.
    async fn address(&self, cx: &Cx, row: &Delivery) -> Result<Addressed, PrepareError> {
        match (row.kind.subject(), row.order_id, row.user_id) {
            (Subject::Order, Some(order_id), _) => {
                let order = cx.call(DescribeOrder { order_id }).await?;
                let members = context::order(&order, &row.facts);
                let to = order.email.ok_or_else(|| PrepareError::Never("the buyer no longer exists".to_owned()))?;
                Ok(Addressed { to, user: order.user_id, locale: None, members })
            }
            (Subject::User, _, Some(user)) => {
                let found = cx.call(DescribeUsers { ids: vec![user] }).await?.items.into_iter().next();
                let found = found.ok_or_else(|| PrepareError::Never("the user no longer exists".to_owned()))?;
                let members = Map::from_iter([("name".to_owned(), json!(found.name))]);
                let locale = found.attributes.get("locale").cloned();
                Ok(Addressed { to: found.email, user: Some(user), locale, members })
            }
            (Subject::Stock, _, _) => {
                let members = row.facts.0.clone();
                Ok(Addressed { to: self.merchant.clone(), user: None, locale: None, members })
            }
            _ => Err(PrepareError::Never("the message is no longer stored".to_owned())),
        }
    }

    /// The template data: the subject, and the store. Unknown names are null.
    pub(crate) fn context(&self, store: &StoreProfile, mut members: Map<String, Value>) -> minijinja::Value {
        members.entry("name").or_insert(Value::Null);
        members.insert("store".to_owned(), context::store(store, &self.public_url));
        context::value(&Value::Object(members))
    }

    /// Renders; if a merchant's template fails on real data, the built-in one is used, so that the message is sent.
    pub(crate) fn render(
        &self,
        kind: MessageKind,
        channel: Channel,
        source: &Source,
        context: &minijinja::Value,
    ) -> Result<Message, String> {
        self.renderer.render(source, context).or_else(|fault| {
            tracing::warn!(%kind, %channel, part = fault.part, line = fault.line, detail = fault.detail, "a template failed");
            let built_in = builtin::source(kind, channel);
            self.renderer.render(&built_in, context).map_err(|fault| format!("the template failed: {}", fault.detail))
        })
    }
}

fn kept(body: MessageBody) -> Prepared {
    let message = Message { subject: body.subject, html: body.html, text: body.text };
    Prepared { to: body.email, message: Some(message), inbox: None }
}

fn attempt(cx: &Cx, sent: bool, detail: &str) -> Attempt {
    Attempt { at: cx.node.clock.now(), sent, detail: rules::attempt_detail(detail) }
}
