//! Requests and replies of notifications.

use promox_contract::ids::OrderId;
use promox_kernel::{Cursor, Limit, Page, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kinds::{Channel, MessageKind};
pub use crate::records::{Attempt, DeliveryId, DeliveryStatus, NotificationId};

/// The caller's inbox, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListInbox {
    /// Only unread items.
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
    /// The id.
    pub id: NotificationId,
    /// Whether it is read.
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
    /// The id.
    pub id: NotificationId,
    /// The kind of message.
    pub kind: MessageKind,
    /// The title, one line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order.
    pub order_id: Option<OrderId>,
    /// Whether it was read.
    pub read: bool,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it arrived.
    pub created_at: Timestamp,
}
json_reply!(Notification);

/// The caller's message preferences.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPreferences {}
operation! {
    GetPreferences => PreferencesView, "notification.preferences", Get "/api/notifications/preferences", User, 200,
    "The caller's message preferences, by kind and channel."
}

/// Sets the caller's message preferences; omitted ones are reset to being sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutPreferences {
    /// By kind and channel.
    pub preferences: Vec<Preference>,
}
operation! {
    PutPreferences => PreferencesView, "notification.set_preferences", Put "/api/notifications/preferences", User, 200,
    "Sets the caller's message preferences."
}

/// Whether a kind of message is sent by a channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// Whether it is sent.
    pub enabled: bool,
    /// Ignored; accepted so that a response can be sent back unchanged.
    pub mandatory: Option<bool>,
}

/// All preferences of a user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferencesView {
    /// By kind and channel.
    pub preferences: Vec<PreferenceView>,
}
json_reply!(PreferencesView);

/// Whether a kind of message is sent by a channel, and whether that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferenceView {
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// Whether it is sent.
    pub enabled: bool,
    /// Whether it is always sent, because law or the order requires it.
    pub mandatory: bool,
}

/// Which optional messages the shop sends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNotificationSettings {}
operation! {
    GetNotificationSettings => NotificationSettings, "notification.settings", Get "/api/notifications/settings",
    Permission("notification:write"), 200,
    "Which optional messages the shop sends."
}

/// Replaces the message settings; every member is required.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutNotificationSettings {
    /// Whether buyers get a message as soon as an order is placed, before its payment is complete.
    pub order_received: bool,
    /// The version to change; if sent, it must be the current one.
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
    /// The version to change; if sent, it must be the current one.
    pub version: Option<i64>,
}
operation! {
    PatchNotificationSettings => NotificationSettings, "notification.patch_settings", Patch "/api/notifications/settings",
    Permission("notification:write"), 200,
    "Updates the message settings; omitted members stay as they are."
}

/// Which optional messages the shop sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSettings {
    /// Whether buyers get a message (`ORDER_RECEIVED`) as soon as an order is placed, before its payment is complete.
    /// By default they do not: `ORDER_CONFIRMED` follows at once when the payment does.
    pub order_received: bool,
    /// Counts changes; 0 for the defaults.
    pub version: i64,
}
json_reply!(NotificationSettings, etag version);

impl NotificationSettings {
    /// Whether a kind of message is sent.
    pub(crate) fn sends(&self, kind: MessageKind) -> bool {
        kind != MessageKind::OrderReceived || self.order_received
    }
}

/// All templates: the built-in ones, and the merchant's own in every locale.
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

/// One template: the one in use for the channel and locale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTemplate {
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL by default.
    pub channel: Option<Channel>,
    /// The store's locale by default.
    pub locale: Option<String>,
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
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL by default.
    pub channel: Option<Channel>,
    /// The store's locale by default.
    pub locale: Option<String>,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part; for EMAIL.
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
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL by default.
    pub channel: Option<Channel>,
    /// The store's locale by default.
    pub locale: Option<String>,
    /// Overrides the template's own.
    pub subject: Option<String>,
    /// Overrides the template's own.
    pub html: Option<String>,
    /// Overrides the template's own.
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
    /// `order_confirmed`.
    pub key: String,
    /// The channel.
    pub channel: Channel,
    /// The locale.
    pub locale: String,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The plain text.
    pub text: String,
    /// Whether the merchant has customised it for this locale.
    pub customized: bool,
    /// Counts changes; 0 for a built-in one.
    pub version: i64,
    /// When it was last changed.
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

/// Queued and sent messages, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListDeliveries {
    /// Only those with this status.
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

/// Retries a delivery now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryDelivery {
    /// The id.
    pub id: DeliveryId,
}
operation! {
    RetryDelivery => DeliveryView, "notification.retry_delivery", Post "/api/notifications/deliveries/{id}/retry",
    Permission("notification:write"), 200,
    "Retries a delivery now."
}

/// A delivery.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// The id.
    pub id: DeliveryId,
    /// The kind of message.
    pub kind: MessageKind,
    /// The channel.
    pub channel: Channel,
    /// The status.
    pub status: DeliveryStatus,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
json_reply!(DeliveryView);
