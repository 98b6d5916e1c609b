//! The tables of notifications, numbers 380 to 419.

use promox_contract::ids::OrderId;
use promox_kernel::{Email, Json, Timestamp, UserId, id, text_enum};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kinds::{Channel, MessageKind};

id! {
    /// An item of somebody's inbox.
    NotificationId,
    /// A delivery of a message.
    DeliveryId,
}

text_enum! {
    /// The status of a delivery.
    DeliveryStatus {
        /// Not tried yet.
        Pending = "PENDING",
        Sent = "SENT",
        /// Tried, and to be retried.
        Failed = "FAILED",
        /// Given up.
        Dead = "DEAD",
    }
}

record! {
    /// An item of somebody's inbox.
    pub(crate) struct InboxItem in Ecommerce.notifications = 380, key(id: NotificationId) {
        user_id: UserId,
        /// The user again while it is unread, for the index.
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

/// The queue of messages that somebody waits for: requested messages and manual retries.
pub(crate) const URGENT: u32 = 0;
/// The queue of messages that follow from events.
pub(crate) const USUAL: u32 = 1;

record! {
    /// A message to be sent by e-mail, with its outcome. Its recipient is found by the ids when it is sent.
    pub(crate) struct Delivery in Ecommerce.deliveries = 385, key(id: DeliveryId) {
        kind: MessageKind,
        status: DeliveryStatus,
        /// Its queue, [`URGENT`] or [`USUAL`]; null once it is finished.
        queue: Option<u32>,
        /// When it is tried; null once it is finished.
        due_at: Option<Timestamp>,
        /// The order; its buyer is the recipient.
        order_id: Option<OrderId>,
        /// The user, if it is not about an order.
        user_id: Option<UserId>,
        /// The unique reference of a request; null for messages that follow from an event.
        reference: Option<String>,
        /// Data of the event that cannot be queried later.
        facts: Json<Map<String, Value>>,
        /// Whether the inbox item exists.
        in_inbox: bool,
        /// Consecutive failures since it was requested or retried manually.
        failures: u32,
        attempts: Json<Vec<Attempt>>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique DeliveryByReference = 386 (reference);
    index DeliveryByStatus = 387 (status, created_at);
    index DeliveryByDue = 388 (queue, due_at);
    index DeliveryByUser = 389 (user_id);
    index DeliveryByCreated = 404 (created_at);
}

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The time.
    pub at: Timestamp,
    /// Whether it was accepted.
    pub sent: bool,
    /// What the mail server said, or what went wrong. Never an address.
    pub detail: String,
}

record! {
    /// A rendered message that carries a secret, kept until it is sent or given up.
    pub(crate) struct MessageBody in Ecommerce.delivery_bodies = 392, key(delivery_id: DeliveryId) {
        email: Email,
        subject: String,
        html: String,
        text: String,
    }
}

record! {
    /// A kind that a user does not want to receive by a channel.
    pub(crate) struct Preferences in Ecommerce.notification_preferences = 395, key(user_id: UserId) {
        muted: Json<Vec<(MessageKind, Channel)>>,
        updated_at: Timestamp,
    }
}

record! {
    /// Which optional messages the shop sends; without the row none of them.
    pub(crate) struct Setting in Ecommerce.notification_settings = 403, key(id: u32) {
        order_received: bool,
        version: i64,
        updated_at: Timestamp,
    }
}

record! {
    /// A template customised by the merchant; without a row the built-in one is used.
    pub(crate) struct StoredTemplate in Ecommerce.notification_templates = 400, key(kind: MessageKind, channel: Channel, locale: String) {
        subject: String,
        /// Null for the inbox.
        html: Option<String>,
        text: String,
        version: i64,
        updated_at: Timestamp,
    }
}
