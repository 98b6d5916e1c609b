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
    /// Only what was not read yet.
    #[serde(default)]
    pub unread: bool,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListInbox => Page<Notification>, "notification.list", Get "/api/notifications", User, 200, "The caller's inbox, newest first." }

/// Marks an item of the caller's inbox as read, or as unread again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    /// Which.
    pub id: NotificationId,
    /// Whether it is read.
    pub read: bool,
}
operation! { MarkRead => Notification, "notification.mark_read", Patch "/api/notifications/{id}", User, 200, "\
Marks an inbox item as read or unread." }

/// An item of an inbox.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// What it is about.
    pub kind: MessageKind,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that it is about.
    pub order_id: Option<OrderId>,
    /// Whether it was read.
    pub read: bool,
    /// When.
    pub read_at: Option<Timestamp>,
    /// When it came.
    pub created_at: Timestamp,
}
json_reply!(Notification);

/// What the caller is written about, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPreferences {}
operation! { GetPreferences => PreferencesView, "notification.preferences", Get "/api/notifications/preferences", User, 200, "\
The caller's message preferences, by kind and channel." }

/// Sets what the caller is written about; what is not named goes back to being sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutPreferences {
    /// By kind and channel.
    pub preferences: Vec<Preference>,
}
operation! { PutPreferences => PreferencesView, "notification.set_preferences", Put "/api/notifications/preferences", User, 200, "\
Sets the caller's message preferences." }

/// Whether a kind of message goes by a channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// What about.
    pub kind: MessageKind,
    /// How.
    pub channel: Channel,
    /// Whether it is sent.
    pub enabled: bool,
    /// Taken so that what was read can be sent back; the law and the order decide it, not who sends it.
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

/// Whether a kind of message goes by a channel, and whether that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferenceView {
    /// What about.
    pub kind: MessageKind,
    /// How.
    pub channel: Channel,
    /// Whether it is sent.
    pub enabled: bool,
    /// The law or the order demands it: it is always sent.
    pub mandatory: bool,
}

/// Which messages the shop sends beside those that the order demands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNotificationSettings {}
operation! { GetNotificationSettings => NotificationSettings, "notification.settings", Get "/api/notifications/settings", Permission("notification:write"), 200, "\
Which optional messages the shop sends." }

/// Replaces the settings of messages; every member is named.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutNotificationSettings {
    /// Whether buyers are written to as soon as an order is placed, before its payment is complete.
    pub order_received: bool,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Option<i64>,
}
operation! { PutNotificationSettings => NotificationSettings, "notification.put_settings", Put "/api/notifications/settings", Permission("notification:write"), 200, "\
Replaces the message settings." }

/// Changes the settings of messages; what is not named stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchNotificationSettings {
    /// Whether buyers are written to as soon as an order is placed, before its payment is complete.
    pub order_received: Option<bool>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Option<i64>,
}
operation! { PatchNotificationSettings => NotificationSettings, "notification.patch_settings", Patch "/api/notifications/settings", Permission("notification:write"), 200, "\
Updates the message settings; omitted members stay as they are." }

/// Which messages the shop sends beside those that the order demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSettings {
    /// Whether buyers are written to (`ORDER_RECEIVED`) as soon as an order is placed, before its payment is complete. A new
    /// store does not: `ORDER_CONFIRMED` follows at once where the payment does.
    pub order_received: bool,
    /// Counts changes; 0 for those of a new store.
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
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListTemplates => Page<TemplateView>, "notification.list_templates", Get "/api/notifications/templates", Permission("notification:write"), 200, "All templates by key, channel and locale." }

/// One template: the one that is used for the channel and locale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTemplate {
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL unless said.
    pub channel: Option<Channel>,
    /// The store's unless said.
    pub locale: Option<String>,
}
operation! { GetTemplate => TemplateView, "notification.get_template", Get "/api/notifications/templates/{key}", Permission("notification:write"), 200, "\
The template in use for a channel and locale." }

/// Sets a template. It must render with sample data, full and sparse.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutTemplate {
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL unless said.
    pub channel: Option<Channel>,
    /// The store's unless said.
    pub locale: Option<String>,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part; for EMAIL.
    pub html: Option<String>,
    /// The text.
    pub text: String,
}
operation! { PutTemplate => TemplateView, "notification.put_template", Put "/api/notifications/templates/{key}", Permission("notification:write"), 200, "\
Sets a template; one that does not render is rejected." }

/// Renders a template, or the draft of one, with sample data.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewTemplate {
    /// `order_confirmed`.
    pub key: String,
    /// EMAIL unless said.
    pub channel: Option<Channel>,
    /// The store's unless said.
    pub locale: Option<String>,
    /// In place of the template's own.
    pub subject: Option<String>,
    /// In place of the template's own.
    pub html: Option<String>,
    /// In place of the template's own.
    pub text: Option<String>,
    /// Members in place of the sample's.
    #[serde(default)]
    pub data: Map<String, Value>,
}
operation! { PreviewTemplate => Preview, "notification.preview_template", Post "/api/notifications/templates/{key}/preview", Permission("notification:write"), 200, "Renders a template or a draft with sample data." }

/// A template.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateView {
    /// `order_confirmed`.
    pub key: String,
    /// How it reaches people.
    pub channel: Channel,
    /// In which language.
    pub locale: String,
    /// The subject, or the title in the inbox.
    pub subject: String,
    /// The HTML part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The text.
    pub text: String,
    /// Whether it is the merchant's own for this locale.
    pub customized: bool,
    /// Counts changes; 0 for a built-in one.
    pub version: i64,
    /// When it was changed last.
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
    /// The text.
    pub text: String,
}
json_reply!(Preview);

/// What is and was sent, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListDeliveries {
    /// Only those that stand there.
    pub status: Option<DeliveryStatus>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListDeliveries => Page<DeliveryView>, "notification.list_deliveries", Get "/api/notifications/deliveries", Permission("notification:read"), 200, "\
Queued and sent messages, with every delivery attempt." }

/// Tries a delivery again, now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryDelivery {
    /// Which.
    pub id: DeliveryId,
}
operation! { RetryDelivery => DeliveryView, "notification.retry_delivery", Post "/api/notifications/deliveries/{id}/retry", Permission("notification:write"), 200, "\
Retries a delivery now." }

/// A delivery.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// What it is about.
    pub kind: MessageKind,
    /// How it reaches people.
    pub channel: Channel,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// The order that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The user that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// Every try, the oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
json_reply!(DeliveryView);
