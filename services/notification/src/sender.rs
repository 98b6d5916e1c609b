//! The sender: takes what is due, asks for the details, renders, sends, records.
//!
//! It goes at a pace, so that a rush of orders is written about a little later and the checkouts keep the machine.

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

/// Deliveries of one go.
const BATCH: usize = 32;
/// Deliveries that are under way at once.
const PARALLEL: usize = 16;

/// A delivery, ready to be sent.
struct Prepared {
    to: Email,
    /// Nothing when it is not wanted by e-mail.
    message: Option<Message>,
    inbox: Option<(UserId, Message)>,
}

/// Whom a message is for, and what its templates name.
struct Addressed {
    to: Email,
    user: Option<UserId>,
    locale: Option<String>,
    members: Map<String, Value>,
}

/// Why a delivery was not prepared.
enum Obstacle {
    /// It never can be.
    Never(String),
    /// It went wrong, and may go well another time.
    Broken(String),
    /// Somebody does not answer at the moment.
    NotNow,
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::NotFound => Self::Never(error.message().to_owned()),
            _ if error.will_pass() => Self::NotNow,
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl Notifications {
    /// One go: sends what is due, at most a batch. Returns that there is nothing more to do at once, whatever is left:
    /// the pause between two goes is the pace.
    pub(crate) async fn send_due(&self, cx: &Cx) -> Result<bool, Error> {
        let now = cx.now;
        let due = self.db.read(|tx| queries::due(tx, now, BATCH)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let store = cx.call(GetStoreProfile {}).await?;
        let work: Vec<_> = due.into_iter().map(|(row, body)| self.deliver(cx, &store, row, body)).collect();
        let mut outcomes: Vec<Outcome> = stream::iter(work).buffer_unordered(PARALLEL).collect().await;
        // An inbox shows things in the order in which they happened, not in which mail servers answered.
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
            Err(Obstacle::NotNow) => (Delivered::Later, None),
            Err(Obstacle::Broken(why)) => (Delivered::Failed(attempt(cx, false, &why), false), None),
            Err(Obstacle::Never(why)) => (Delivered::Failed(attempt(cx, false, &why), true), None),
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

    async fn prepare(&self, cx: &Cx, store: &StoreProfile, row: &Delivery) -> Result<Prepared, Obstacle> {
        let addressed = self.address(cx, row).await?;
        let locales = rules::locale_chain(addressed.locale.as_deref(), &store.locale);
        let (kind, user) = (row.kind, addressed.user);
        let (by_mail, inbox) =
            self.db.read(|tx| queries::sources(tx, kind, user, &locales)).await.map_err(Error::from)?;
        let context = self.context(store, addressed.members);
        let render = |channel, source: Option<Source>| {
            source.map(|source| self.render(kind, channel, &source, &context)).transpose().map_err(Obstacle::Never)
        };
        let message = render(Channel::Email, by_mail)?;
        let inbox = render(Channel::Inbox, inbox.filter(|_| !row.in_inbox))?;
        Ok(Prepared { to: addressed.to, message, inbox: user.zip(inbox) })
    }

    /// Asks whom a delivery is for.
    async fn address(&self, cx: &Cx, row: &Delivery) -> Result<Addressed, Obstacle> {
        match (row.kind.subject(), row.order_id, row.user_id) {
            (Subject::Order, Some(order_id), _) => {
                let order = cx.call(DescribeOrder { order_id }).await?;
                let members = context::order(&order, &row.facts);
                let to = order.email.ok_or_else(|| Obstacle::Never("the buyer no longer exists".to_owned()))?;
                Ok(Addressed { to, user: order.user_id, locale: None, members })
            }
            (Subject::User, _, Some(user)) => {
                let found = cx.call(DescribeUsers { ids: vec![user] }).await?.items.into_iter().next();
                let found = found.ok_or_else(|| Obstacle::Never("the user no longer exists".to_owned()))?;
                let members = Map::from_iter([("name".to_owned(), json!(found.name))]);
                let locale = found.attributes.get("locale").cloned();
                Ok(Addressed { to: found.email, user: Some(user), locale, members })
            }
            (Subject::Stock, _, _) => {
                let members = row.facts.0.clone();
                Ok(Addressed { to: self.merchant.clone(), user: None, locale: None, members })
            }
            _ => Err(Obstacle::Never("the message is no longer stored".to_owned())),
        }
    }

    /// What a template names: what it is about, and the store. A name that is not known is null.
    pub(crate) fn context(&self, store: &StoreProfile, mut members: Map<String, Value>) -> minijinja::Value {
        members.entry("name").or_insert(Value::Null);
        members.insert("store".to_owned(), context::store(store, &self.public_url));
        context::value(&Value::Object(members))
    }

    /// Renders; a merchant's template that fails on real data gives way to the built-in one, so that the message goes out.
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
