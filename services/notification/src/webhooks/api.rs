//! Requests and replies of the routes of webhooks.

use promox_kernel::{Cursor, Limit, Page, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::kinds::{WebhookEvent, WebhookStatus};
pub use super::records::{WebhookAttempt, WebhookDeliveryId, WebhookId};
use crate::records::DeliveryStatus;

/// Lists the webhook endpoints.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListWebhooks {}
operation! {
    ListWebhooks => Page<WebhookView>, "notification.list_webhooks", Get "/api/webhooks", Permission("webhook:write"),
    200, "The webhook endpoints, oldest first."
}

/// Returns a webhook endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetWebhook {
    /// The endpoint's id.
    pub id: WebhookId,
}
operation! {
    GetWebhook => WebhookView, "notification.get_webhook", Get "/api/webhooks/{id}", Permission("webhook:write"), 200,
    "One webhook endpoint."
}

/// Adds a webhook endpoint. From then on events are posted to it, signed by the Standard Webhooks scheme. The secret is
/// shown in this response only. A store has at most 50 endpoints (422 `TOO_MANY_WEBHOOKS`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateWebhook {
    /// The URL: `https`, on a public address.
    pub url: String,
    /// A text for people, at most 200 characters.
    #[serde(default)]
    pub description: String,
    /// The events that the endpoint receives; all if the list is empty or left out.
    #[serde(default)]
    pub events: Vec<WebhookEvent>,
}
operation! {
    CreateWebhook => WebhookSecretView, "notification.create_webhook", Post "/api/webhooks",
    Permission("webhook:write"), 201,
    "Adds a webhook endpoint and shows its secret once."
}

/// Changes a webhook endpoint. Enabling a disabled one sends events that happen from then on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateWebhook {
    /// The endpoint's id.
    pub id: WebhookId,
    /// The URL: `https`, on a public address.
    pub url: Option<String>,
    /// A text for people, at most 200 characters.
    pub description: Option<String>,
    /// The events that the endpoint receives; all if the list is empty.
    pub events: Option<Vec<WebhookEvent>>,
    /// Whether events are sent.
    pub status: Option<WebhookStatus>,
}
operation! {
    UpdateWebhook => WebhookView, "notification.update_webhook", Patch "/api/webhooks/{id}",
    Permission("webhook:write"), 200,
    "Updates a webhook endpoint."
}

/// Removes a webhook endpoint. Deliveries that wait are given up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteWebhook {
    /// The endpoint's id.
    pub id: WebhookId,
}
operation! {
    DeleteWebhook => (), "notification.delete_webhook", Delete "/api/webhooks/{id}", Permission("webhook:write"), 204,
    "Removes a webhook endpoint."
}

/// Gives a webhook endpoint a new secret, which is shown in this response only. For 24 hours messages are signed with the
/// earlier secret too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotateWebhookSecret {
    /// The endpoint's id.
    pub id: WebhookId,
}
operation! {
    RotateWebhookSecret => WebhookSecretView, "notification.rotate_webhook_secret", Post "/api/webhooks/{id}/secret",
    Permission("webhook:write"), 200,
    "Gives a webhook endpoint a new secret and shows it once."
}

/// Sends an event of the type `TEST` to a webhook endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestWebhook {
    /// The endpoint's id.
    pub id: WebhookId,
}
operation! {
    TestWebhook => WebhookDeliveryView, "notification.test_webhook", Post "/api/webhooks/{id}/test",
    Permission("webhook:write"), 200,
    "Sends a test event to a webhook endpoint."
}

/// Lists the deliveries to a webhook endpoint. They are kept for 30 days.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListWebhookDeliveries {
    /// The endpoint's id.
    pub id: WebhookId,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListWebhookDeliveries => Page<WebhookDeliveryView>, "notification.list_webhook_deliveries",
    Get "/api/webhooks/{id}/deliveries", Permission("webhook:write"), 200,
    "The deliveries to a webhook endpoint, newest first."
}

/// Sends a delivery again, under the same message id. One that is still waiting becomes due.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedeliverWebhook {
    /// The endpoint's id.
    pub id: WebhookId,
    /// The delivery's id.
    pub delivery_id: WebhookDeliveryId,
}
operation! {
    RedeliverWebhook => WebhookDeliveryView, "notification.redeliver_webhook",
    Post "/api/webhooks/{id}/deliveries/{deliveryId}/redeliver", Permission("webhook:write"), 200,
    "Sends a delivery to a webhook endpoint again."
}

/// A webhook endpoint.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    /// The endpoint's id.
    pub id: WebhookId,
    /// The URL.
    pub url: String,
    /// A text for people.
    pub description: String,
    /// The events that the endpoint receives; empty for all.
    pub events: Vec<WebhookEvent>,
    /// Whether events are sent.
    pub status: WebhookStatus,
    /// Why the endpoint is disabled; null while it is enabled.
    pub disabled_reason: Option<String>,
    /// Since when every attempt has failed; null after a success.
    pub failing_since: Option<Timestamp>,
    /// The number of changes so far.
    pub version: i64,
    /// When the endpoint was added.
    pub created_at: Timestamp,
    /// When the endpoint last changed.
    pub updated_at: Timestamp,
}
json_reply!(WebhookView, etag version);

/// A webhook endpoint with its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecretView {
    /// The endpoint.
    pub webhook: WebhookView,
    /// The secret with which its messages are signed: `whsec_` and base64.
    pub secret: String,
}
json_reply!(WebhookSecretView);

/// The delivery of an event to a webhook endpoint.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDeliveryView {
    /// The delivery's id.
    pub id: WebhookDeliveryId,
    /// The id of the message, which is the same in every attempt (the header `webhook-id`).
    pub message: String,
    /// The type of the event.
    pub event: String,
    /// The status.
    pub status: DeliveryStatus,
    /// When the next attempt is due; null once the delivery is sent or given up.
    pub due_at: Option<Timestamp>,
    /// The latest attempts, at most 30, oldest first.
    pub attempts: Vec<WebhookAttempt>,
    /// The body as it is sent.
    pub body: String,
    /// When the event was taken up.
    pub created_at: Timestamp,
}
json_reply!(WebhookDeliveryView);
