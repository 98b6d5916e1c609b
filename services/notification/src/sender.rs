//! The sender: takes due deliveries, queries the details, renders, sends and records the outcome.
//!
//! While more messages are due than one run sends, runs follow one another, so that the queue of a rush empties quickly.

use futures_util::StreamExt;
use futures_util::stream;
use minijinja::Value;
use promox_contract::order::DescribeOrder;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescription};
use promox_kernel::{Cx, Email, Error, Kind, Language, Locale, Timestamp, UserId};
use promox_storage::Lane;

use crate::commands::{self, DeliveryResult, Outcome};
use crate::kinds::{Channel, MessageKind, Subject};
use crate::push::PushOutcome;
use crate::push::records::{Subscription, SubscriptionId};
use crate::records::{Attempt, Branch, Delivery, MessageBody};
use crate::templates::context::{self, Members};
use crate::templates::{Message, Wording, filters};
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
    /// The URL that ends messages of the kind, for marketing.
    unsubscribe: Option<String>,
    /// The user and the inbox item, if one is to be created.
    inbox: Option<(UserId, Message)>,
    /// The user and the other channels of the message.
    branches: Option<(UserId, Vec<Branch>)>,
}

/// The recipient of a message, and the template data.
pub(crate) struct Addressed {
    pub(crate) to: Email,
    pub(crate) user: Option<UserId>,
    /// The locales that the recipient wants, the preferred ones first.
    pub(crate) locales: Vec<Locale>,
    /// The recipient's time zone, if known.
    pub(crate) timezone: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) members: Members,
    /// The token of the link that ends messages of the kind, for marketing.
    pub(crate) unsubscribe: Option<String>,
}

/// Why a delivery could not be prepared.
pub(crate) enum PrepareError {
    /// There is no reason to send it any more.
    Unwanted,
    /// The recipient has quiet hours until then.
    Quiet(Timestamp),
    /// It cannot succeed later either.
    Permanent(String),
    /// It may succeed later; this counts as a failed attempt.
    Temporary(String),
    /// Another service is not available at the moment; this does not count as an attempt.
    Unavailable,
}

impl PrepareError {
    /// The result of the delivery.
    fn result(self, cx: &Cx) -> DeliveryResult {
        match self {
            Self::Unwanted => DeliveryResult::Unwanted,
            Self::Quiet(until) => DeliveryResult::Waiting(until),
            Self::Unavailable => DeliveryResult::Postponed,
            Self::Temporary(why) => DeliveryResult::Failed(attempt(cx, false, &why), false),
            Self::Permanent(why) => DeliveryResult::Failed(attempt(cx, false, &why), true),
        }
    }
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
        if let Some(channel) = row.channel.filter(|channel| *channel != Channel::Email) {
            return self.deliver_text(cx, store, &row, channel).await;
        }
        let prepared = match body {
            Some(body) => Ok(stored_message(body)),
            None => self.prepare(cx, store, &row).await,
        };
        let (id, attempts) = (row.id, row.attempts.len());
        let (result, inbox, branches) = match prepared {
            Ok(Prepared { to, message: Some(message), unsubscribe, inbox, branches }) => {
                (self.send(cx, &row, &to, &message, unsubscribe.as_deref()).await, inbox, branches)
            }
            Ok(Prepared { message: None, inbox, branches, .. }) => (DeliveryResult::Unwanted, inbox, branches),
            Err(error) => (error.result(cx), None, None),
        };
        Outcome { id, attempts, result, inbox, branches, ended: None }
    }

    /// Sends one text message or push message.
    async fn deliver_text(&self, cx: &Cx, store: &StoreProfile, row: &Delivery, channel: Channel) -> Outcome {
        let (id, attempts) = (row.id, row.attempts.len());
        let (result, ended) = match self.prepare_text(cx, store, row, channel).await {
            Ok((message, phone)) if channel == Channel::Sms => (self.send_sms(cx, &message, phone).await, None),
            Ok((message, _)) => {
                self.send_push(cx, row, &message).await.unwrap_or_else(|error| (error.result(cx), None))
            }
            Err(error) => (error.result(cx), None),
        };
        Outcome { id, attempts, result, inbox: None, branches: None, ended }
    }

    /// Renders a text message or push message. Returns it with the recipient's phone number.
    async fn prepare_text(
        &self,
        cx: &Cx,
        store: &StoreProfile,
        row: &Delivery,
        channel: Channel,
    ) -> Result<(Message, Option<String>), PrepareError> {
        let addressed = self.address(cx, store, row).await?;
        let locales = rules::locale_chain(&addressed.locales, &store.locale);
        let wording =
            self.db.read(|tx| queries::wording(tx, row.kind, channel, &locales)).await.map_err(Error::from)?;
        let members = self.members(store, addressed.timezone, addressed.members);
        let message = self.render(row.kind, channel, &wording, &members).map_err(PrepareError::Permanent)?;
        Ok((message, addressed.phone))
    }

    async fn send_sms(&self, cx: &Cx, message: &Message, phone: Option<String>) -> DeliveryResult {
        // An account without a number gets no text messages.
        let Some(phone) = phone else { return DeliveryResult::Unwanted };
        let text = format!("{}: {}", message.subject, message.text.trim());
        match self.sms.send(&cx.node.clock, &phone, &text).await {
            Ok(answer) => DeliveryResult::Sent(attempt(cx, true, &answer)),
            Err(refusal) => DeliveryResult::Failed(attempt(cx, false, &refusal.detail), refusal.permanent),
        }
    }

    /// Sends a push message. Returns the result, and the subscription if its browser has ended it.
    async fn send_push(
        &self,
        cx: &Cx,
        row: &Delivery,
        message: &Message,
    ) -> Result<(DeliveryResult, Option<SubscriptionId>), PrepareError> {
        let Some(id) = row.subscription else { return Ok((DeliveryResult::Unwanted, None)) };
        let browser = self.db.read(|tx| tx.get::<Subscription>(&id)).await.map_err(Error::from)?;
        let Some(browser) = browser else { return Ok((DeliveryResult::Unwanted, None)) };
        Ok(match self.push(cx, &browser, message).await? {
            PushOutcome::Accepted(answer) => (DeliveryResult::Sent(attempt(cx, true, &answer)), None),
            PushOutcome::Failed(why, permanent) => (DeliveryResult::Failed(attempt(cx, false, &why), permanent), None),
            PushOutcome::Gone => {
                let why = "the browser has ended the subscription";
                (DeliveryResult::Failed(attempt(cx, false, why), true), Some(id))
            }
        })
    }

    async fn send(
        &self,
        cx: &Cx,
        row: &Delivery,
        to: &Email,
        message: &Message,
        unsubscribe: Option<&str>,
    ) -> DeliveryResult {
        let mail = match mail::compose(&self.from, to, message, unsubscribe, row.id, row.created_at) {
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
        let addressed = self.address(cx, store, row).await?;
        let locales = rules::locale_chain(&addressed.locales, &store.locale);
        let (kind, user) = (row.kind, addressed.user);
        let (email, inbox) =
            self.db.read(|tx| queries::wordings(tx, kind, user, &locales)).await.map_err(Error::from)?;
        let members = self.members(store, addressed.timezone, addressed.members);
        let render = |channel, wording: Option<Wording>| {
            wording
                .map(|wording| self.render(kind, channel, &wording, &members))
                .transpose()
                .map_err(PrepareError::Permanent)
        };
        let message = render(Channel::Email, email)?;
        let inbox = render(Channel::Inbox, inbox.filter(|_| !row.in_inbox))?;
        let branches = match user.filter(|_| row.branched_at.is_none()) {
            Some(user) => {
                Some((user, self.db.read(|tx| queries::branches(tx, kind, user)).await.map_err(Error::from)?))
            }
            None => None,
        };
        let one_click = |token| format!("{}/api/notifications/unsubscribe?token={token}", self.public_url);
        let unsubscribe = addressed.unsubscribe.map(one_click);
        Ok(Prepared { to: addressed.to, message, unsubscribe, inbox: user.zip(inbox), branches })
    }

    /// Queries the recipient and the template data of a delivery.
    async fn address(&self, cx: &Cx, store: &StoreProfile, row: &Delivery) -> Result<Addressed, PrepareError> {
        match (row.kind.subject(), row.order_id, row.user_id) {
            (Subject::Order, Some(order_id), _) => {
                let order = cx.call(DescribeOrder { order_id }).await?;
                let members = context::order(&order, &row.facts);
                let to = order.email.ok_or_else(|| PrepareError::Permanent("the buyer no longer exists".to_owned()))?;
                let buyer = match order.user_id {
                    Some(user) => self.describe(cx, user).await?,
                    None => None,
                };
                let (chosen, timezone, phone) =
                    buyer.map_or((None, None, None), |buyer| (buyer.locale, buyer.timezone, buyer.phone));
                let locales = chosen.into_iter().chain(order.languages).collect();
                Ok(Addressed { to, user: order.user_id, locales, timezone, phone, members, unsubscribe: None })
            }
            (Subject::User, _, Some(user)) => {
                let description = self.describe(cx, user).await?;
                let description =
                    description.ok_or_else(|| PrepareError::Permanent("the user no longer exists".to_owned()))?;
                let UserDescription { email, name, phone, locale, timezone, .. } = description;
                let members = Members::from([("name".to_owned(), Value::from(name))]);
                let locales = locale.into_iter().collect();
                Ok(Addressed { to: email, user: Some(user), locales, timezone, phone, members, unsubscribe: None })
            }
            (Subject::Cart, _, _) => self.address_cart(cx, store, row).await,
            (Subject::Merchant, _, _) => {
                let members = context::members(&row.facts);
                Ok(Addressed {
                    to: self.merchant.clone(),
                    user: None,
                    locales: Vec::new(),
                    timezone: None,
                    phone: None,
                    members,
                    unsubscribe: None,
                })
            }
            _ => Err(PrepareError::Permanent("the message is no longer stored".to_owned())),
        }
    }

    /// A user, unless the account no longer exists.
    pub(crate) async fn describe(&self, cx: &Cx, user: UserId) -> Result<Option<UserDescription>, Error> {
        Ok(cx.call(DescribeUsers { ids: vec![user] }).await?.items.into_iter().next())
    }

    /// The data of a template: `members`, the store, and the zone in which times are shown, the store's by default. The
    /// name is null if it is unknown.
    pub(crate) fn members(&self, store: &StoreProfile, timezone: Option<String>, mut members: Members) -> Members {
        members.entry("name".to_owned()).or_insert(Value::from(()));
        members.insert("store".to_owned(), context::store(store, &self.public_url));
        members.insert(filters::TIMEZONE.to_owned(), Value::from(timezone.unwrap_or_else(|| store.timezone.clone())));
        members
    }

    /// Renders a template. If a merchant's template fails on real data, the built-in one of its language is used instead.
    pub(crate) fn render(
        &self,
        kind: MessageKind,
        channel: Channel,
        wording: &Wording,
        members: &Members,
    ) -> Result<Message, String> {
        self.renderer.render(wording, members).or_else(|fault| {
            tracing::warn!(
                %kind, %channel, part = fault.part, line = fault.line, detail = fault.detail,
                "a template could not be rendered; the built-in one is used"
            );
            let language = Language::of(&wording.language).unwrap_or(Language::English);
            let built_in = Wording::built_in(kind, channel, language, std::slice::from_ref(&wording.locale));
            let rendered = self.renderer.render(&built_in, members);
            rendered.map_err(|fault| format!("the built-in template could not be rendered: {}", fault.detail))
        })
    }
}

/// A message that was rendered when it was requested; its inbox item exists already.
fn stored_message(body: MessageBody) -> Prepared {
    let MessageBody { email, subject, html, text, language, .. } = body;
    let message = Message { language: language.unwrap_or_else(Locale::english), subject, html, text };
    Prepared { to: email, message: Some(message), unsubscribe: None, inbox: None, branches: None }
}

fn attempt(cx: &Cx, sent: bool, detail: &str) -> Attempt {
    Attempt { at: cx.node.clock.now(), sent, detail: rules::attempt_detail(detail) }
}
