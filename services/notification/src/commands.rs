//! Changes: deliveries and their outcomes, inbox items, preferences, templates and settings.

use promox_contract::audit::Audited;
use promox_contract::ids::OrderId;
use promox_kernel::{Cx, Email, Error, IfMatch, Json, Locale, Timestamp, UserId};
use promox_storage::{Before, StoreError, Tx};
use serde_json::{Map, Value, json};

use crate::api::{NotificationSettings, PatchNotificationSettings};
use crate::kinds::{Channel, MessageKind};
use crate::push::records::{Subscription, SubscriptionId};
use crate::queries::{self, MAX_LOCALES, SETTINGS};
use crate::records::{
    Attempt, Branch, Delivery, DeliveryByReference, DeliveryByUser, DeliveryId, DeliveryStatus, InboxByUser, InboxItem,
    MessageBody, NORMAL, NotificationId, Preferences, Setting, StoredTemplate, URGENT,
};
use crate::templates::{Message, Source};
use crate::{push, reject, rules};

/// Maximum rows erased of a user in each table; an inbox is pruned long before it has this many.
const MAX_ERASED: usize = 4_000;

/// A message to be delivered: its kind and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery {
    pub(crate) kind: MessageKind,
    pub(crate) order_id: Option<OrderId>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) facts: Map<String, Value>,
}

/// Adds a PENDING delivery. One with a reference is urgent.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    message: NewDelivery,
    reference: Option<String>,
) -> Result<DeliveryId, StoreError> {
    let (id, now) = (DeliveryId(tx.next_id::<Delivery>()?), tx.now());
    tx.insert(&Delivery {
        id,
        kind: message.kind,
        status: DeliveryStatus::Pending,
        queue: Some(if reference.is_some() { URGENT } else { NORMAL }),
        due_at: Some(now),
        order_id: message.order_id,
        user_id: message.user_id,
        reference,
        facts: Json(message.facts),
        in_inbox: false,
        failures: 0,
        attempts: Json(Vec::new()),
        created_at: now,
        updated_at: now,
        channel: None,
        subscription: None,
        branched_at: None,
    })?;
    Ok(id)
}

/// Adds the deliveries of a message through other channels, once.
fn branch(tx: &mut Tx<'_>, row: &mut Delivery, user: UserId, branches: &[Branch]) -> Result<(), StoreError> {
    if row.branched_at.is_some() {
        return Ok(());
    }
    row.branched_at = Some(tx.now());
    for branch in branches {
        let id = DeliveryId(tx.next_id::<Delivery>()?);
        tx.insert(&Delivery {
            id,
            status: DeliveryStatus::Pending,
            queue: Some(NORMAL),
            due_at: Some(tx.now()),
            user_id: Some(user),
            failures: 0,
            attempts: Json(Vec::new()),
            in_inbox: true,
            channel: Some(branch.channel),
            subscription: branch.subscription,
            ..row.clone()
        })?;
    }
    Ok(())
}

/// A rendered message that another service requested under a reference.
#[derive(Clone, Debug)]
pub(crate) struct RequestedMessage {
    pub(crate) reference: String,
    pub(crate) kind: MessageKind,
    pub(crate) user_id: Option<UserId>,
    pub(crate) email: Email,
    pub(crate) message: Message,
    /// The user and the inbox item, if one is to be created.
    pub(crate) inbox: Option<(UserId, Message)>,
}

/// Adds a PENDING delivery with its body. A repeated request with the same reference changes nothing.
pub(crate) fn send(tx: &mut Tx<'_>, requested: &RequestedMessage) -> Result<(), Error> {
    if tx.get_by::<DeliveryByReference>(Some(requested.reference.as_str()))?.is_some() {
        return Ok(());
    }
    let delivery = NewDelivery { kind: requested.kind, order_id: None, user_id: requested.user_id, facts: Map::new() };
    let delivery_id = enqueue(tx, delivery, Some(requested.reference.clone()))?;
    if let Some((user, message)) = &requested.inbox {
        put_in_inbox(tx, requested.kind, None, *user, message)?;
    }
    let (email, Message { subject, html, text, language }) = (requested.email.clone(), requested.message.clone());
    Ok(tx.insert(&MessageBody { delivery_id, email, subject, html, text, language: Some(language) })?)
}

/// The outcome of a delivery in one run of the sender.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) id: DeliveryId,
    /// The number of attempts before this run. If it has changed, another run has recorded a result, which is kept.
    pub(crate) attempts: usize,
    pub(crate) result: DeliveryResult,
    /// The user and the inbox item, if one is to be created.
    pub(crate) inbox: Option<(UserId, Message)>,
    /// The user and the other channels of the message.
    pub(crate) branches: Option<(UserId, Vec<Branch>)>,
    /// The subscription that its browser has ended.
    pub(crate) ended: Option<SubscriptionId>,
}

/// The result of one attempt at a delivery.
#[derive(Clone, Debug)]
pub(crate) enum DeliveryResult {
    /// The transport accepted the message.
    Sent(Attempt),
    /// The message was not accepted; the flag says whether the failure is permanent.
    Failed(Attempt, bool),
    /// The recipient has turned off this message by e-mail, or there is no reason for it any more.
    Unwanted,
    /// The recipient has quiet hours until then.
    Waiting(Timestamp),
    /// The details are not available at the moment, so there was no attempt.
    Postponed,
}

/// Records the outcomes of deliveries.
pub(crate) fn record(tx: &mut Tx<'_>, outcomes: &[Outcome]) -> Result<(), Error> {
    for outcome in outcomes {
        let Some(mut row) = tx.get::<Delivery>(&outcome.id)? else { continue };
        if row.due_at.is_none() || row.attempts.len() != outcome.attempts {
            continue;
        }
        let before = Before::of(&row);
        if let Some((user, message)) = outcome.inbox.as_ref().filter(|_| !row.in_inbox) {
            put_in_inbox(tx, row.kind, row.order_id, *user, message)?;
            row.in_inbox = true;
        }
        if let Some((user, branches)) = &outcome.branches {
            branch(tx, &mut row, *user, branches)?;
        }
        if let Some(subscription) = &outcome.ended {
            tx.delete::<Subscription>(subscription)?;
        }
        row.updated_at = tx.now();
        apply_result(tx, &before, row, &outcome.result)?;
    }
    Ok(())
}

/// Updates a delivery, or deletes one that is unwanted.
fn apply_result(
    tx: &mut Tx<'_>,
    before: &Before<Delivery>,
    mut row: Delivery,
    result: &DeliveryResult,
) -> Result<(), StoreError> {
    match result {
        DeliveryResult::Unwanted => {
            tx.delete::<MessageBody>(&row.id)?;
            tx.delete::<Delivery>(&row.id)?;
            return Ok(());
        }
        DeliveryResult::Waiting(until) => row.due_at = Some(*until),
        DeliveryResult::Postponed => row.due_at = Some(tx.now() + rules::POSTPONED_PAUSE),
        DeliveryResult::Sent(attempt) => {
            push_attempt(&mut row, attempt);
            (row.status, row.due_at, row.failures) = (DeliveryStatus::Sent, None, 0);
        }
        DeliveryResult::Failed(attempt, permanent) => {
            push_attempt(&mut row, attempt);
            row.failures += 1;
            row.due_at = rules::next_attempt_at(tx.now(), row.failures as usize, *permanent);
            row.status = if row.due_at.is_some() { DeliveryStatus::Failed } else { DeliveryStatus::Dead };
        }
    }
    if row.due_at.is_none() {
        row.queue = None;
        tx.delete::<MessageBody>(&row.id)?;
    }
    tx.put_changed(before, &row)
}

/// Adds an attempt, and drops the oldest beyond the maximum.
fn push_attempt(row: &mut Delivery, attempt: &Attempt) {
    row.attempts.push(attempt.clone());
    let surplus = row.attempts.len().saturating_sub(rules::MAX_STORED_ATTEMPTS);
    row.attempts.drain(..surplus);
}

fn put_in_inbox(
    tx: &mut Tx<'_>,
    kind: MessageKind,
    order_id: Option<OrderId>,
    user: UserId,
    message: &Message,
) -> Result<(), StoreError> {
    let (id, now) = (NotificationId(tx.next_id::<InboxItem>()?), tx.now());
    tx.insert(&InboxItem {
        id,
        user_id: user,
        unread_of: Some(user),
        kind,
        title: message.subject.clone(),
        body: message.text.trim().to_owned(),
        order_id,
        read_at: None,
        created_at: now,
    })
}

/// Puts a delivery back into the queue, due now; its attempts are kept.
pub(crate) fn retry(tx: &mut Tx<'_>, actor: &str, id: DeliveryId) -> Result<Delivery, Error> {
    let mut row = tx.get::<Delivery>(&id)?.ok_or_else(|| Error::not_found("delivery"))?;
    if row.status == DeliveryStatus::Sent {
        return Err(reject::already_sent());
    }
    if row.reference.is_some() && tx.get::<MessageBody>(&id)?.is_none() {
        return Err(reject::body_gone());
    }
    let before = row.status;
    (row.status, row.queue, row.due_at) = (DeliveryStatus::Pending, Some(URGENT), Some(tx.now()));
    row.failures = 0;
    row.updated_at = tx.now();
    tx.put(&row)?;
    let (before, after) = (json!({"status": before}), json!({"status": row.status}));
    let entry = Audited::new(actor.to_owned(), "notification.retry_delivery", format!("delivery:{id}"), before, after);
    tx.emit(id, &entry)?;
    Ok(row)
}

/// Marks an item of the user's inbox as read or unread.
pub(crate) fn mark_read(tx: &mut Tx<'_>, user: UserId, id: NotificationId, read: bool) -> Result<InboxItem, Error> {
    let found = tx.get::<InboxItem>(&id)?.filter(|item| item.user_id == user);
    let mut item = found.ok_or_else(|| Error::not_found("notification"))?;
    if read != item.read_at.is_some() {
        item.read_at = read.then(|| tx.now());
        item.unread_of = (!read).then_some(user);
        tx.put(&item)?;
    }
    Ok(item)
}

/// Sets the preferences of a user that differ from the default.
pub(crate) fn set_preferences(
    tx: &mut Tx<'_>,
    user: UserId,
    changed: Vec<(MessageKind, Channel)>,
) -> Result<(), StoreError> {
    let updated_at: Timestamp = tx.now();
    tx.put(&Preferences { user_id: user, muted: Json(changed), updated_at })
}

/// Stores a template, which the caller has tested.
pub(crate) fn put_template(
    tx: &mut Tx<'_>,
    key: (MessageKind, Channel, Locale),
    source: Source,
    if_match: Option<&IfMatch>,
    actor: &str,
) -> Result<(), Error> {
    let (kind, channel, locale) = key.clone();
    let old = tx.get::<StoredTemplate>(&key)?;
    let version = old.as_ref().map_or(0, |old| old.version);
    if_match.map_or(Ok(()), |if_match| if_match.check(version))?;
    if old.is_none() && tx.scan::<StoredTemplate>().prefix((kind, channel)).collect(MAX_LOCALES)?.len() == MAX_LOCALES {
        return Err(reject::too_many_locales());
    }
    let Source { subject, html, text } = source;
    let audit_subject = format!("template:{}/{channel}/{locale}", kind.key());
    tx.put(&StoredTemplate { kind, channel, locale, subject, html, text, version: version + 1, updated_at: tx.now() })?;
    let (before, after) = (json!({"version": version}), json!({"version": version + 1}));
    Ok(tx.emit(0, &Audited::new(actor.to_owned(), "notification.put_template", audit_subject, before, after))?)
}

/// Changes the message settings.
pub(crate) fn change_settings(
    tx: &mut Tx<'_>,
    cx: &Cx,
    patch: &PatchNotificationSettings,
) -> Result<NotificationSettings, Error> {
    let before = queries::settings(tx)?;
    cx.check_version(before.version)?;
    let after = rules::patched(before.clone(), patch)?;
    if after == before {
        return Ok(before);
    }
    tx.put(&Setting {
        id: SETTINGS,
        order_received: after.order_received,
        version: before.version + 1,
        updated_at: tx.now(),
        cart_abandoned: Some(after.cart_abandoned),
        cart_abandoned_minutes: Some(after.cart_abandoned_minutes),
        quiet_from: after.quiet_hours.map(|hours| hours.from.minutes()),
        quiet_until: after.quiet_hours.map(|hours| hours.until.minutes()),
    })?;
    let after = queries::settings(tx)?;
    let (actor, subject) = (cx.principal.name(), "settings:notifications".to_owned());
    tx.emit(0, &Audited::new(actor, "settings.update", subject, &before, &after))?;
    Ok(after)
}

/// Deletes all data held about a user.
pub(crate) fn erase(tx: &mut Tx<'_>, user: UserId) -> Result<(), StoreError> {
    for item in tx.scan_by::<InboxByUser>().prefix(user).collect(MAX_ERASED)? {
        tx.delete::<InboxItem>(&item.id)?;
    }
    for row in tx.scan_by::<DeliveryByUser>().prefix(Some(user)).collect(MAX_ERASED)? {
        tx.delete::<MessageBody>(&row.id)?;
        tx.delete::<Delivery>(&row.id)?;
    }
    tx.delete::<Preferences>(&user)?;
    push::commands::erase(tx, user)
}

/// Deletes finished deliveries last changed before `oldest_delivery` and inbox items created before `oldest_item`, at
/// most `limit` of each. Returns whether there may be more.
pub(crate) fn prune(
    tx: &mut Tx<'_>,
    oldest_delivery: Timestamp,
    oldest_item: Timestamp,
    limit: usize,
) -> Result<bool, StoreError> {
    let deliveries = tx.scan::<Delivery>().collect(limit)?;
    let old = deliveries.iter().filter(|row| row.due_at.is_none() && row.updated_at < oldest_delivery);
    let old: Vec<DeliveryId> = old.map(|row| row.id).collect();
    for id in &old {
        tx.delete::<Delivery>(id)?;
    }
    let items = tx.scan::<InboxItem>().collect(limit)?;
    let old_items: Vec<NotificationId> =
        items.iter().take_while(|item| item.created_at < oldest_item).map(|item| item.id).collect();
    for id in &old_items {
        tx.delete::<InboxItem>(id)?;
    }
    Ok(old.len() == limit || old_items.len() == limit)
}
