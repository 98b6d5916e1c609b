//! Notifications: messages to customers and the merchant, by e-mail, in the inbox, as text messages and in browsers
//! ([`push`]), and webhooks to the merchant's own
//! systems ([`webhooks`]).
//!
//! Consumers turn events into PENDING deliveries, one small row each: the kind and the order or user, never a text or
//! an address. The sender takes due rows, queries the details, renders, sends and records every attempt. A failed
//! delivery is retried with growing pauses and finally becomes DEAD. Messages with a secret are requested with
//! [`promox_contract::notification::SendMessage`]: they are rendered at once, and their body is deleted once it is
//! sent.
//!
//! Invariants, checked by [`Service::audit`]: an event has one delivery for each channel; a delivery has a due time if and only
//! if it is still to be sent; a stored body belongs to such a delivery; an inbox item is in the index of unread items
//! if and only if it is unread. A delivery is sent at least once: after a crash between sending and recording it is
//! sent again, under the same message id.

pub mod api;
mod audit;
mod checks;
mod commands;
mod events;
mod handlers;
mod jobs;
mod kinds;
mod mail;
pub mod push;
mod queries;
mod quiet;
mod records;
mod reject;
mod reminders;
mod rules;
mod sender;
mod settings;
mod sms;
mod templates;
#[cfg(test)]
mod tests;
mod transport;
mod unsubscribing;
pub mod webhooks;

use std::sync::{Arc, OnceLock};

use promox_contract::notification::{GetCartIdleTime, GetMailQueue, SendMessage};
use promox_contract::user::ExportNotifications;
use promox_kernel::{Cx, Email, Error, Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use kinds::{Channel, MessageKind};
pub use settings::{MailSettings, MailTransport, SmtpSecurity, SmtpSettings};
pub use sms::{SmsProvider, SmsSettings};

use crate::api::{
    EndMessages, GetNotificationSettings, GetPreferences, GetTemplate, ListDeliveries, ListInbox, ListTemplates,
    MarkRead, PatchNotificationSettings, PreviewTemplate, PutNotificationSettings, PutPreferences, PutTemplate,
    RetryDelivery,
};
use crate::push::Identity;
use crate::push::api::{GetPushKey, ListSubscriptions, Subscribe, Unsubscribe};
use crate::sms::Sms;
use crate::templates::Renderer;
use crate::transport::Transport;
use crate::webhooks::api::{
    CreateWebhook, DeleteWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks, RedeliverWebhook,
    RotateWebhookSecret, TestWebhook, UpdateWebhook,
};
use crate::webhooks::{WebhookSettings, Webhooks, WriteWebhooks};

/// The notification service.
#[derive(Debug)]
pub struct Notifications {
    db: Db,
    renderer: Renderer,
    transport: Transport,
    from: lettre::message::Mailbox,
    /// The recipient of low-stock messages.
    merchant: Email,
    /// The shop's URL, without a trailing slash.
    public_url: String,
    webhooks: Webhooks,
    sms: Sms,
    /// The key pair that identifies the shop to push services, once it was needed.
    identity: OnceLock<Arc<Identity>>,
}

impl Notifications {
    /// Creates the service on its database. The error says which setting is wrong.
    pub fn new(
        db: Db,
        settings: MailSettings,
        sms: SmsSettings,
        webhooks: WebhookSettings,
    ) -> Result<Arc<Self>, String> {
        let (from, merchant) = settings.addresses()?;
        let transport = Transport::new(settings.transport)?;
        let public_url = settings.public_url.trim_end_matches('/').to_owned();
        let webhooks = Webhooks::new(webhooks)?;
        let (renderer, sms, identity) = (Renderer::new()?, Sms::new(sms)?, OnceLock::new());
        Ok(Arc::new(Self { db, renderer, transport, from, merchant, public_url, webhooks, sms, identity }))
    }
}

impl Service for Notifications {
    const NAME: &'static str = "notification";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::InboxItem::TABLE,
        records::Delivery::TABLE,
        records::MessageBody::TABLE,
        records::Preferences::TABLE,
        records::Setting::TABLE,
        records::StoredTemplate::TABLE,
        push::records::Subscription::TABLE,
        push::records::PushKey::TABLE,
        records::UnsubscribeSecret::TABLE,
        records::UnsubscribedAddress::TABLE,
        webhooks::records::WebhookEndpoint::TABLE,
        webhooks::records::WebhookDelivery::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListInbox, MarkRead, GetPreferences, PutPreferences);
        register!(registry, self; GetNotificationSettings, PutNotificationSettings, PatchNotificationSettings);
        register!(registry, self; GetCartIdleTime, EndMessages);
        register!(registry, self; ListTemplates, GetTemplate, PutTemplate, PreviewTemplate);
        register!(registry, self; ListDeliveries, RetryDelivery, SendMessage, GetMailQueue, ExportNotifications);
        register!(registry, self; GetPushKey, ListSubscriptions, Subscribe, Unsubscribe);
        register!(registry, self; ListWebhooks, GetWebhook, CreateWebhook, UpdateWebhook, DeleteWebhook);
        register!(registry, self; RotateWebhookSecret, TestWebhook, ListWebhookDeliveries, RedeliverWebhook);
        registry.declare_outgoing(webhooks::messages());
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        let webhooks = |source| Arc::new(WriteWebhooks::of(source, self.webhooks.wanted()));
        vec![
            Arc::new(events::WriteDeliveries),
            Arc::new(events::EraseUser),
            webhooks(Database::Ecommerce),
            webhooks(Database::Promox),
        ]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![
            jobs::send_due(self),
            jobs::prune(self),
            webhooks::send_due(self),
            webhooks::send_failing(self),
            webhooks::prune(self),
        ]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)?;
        webhooks::audit(tx, report)
    }

    async fn recover(&self, _cx: &Cx) -> Result<(), Error> {
        if self.db.read(webhooks::any).await? {
            self.webhooks.expect_endpoints();
        }
        Ok(())
    }
}
