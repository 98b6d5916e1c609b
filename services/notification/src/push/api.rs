//! Requests and replies of the routes of Web Push.

use promox_kernel::{Page, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::records::SubscriptionId;

/// Returns the key with which a browser subscribes (`applicationServerKey`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPushKey {}
operation! {
    GetPushKey => PushKeyView, "notification.push_key", Get "/api/notifications/push-key", Anyone, 200,
    "The key with which browsers subscribe to messages."
}

/// Lists the caller's browsers that receive messages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSubscriptions {}
operation! {
    ListSubscriptions => Page<SubscriptionView>, "notification.subscriptions", Get "/api/notifications/subscriptions",
    User, 200,
    "The caller's browsers that receive messages."
}

/// Subscribes a browser to the caller's messages. The members are those of the browser's `PushSubscription`. A browser
/// that is subscribed already is updated. A user has at most 20 (422 `TOO_MANY_SUBSCRIPTIONS`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// The URL at the browser's push service: `https`, on a public address.
    pub endpoint: String,
    /// The browser's keys.
    pub keys: SubscriptionKeys,
    /// Ignored; accepted because browsers send it.
    pub expiration_time: Option<u64>,
}
operation! {
    Subscribe => SubscriptionView, "notification.subscribe", Post "/api/notifications/subscriptions", User, 201,
    "Subscribes a browser to the caller's messages."
}

/// The keys of a browser's subscription, in base64url.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SubscriptionKeys {
    /// The browser's public key.
    pub p256dh: String,
    /// The secret that the browser shares with its sender.
    pub auth: String,
}

/// Ends a subscription.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unsubscribe {
    /// The subscription's id.
    pub id: SubscriptionId,
}
operation! {
    Unsubscribe => (), "notification.unsubscribe", Delete "/api/notifications/subscriptions/{id}", User, 204,
    "Ends the subscription of a browser."
}

/// The key with which browsers subscribe.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushKeyView {
    /// The public key in base64url.
    pub key: String,
}
json_reply!(PushKeyView);

/// A browser that receives messages.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionView {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The URL at the browser's push service.
    pub endpoint: String,
    /// When the browser was subscribed.
    pub created_at: Timestamp,
}
json_reply!(SubscriptionView);
