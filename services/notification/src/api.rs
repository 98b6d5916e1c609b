//! Requests and replies of the notification service's routes.

use promox_contract::ids::OrderId;
use promox_kernel::{Cursor, Limit, Locale, OrNull, Page, Patch, Timestamp, UserId, json_reply, nullable, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kinds::{Channel, MessageKind};
pub use crate::quiet::{QuietHours, TimeOfDay};
pub use crate::records::{Attempt, DeliveryId, DeliveryStatus, NotificationId};

/// Lists the caller's inbox, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListInbox {
    /// Lists only unread items.
    #[serde(default)]
    pub unread: bool,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListInbox => Page<Notification>, "notification.list", Get "/api/notifications", User, 200,
    "The caller's inbox, newest first."
}

/// Marks an item of the caller's inbox as read or unread.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    /// The item's id.
    pub id: NotificationId,
    /// Whether the item is to be marked as read.
    pub read: bool,
}
operation! {
    MarkRead => Notification, "notification.mark_read", Patch "/api/notifications/{id}", User, 200,
    "Marks an inbox item as read or unread."
}

/// An item of an inbox.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// The item's id.
    pub id: NotificationId,
    /// The kind of message.
    pub kind: MessageKind,
    /// The title, one line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that the message is about, if any.
    pub order_id: Option<OrderId>,
    /// Whether the item is marked as read.
    pub read: bool,
    /// When the item was marked as read; null while it is unread.
    pub read_at: Option<Timestamp>,
    /// When the item was created.
    pub created_at: Timestamp,
}
json_reply!(Notification);

/// Returns the caller's message preferences.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPreferences {}
operation! {
    GetPreferences => PreferencesView, "notification.preferences", Get "/api/notifications/preferences", User, 200,
    "The caller's message preferences, by kind and channel."
}

/// Sets the caller's message preferences; omitted ones have their default: SMS is off, everything else is on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutPreferences {
    /// The preferences by kind and channel.
    pub preferences: Vec<Preference>,
}
operation! {
    PutPreferences => PreferencesView, "notification.set_preferences", Put "/api/notifications/preferences", User, 200,
    "Sets the caller's message preferences."
}

/// Whether a kind of message is sent through a channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// Whether the message is sent.
    pub enabled: bool,
    /// Ignored; accepted so that a response can be used as a request.
    pub mandatory: Option<bool>,
}

/// All preferences of a user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferencesView {
    /// The preferences by kind and channel.
    pub preferences: Vec<PreferenceView>,
}
json_reply!(PreferencesView);

/// Whether a kind of message is sent through a channel, and whether that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferenceView {
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// Whether the message is sent.
    pub enabled: bool,
    /// Whether the message is always sent, because the law or the order requires it.
    pub mandatory: bool,
}

/// Returns the settings of the optional messages that the shop sends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNotificationSettings {}
operation! {
    GetNotificationSettings => NotificationSettings, "notification.settings", Get "/api/notifications/settings",
    Permission("notification:write"), 200,
    "The settings of the optional messages that the shop sends."
}

/// Replaces the message settings; every member is required.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutNotificationSettings {
    /// Whether buyers get a message as soon as an order is placed, before its payment is complete.
    pub order_received: bool,
    /// Whether customers, and guests who agreed, are reminded of a cart that they left.
    pub cart_abandoned: bool,
    /// The minutes after which an unchanged cart with items is abandoned, 1 to 40,320 (28 days).
    pub cart_abandoned_minutes: u32,
    /// The hours in which marketing messages wait, in the recipient's zone; null for none.
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<QuietHours>")]
    pub quiet_hours: Option<QuietHours>,
    /// The version that the change is based on; if sent, it must be the current one.
    pub version: Option<i64>,
}
operation! {
    PutNotificationSettings => NotificationSettings, "notification.put_settings", Put "/api/notifications/settings",
    Permission("notification:write"), 200,
    "Replaces the message settings."
}

/// Changes the message settings; omitted members stay as they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchNotificationSettings {
    /// Whether buyers get a message as soon as an order is placed, before its payment is complete.
    pub order_received: Option<bool>,
    /// Whether customers, and guests who agreed, are reminded of a cart that they left.
    pub cart_abandoned: Option<bool>,
    /// The minutes after which an unchanged cart with items is abandoned, 1 to 40,320 (28 days).
    pub cart_abandoned_minutes: Option<u32>,
    /// The hours in which marketing messages wait, in the recipient's zone; null for none.
    #[serde(default)]
    pub quiet_hours: Patch<QuietHours>,
    /// The version that the change is based on; if sent, it must be the current one.
    pub version: Option<i64>,
}
operation! {
    PatchNotificationSettings => NotificationSettings, "notification.patch_settings", Patch "/api/notifications/settings",
    Permission("notification:write"), 200,
    "Updates the message settings; omitted members stay as they are."
}

/// The settings of the optional messages that the shop sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSettings {
    /// Whether buyers get a message (`ORDER_RECEIVED`) as soon as an order is placed, before its payment is complete.
    /// Off by default: `ORDER_CONFIRMED` is sent as soon as the payment is complete.
    pub order_received: bool,
    /// Whether customers, and guests who agreed, are reminded of a cart that they left (`CART_ABANDONED`): once until
    /// the cart is ordered or emptied. Off by default.
    pub cart_abandoned: bool,
    /// The minutes after which an unchanged cart with items is abandoned, for the message and for the event of that name;
    /// 1,440 by default.
    pub cart_abandoned_minutes: u32,
    /// The hours in which marketing messages wait: `CART_ABANDONED`, in every channel. The recipient's time zone counts,
    /// or the store's if that is unknown. Null for none, the default.
    pub quiet_hours: Option<QuietHours>,
    /// The number of changes so far; 0 for the defaults.
    pub version: i64,
}
json_reply!(NotificationSettings, etag version);

impl NotificationSettings {
    /// Whether these settings allow a kind of message.
    pub(crate) fn sends(&self, kind: MessageKind) -> bool {
        match kind {
            MessageKind::OrderReceived => self.order_received,
            MessageKind::CartAbandoned => self.cart_abandoned,
            _ => true,
        }
    }
}

/// Ends a kind of message for the recipient of a link in one. It needs no login, and changes nothing if it is repeated.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndMessages {
    /// The token of the link.
    pub token: String,
}
operation! {
    EndMessages => (), "notification.end_messages", Post "/api/notifications/unsubscribe", Anyone, 204,
    "Ends a kind of message by the link in one. Mail programs call it as RFC 8058 says.", ignores_body, refuses [404]
}

/// Lists all templates: the built-in ones, and the merchant's own in every locale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTemplates {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListTemplates => Page<TemplateView>, "notification.list_templates", Get "/api/notifications/templates",
    Permission("notification:write"), 200,
    "All templates by key, channel and locale."
}

/// Returns the template in use for a channel and locale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTemplate {
    /// The template's key, such as `order_confirmed`.
    pub key: String,
    /// The channel; EMAIL by default.
    pub channel: Option<Channel>,
    /// The locale, such as `en-GB`; the store's by default.
    pub locale: Option<Locale>,
}
operation! {
    GetTemplate => TemplateView, "notification.get_template", Get "/api/notifications/templates/{key}",
    Permission("notification:write"), 200,
    "The template in use for a channel and locale."
}

/// Sets a template. It must render with complete and with minimal sample data.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutTemplate {
    /// The template's key, such as `order_confirmed`.
    pub key: String,
    /// The channel; EMAIL by default.
    pub channel: Option<Channel>,
    /// The locale, such as `en-GB`; the store's by default.
    pub locale: Option<Locale>,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part; required for EMAIL, not allowed for the others.
    pub html: Option<String>,
    /// The plain text.
    pub text: String,
}
operation! {
    PutTemplate => TemplateView, "notification.put_template", Put "/api/notifications/templates/{key}",
    Permission("notification:write"), 200,
    "Sets a template; one that does not render is rejected."
}

/// Renders a template or a draft with sample data.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewTemplate {
    /// The template's key, such as `order_confirmed`.
    pub key: String,
    /// The channel; EMAIL by default.
    pub channel: Option<Channel>,
    /// The locale, such as `en-GB`; the store's by default.
    pub locale: Option<Locale>,
    /// A subject that replaces the template's.
    pub subject: Option<String>,
    /// An HTML part that replaces the template's.
    pub html: Option<String>,
    /// A plain text that replaces the template's.
    pub text: Option<String>,
    /// Members that override the sample data.
    #[serde(default)]
    pub data: Map<String, Value>,
}
operation! {
    PreviewTemplate => Preview, "notification.preview_template", Post "/api/notifications/templates/{key}/preview",
    Permission("notification:write"), 200,
    "Renders a template or a draft with sample data."
}

/// A template.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateView {
    /// The template's key, such as `order_confirmed`.
    pub key: String,
    /// The channel.
    pub channel: Channel,
    /// The locale.
    pub locale: Locale,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part; omitted for the inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The plain text.
    pub text: String,
    /// Whether the merchant has customised the template for this locale.
    pub customized: bool,
    /// The number of changes so far; 0 if the template is not customised.
    pub version: i64,
    /// When the template was last changed; null if it is not customised.
    pub updated_at: Option<Timestamp>,
}
json_reply!(TemplateView, etag version);

/// A rendered template.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part; empty for the inbox.
    pub html: String,
    /// The plain text.
    pub text: String,
}
json_reply!(Preview);

/// Lists queued and sent messages, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListDeliveries {
    /// Lists only deliveries with this status.
    pub status: Option<DeliveryStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListDeliveries => Page<DeliveryView>, "notification.list_deliveries", Get "/api/notifications/deliveries",
    Permission("notification:read"), 200,
    "Queued and sent messages, with every delivery attempt."
}

/// Retries a delivery now, unless it was sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryDelivery {
    /// The delivery's id.
    pub id: DeliveryId,
}
operation! {
    RetryDelivery => DeliveryView, "notification.retry_delivery", Post "/api/notifications/deliveries/{id}/retry",
    Permission("notification:write"), 200,
    "Retries a delivery now."
}

/// The delivery of a message, with its attempts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// The delivery's id.
    pub id: DeliveryId,
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// The status.
    pub status: DeliveryStatus,
    /// The order that the message is about, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The user whom the message is for; omitted for messages about orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// When the next attempt is due; null once the delivery is SENT or DEAD.
    pub next_attempt_at: Option<Timestamp>,
    /// The latest 40 attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// When the message was requested.
    pub created_at: Timestamp,
    /// When the delivery was last changed.
    pub updated_at: Timestamp,
}
json_reply!(DeliveryView);
