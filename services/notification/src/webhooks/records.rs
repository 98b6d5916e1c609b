//! The tables of webhooks.

use promox_kernel::{Json, Timestamp, id};
use promox_storage::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kinds::{WebhookEvent, WebhookStatus};
use crate::records::DeliveryStatus;

id! {
    /// The id of a webhook endpoint.
    WebhookId,
    /// The id of a delivery to a webhook endpoint.
    WebhookDeliveryId,
}

/// A secret that signs webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret {
    /// `whsec_` and base64.
    pub(crate) text: String,
    /// When it stops to sign; null for the current one.
    pub(crate) until: Option<Timestamp>,
}

record! {
    /// An endpoint of the merchant that receives events.
    pub(crate) struct WebhookEndpoint in Ecommerce.webhook_endpoints = 405, key(id: WebhookId) {
        url: String,
        description: String,
        /// The events that it receives; empty for all.
        events: Json<Vec<WebhookEvent>>,
        /// The current secret, then earlier ones that still sign.
        secrets: Json<Vec<Secret>>,
        status: WebhookStatus,
        disabled_reason: Option<String>,
        /// Since when every attempt has failed; null after a success.
        failing_since: Option<Timestamp>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

/// The queue of deliveries to endpoints whose last attempt did not fail.
pub(crate) const HEALTHY: u32 = 0;
/// The queue of deliveries to endpoints whose last attempt failed, which may hang.
pub(crate) const FAILING: u32 = 1;

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAttempt {
    /// When the attempt ended.
    pub at: Timestamp,
    /// The status of the response; null if there was none.
    #[serde(default)]
    pub status: Option<u16>,
    /// What went wrong, if anything.
    #[serde(default)]
    pub detail: Option<String>,
    /// How long the attempt took in milliseconds.
    pub millis: u64,
}

record! {
    /// The delivery of one event to one endpoint.
    pub(crate) struct WebhookDelivery in Ecommerce.webhook_deliveries = 407, key(id: WebhookDeliveryId) {
        endpoint_id: WebhookId,
        /// The id of the message, which is the same in every attempt and redelivery.
        message: String,
        event: String,
        body: String,
        traceparent: Option<String>,
        status: DeliveryStatus,
        /// The queue, [`HEALTHY`] or [`FAILING`]; null once the delivery is sent or dead.
        queue: Option<u32>,
        /// When the next attempt is due; null once the delivery is sent or dead.
        due_at: Option<Timestamp>,
        /// Failed attempts since the delivery was created or last requested again.
        failures: u32,
        attempts: Json<Vec<WebhookAttempt>>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index WebhookDeliveryByEndpoint = 408 (endpoint_id, created_at);
    index WebhookDeliveryByDue = 409 (queue, due_at);
    index WebhookDeliveryByCreated = 410 (created_at);
}
