//! The tables of notifications, numbers 380 to 419.

use promox_contract::ids::OrderId;
use promox_kernel::{Email, Json, Locale, Timestamp, UserId, id, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kinds::{Channel, MessageKind};
use crate::push::records::SubscriptionId;

id! {
    /// The id of an inbox item.
    NotificationId,
    /// The id of a delivery.
    DeliveryId,
}

text_enum! {
    /// The status of a delivery.
    DeliveryStatus {
        /// Not attempted yet.
        Pending = "PENDING",
        Sent = "SENT",
        /// The last attempt failed; another is due.
        Failed = "FAILED",
        /// Given up after a permanent failure or too many attempts.
        Dead = "DEAD",
    }
}

impl DeliveryStatus {
    /// Whether another attempt is due.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Failed)
    }
}

record! {
    /// An item of a user's inbox.
    pub(crate) struct InboxItem in Ecommerce.notifications = 380, key(id: NotificationId) {
        user_id: UserId,
        /// The user while the item is unread, for the index; null once it is read.
        unread_of: Option<UserId>,
        kind: MessageKind,
        title: String,
        body: String,
        order_id: Option<OrderId>,
        read_at: Option<Timestamp>,
        created_at: Timestamp,
    }
    index InboxByUser = 381 (user_id, created_at);
    index InboxByUnread = 382 (unread_of, created_at);
}

/// The queue of messages that a person is waiting for: requested messages and manual retries.
pub(crate) const URGENT: u32 = 0;
/// The queue of messages about events.
pub(crate) const NORMAL: u32 = 1;

record! {
    /// The delivery of a message through one channel. The recipient's address is queried by order or user when it is sent.
    pub(crate) struct Delivery in Ecommerce.deliveries = 385, key(id: DeliveryId) {
        kind: MessageKind,
        status: DeliveryStatus,
        /// The queue, [`URGENT`] or [`NORMAL`]; null once the delivery is sent or dead.
        queue: Option<u32>,
        /// When the next attempt is due; null once the delivery is sent or dead.
        due_at: Option<Timestamp>,
        /// The order; its buyer is the recipient.
        order_id: Option<OrderId>,
        /// The user, for a message that is not about an order.
        user_id: Option<UserId>,
        /// The unique reference of a requested message; null for a message about an event.
        reference: Option<String>,
        /// Template data from the event that cannot be queried later.
        facts: Json<Map<String, Value>>,
        /// Whether the inbox item was created.
        in_inbox: bool,
        /// Failed attempts since the delivery was created or last retried manually.
        failures: u32,
        attempts: Json<Vec<Attempt>>,
        created_at: Timestamp,
        updated_at: Timestamp,
        /// The channel; null for e-mail.
        channel: Option<Channel>,
        /// The browser, for a push message.
        subscription: Option<SubscriptionId>,
        /// When the deliveries through other channels were added; null until then.
        branched_at: Option<Timestamp>,
    }
    unique DeliveryByReference = 386 (reference);
    index DeliveryByStatus = 387 (status, created_at);
    index DeliveryByDue = 388 (queue, due_at);
    index DeliveryByUser = 389 (user_id);
    index DeliveryByCreated = 404 (created_at);
}

/// Another channel of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) channel: Channel,
    /// The browser, for a push message.
    pub(crate) subscription: Option<SubscriptionId>,
}

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeliveryAttempt")]
pub struct Attempt {
    /// When the attempt was made.
    pub at: Timestamp,
    /// Whether the message was accepted.
    pub sent: bool,
    /// The mail server's response, or what went wrong; addresses are removed.
    pub detail: String,
}

record! {
    /// A rendered message that contains a secret, kept until its delivery is sent or dead.
    pub(crate) struct MessageBody in Ecommerce.delivery_bodies = 392, key(delivery_id: DeliveryId) {
        email: Email,
        subject: String,
        html: String,
        text: String,
        /// The language of the text; null in older rows.
        language: Option<Locale>,
    }
}

record! {
    /// The preferences of a user, by kind and channel, that differ from the default.
    pub(crate) struct Preferences in Ecommerce.notification_preferences = 395, key(user_id: UserId) {
        /// Those that the user has changed: turned off, or on for text messages, which are off by default.
        muted: Json<Vec<(MessageKind, Channel)>>,
        updated_at: Timestamp,
    }
}

record! {
    /// The settings of the optional messages; without a row none of them is sent.
    pub(crate) struct Setting in Ecommerce.notification_settings = 403, key(id: u32) {
        order_received: bool,
        version: i64,
        updated_at: Timestamp,
        /// Whether recipients are reminded of abandoned carts.
        cart_abandoned: Option<bool>,
        /// The minutes after which an unchanged cart is abandoned.
        cart_abandoned_minutes: Option<u32>,
        /// When quiet hours begin, in minutes since midnight; null without quiet hours.
        quiet_from: Option<u32>,
        /// When they end.
        quiet_until: Option<u32>,
    }
}

record! {
    /// A template customised by the merchant; without a row the built-in one is used.
    pub(crate) struct StoredTemplate in Ecommerce.notification_templates = 400, key(kind: MessageKind, channel: Channel, locale: Locale) {
        subject: String,
        /// The HTML part; null for the inbox.
        html: Option<String>,
        text: String,
        version: i64,
        updated_at: Timestamp,
    }
}

record! {
    /// The secret of the links that end a kind of message: one row.
    pub(crate) struct UnsubscribeSecret in Ecommerce.unsubscribe_secrets = 416, key(id: u32) {
        secret: Vec<u8>,
        created_at: Timestamp,
    }
}

record! {
    /// A kind of message that a guest has ended, by a digest of the address.
    pub(crate) struct UnsubscribedAddress in Ecommerce.unsubscribed_addresses = 417, key(address_hash: Vec<u8>, kind: MessageKind) {
        created_at: Timestamp,
    }
}
