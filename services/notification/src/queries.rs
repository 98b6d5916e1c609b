//! Reads: inbox, preferences, templates, deliveries.

use std::collections::BTreeMap;

use promox_contract::notification::MailQueue;
use promox_kernel::{Cursor, Error, Language, Limit, Locale, Page, Timestamp, UserId};
use promox_storage::{Db, StoreError, Tx};
use serde_json::{Value, json};

use crate::api::{
    DeliveryView, ListDeliveries, ListInbox, Notification, NotificationSettings, PreferenceView, PreferencesView,
    TemplateView,
};
use crate::kinds::{Channel, MessageKind};
use crate::quiet::{QuietHours, TimeOfDay};
use crate::records::{
    Branch, Delivery, DeliveryByCreated, DeliveryByDue, DeliveryByStatus, DeliveryByUser, DeliveryStatus,
    InboxByUnread, InboxByUser, InboxItem, MessageBody, NORMAL, Preferences, Setting, StoredTemplate, URGENT,
};
use crate::templates::{self, Source, Wording, builtin};
use crate::{push, rules};

/// Maximum locales of one template.
pub(crate) const MAX_LOCALES: usize = 50;
/// The key of the settings row.
pub(crate) const SETTINGS: u32 = 1;

/// The settings of the optional messages.
pub(crate) fn settings(tx: &Tx<'_>) -> Result<NotificationSettings, StoreError> {
    let row = tx.get::<Setting>(&SETTINGS)?;
    let row = row.as_ref();
    let time = |minutes: Option<u32>| minutes.and_then(TimeOfDay::from_minutes);
    let quiet_hours = row.and_then(|row| time(row.quiet_from).zip(time(row.quiet_until)));
    Ok(NotificationSettings {
        order_received: row.is_some_and(|row| row.order_received),
        cart_abandoned: row.and_then(|row| row.cart_abandoned).unwrap_or(false),
        cart_abandoned_minutes: row.and_then(|row| row.cart_abandoned_minutes).unwrap_or(rules::CART_IDLE_MINUTES),
        quiet_hours: quiet_hours.map(|(from, until)| QuietHours { from, until }),
        version: row.map_or(0, |row| row.version),
    })
}

/// A page of a user's inbox, newest first.
pub(crate) fn inbox(tx: &Tx<'_>, user: UserId, op: ListInbox) -> Result<Page<Notification>, Error> {
    let page = if op.unread {
        tx.scan_by::<InboxByUnread>().prefix(Some(user)).backward().page(op.limit, op.cursor)?
    } else {
        tx.scan_by::<InboxByUser>().prefix(user).backward().page(op.limit, op.cursor)?
    };
    Ok(page.map(notification))
}

/// An inbox item as clients see it.
pub(crate) fn notification(item: InboxItem) -> Notification {
    Notification {
        id: item.id,
        kind: item.kind,
        title: item.title,
        body: item.body,
        order_id: item.order_id,
        read: item.read_at.is_some(),
        read_at: item.read_at,
        created_at: item.created_at,
    }
}

/// Whether a user receives a kind of message through a channel. `changed` are the preferences that differ from the
/// default.
pub(crate) fn wants(changed: &[(MessageKind, Channel)], kind: MessageKind, channel: Channel) -> bool {
    !kind.is_optional(channel) || channel.is_on_by_default() != changed.contains(&(kind, channel))
}

/// The preferences of a user that differ from the default.
pub(crate) fn changed(tx: &Tx<'_>, user: UserId) -> Result<Vec<(MessageKind, Channel)>, StoreError> {
    Ok(tx.get::<Preferences>(&user)?.map(|row| row.muted.0).unwrap_or_default())
}

/// All preferences of a user; `changed` are those that differ from the default.
pub(crate) fn preferences(changed: &[(MessageKind, Channel)]) -> PreferencesView {
    let preferences = templates::all().filter(|(kind, _)| kind.is_for_customers());
    PreferencesView {
        preferences: preferences
            .map(|(kind, channel)| PreferenceView {
                kind,
                channel,
                enabled: wants(changed, kind, channel),
                mandatory: !kind.is_optional(channel),
            })
            .collect(),
    }
}

/// The template in use: the first of `locales` decides that the merchant has customised or that is a language with
/// built-in templates.
pub(crate) fn wording(
    tx: &Tx<'_>,
    kind: MessageKind,
    channel: Channel,
    locales: &[Locale],
) -> Result<Wording, StoreError> {
    for locale in locales {
        if let Some(stored) = tx.get::<StoredTemplate>(&(kind, channel, locale.clone()))? {
            return Ok(Wording::new(stored.into(), locale.clone(), locales));
        }
        // A region is followed by its language, which the merchant may have customised.
        let built_in = Language::of(locale).filter(|_| locale.region().is_none());
        if let Some(language) = built_in {
            return Ok(Wording::built_in(kind, channel, language, locales));
        }
    }
    Ok(Wording::built_in(kind, channel, Language::English, locales))
}

/// The wordings of a message for e-mail and for the inbox; `None` if the kind is not sent there or the user turned it
/// off.
pub(crate) fn wordings(
    tx: &Tx<'_>,
    kind: MessageKind,
    user: Option<UserId>,
    locales: &[Locale],
) -> Result<(Option<Wording>, Option<Wording>), StoreError> {
    let changed = user.map(|user| changed(tx, user)).transpose()?.unwrap_or_default();
    let wording_for = |channel| {
        let is_sent = kind.channels().contains(&channel) && wants(&changed, kind, channel);
        is_sent.then(|| wording(tx, kind, channel, locales)).transpose()
    };
    Ok((wording_for(Channel::Email)?, wording_for(Channel::Inbox)?.filter(|_| user.is_some())))
}

/// The other channels through which a user receives a kind of message: text messages, and each subscribed browser.
pub(crate) fn branches(tx: &Tx<'_>, kind: MessageKind, user: UserId) -> Result<Vec<Branch>, StoreError> {
    let changed = changed(tx, user)?;
    let is_sent = |channel| kind.channels().contains(&channel) && wants(&changed, kind, channel);
    let mut branches = Vec::new();
    if is_sent(Channel::Sms) {
        branches.push(Branch { channel: Channel::Sms, subscription: None });
    }
    if is_sent(Channel::Push) {
        let browsers = push::commands::of_user(tx, user)?.into_iter();
        branches.extend(browsers.map(|row| Branch { channel: Channel::Push, subscription: Some(row.id) }));
    }
    Ok(branches)
}

/// The template in use for the first of `locales`. `customized` is true only if that very locale is customised.
pub(crate) fn template(
    tx: &Tx<'_>,
    kind: MessageKind,
    channel: Channel,
    locales: &[Locale],
) -> Result<TemplateView, Error> {
    let locale = locales.first().cloned().unwrap_or_else(Locale::english);
    Ok(match tx.get::<StoredTemplate>(&(kind, channel, locale.clone()))? {
        Some(stored) => template_view(stored),
        None => uncustomized_view(kind, channel, locale, wording(tx, kind, channel, locales)?.source),
    })
}

fn template_view(stored: StoredTemplate) -> TemplateView {
    TemplateView {
        key: stored.kind.key(),
        channel: stored.channel,
        locale: stored.locale,
        subject: stored.subject,
        html: stored.html,
        text: stored.text,
        customized: true,
        version: stored.version,
        updated_at: Some(stored.updated_at),
    }
}

fn uncustomized_view(kind: MessageKind, channel: Channel, locale: Locale, source: Source) -> TemplateView {
    TemplateView {
        key: kind.key(),
        channel,
        locale,
        subject: source.subject,
        html: source.html,
        text: source.text,
        customized: false,
        version: 0,
        updated_at: None,
    }
}

/// A page of all templates, by key, channel and locale.
pub(crate) fn all_templates(tx: &Tx<'_>, limit: Limit, cursor: Option<Cursor>) -> Result<Page<TemplateView>, Error> {
    let after = cursor.map(|Cursor(key)| key).unwrap_or_default();
    let mut views = BTreeMap::new();
    for (kind, channel) in templates::all() {
        for language in Language::ALL {
            let source = builtin::source(kind, channel, language);
            let built_in = uncustomized_view(kind, channel, language.locale(), source);
            views.insert(sort_key(&built_in), built_in);
        }
        for stored in tx.scan::<StoredTemplate>().prefix((kind, channel)).collect(MAX_LOCALES)? {
            let view = template_view(stored);
            views.insert(sort_key(&view), view);
        }
    }
    let mut rest = views.into_iter().filter(|(key, _)| *key > after).peekable();
    let (mut items, mut last) = (Vec::new(), Vec::new());
    while items.len() < limit.get()
        && let Some((key, view)) = rest.next()
    {
        items.push(view);
        last = key;
    }
    let next = rest.peek().is_some().then_some(Cursor(last));
    Ok(Page::new(items, next))
}

/// The position of a template in the list, also used as its cursor.
fn sort_key(view: &TemplateView) -> Vec<u8> {
    format!("{}\0{}\0{}", view.key, view.channel, view.locale).into_bytes()
}

/// A page of deliveries, newest first.
pub(crate) fn deliveries(tx: &Tx<'_>, op: ListDeliveries) -> Result<Page<DeliveryView>, Error> {
    let page = match op.status {
        Some(status) => tx.scan_by::<DeliveryByStatus>().prefix(status).backward().page(op.limit, op.cursor)?,
        None => tx.scan_by::<DeliveryByCreated>().backward().page(op.limit, op.cursor)?,
    };
    Ok(page.map(delivery))
}

/// The deliveries that are not sent yet, each kind up to 1,000.
pub(crate) fn mail_queue(tx: &Tx<'_>) -> Result<MailQueue, StoreError> {
    let count = |status| Ok::<_, StoreError>(tx.scan_by::<DeliveryByStatus>().prefix(status).collect(1_000)?.len());
    Ok(MailQueue { waiting: count(DeliveryStatus::Pending)?, failing: count(DeliveryStatus::Failed)? })
}

/// A delivery as clients see it.
pub(crate) fn delivery(row: Delivery) -> DeliveryView {
    DeliveryView {
        id: row.id,
        kind: row.kind,
        channel: row.channel.unwrap_or(Channel::Email),
        status: row.status,
        order_id: row.order_id,
        user_id: row.user_id,
        next_attempt_at: row.due_at,
        attempts: row.attempts.0,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// Due deliveries with their stored bodies, urgent ones first, then by due time; at most `limit`.
pub(crate) fn due(
    tx: &Tx<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(Delivery, Option<MessageBody>)>, StoreError> {
    let end = Some(Timestamp(now.0.saturating_add(1)));
    let mut due = Vec::new();
    for queue in [URGENT, NORMAL] {
        let rows = tx.scan_by::<DeliveryByDue>().prefix(Some(queue)).before(end).collect(limit - due.len())?;
        for row in rows {
            let body = if row.reference.is_some() { tx.get::<MessageBody>(&row.id)? } else { None };
            due.push((row, body));
        }
    }
    Ok(due)
}

/// All data held about a user, for the export of personal data.
pub(crate) async fn export(db: &Db, user: UserId) -> Result<Value, Error> {
    let inbox = db.read_all(|tx, limit, cursor| {
        let page = tx.scan_by::<InboxByUser>().prefix(user).backward().page(limit, cursor)?;
        Ok(page.map(notification))
    });
    let deliveries = db.read_all(|tx, limit, cursor| {
        let page = tx.scan_by::<DeliveryByUser>().prefix(Some(user)).backward().page(limit, cursor)?;
        Ok(page.map(delivery))
    });
    let (inbox, deliveries) = (inbox.await?, deliveries.await?);
    let read = |tx: &Tx<'_>| {
        let subscriptions: Vec<_> = push::commands::of_user(tx, user)?.into_iter().map(|row| row.endpoint).collect();
        Ok::<_, StoreError>((preferences(&changed(tx, user)?), subscriptions))
    };
    let (preferences, subscriptions) = db.read(read).await?;
    Ok(json!({
        "inbox": inbox, "deliveries": deliveries, "preferences": preferences, "subscriptions": subscriptions}))
}
