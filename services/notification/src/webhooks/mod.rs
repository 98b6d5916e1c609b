//! Webhooks: events are sent to the merchant's own systems, signed by the Standard Webhooks scheme.
//!
//! A consumer turns each event into one delivery for each endpoint that wants it; the sender posts due deliveries and
//! records every attempt. A delivery that fails is retried for three days. An endpoint that accepts nothing for as long
//! is disabled, and the merchant is told by mail.

pub mod api;
mod commands;
mod events;
mod handlers;
mod jobs;
mod kinds;
mod messages;
mod queries;
pub(crate) mod records;
mod rules;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promox_kernel::Subnet;
use promox_outbound::{HttpClient, Reach, check_url};
use promox_storage::{Report, StoreError, Tx};

pub(crate) use events::WriteWebhooks;
pub(crate) use jobs::{prune, send_due, send_failing};

use kinds::WebhookStatus;
use records::{WebhookDelivery, WebhookEndpoint};

/// The settings of webhooks.
#[derive(Clone, Debug, Default)]
pub struct WebhookSettings {
    /// Networks that webhooks may be sent to although they are not public.
    pub networks: Vec<Subnet>,
    /// The ports of this server's listeners, to which no webhook is sent.
    pub own_ports: Vec<u16>,
}

/// What webhooks need besides the store.
#[derive(Debug)]
pub(crate) struct Webhooks {
    client: HttpClient,
    reach: Reach,
    /// Whether there may be an endpoint. Consumers skip all events while there is none.
    wanted: Arc<AtomicBool>,
}

impl Webhooks {
    pub(crate) fn new(settings: WebhookSettings) -> Result<Self, String> {
        let reach = Reach::Public { networks: settings.networks, own_ports: settings.own_ports };
        Ok(Self { client: HttpClient::new(reach.clone())?, reach, wanted: Arc::default() })
    }

    /// The client that reaches public addresses only.
    pub(crate) fn client(&self) -> &HttpClient {
        &self.client
    }

    /// Refuses a URL whose host has an address that is not public. The error says why.
    pub(crate) async fn check_url(&self, url: &str) -> Result<(), String> {
        self.reach.check_host(&check_url(url, false)?).await
    }

    /// Notes that there may be an endpoint. Called before the first one is stored, so that no event is missed.
    pub(crate) fn expect_endpoints(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// The flag that says whether there may be an endpoint.
    pub(crate) fn wanted(&self) -> Arc<AtomicBool> {
        self.wanted.clone()
    }
}

#[cfg(test)]
impl crate::Notifications {
    /// The secrets of an endpoint that sign.
    pub(crate) async fn signing_secrets(&self, id: i64) -> Vec<String> {
        let endpoint = self.db.read(|tx| queries::endpoint(tx, records::WebhookId(id))).await.unwrap();
        endpoint.secrets.0.into_iter().map(|secret| secret.text).collect()
    }
}

/// The messages that endpoints receive.
pub(crate) fn messages() -> impl Iterator<Item = promox_kernel::Outgoing> {
    messages::all()
}

/// Whether there is an endpoint.
pub(crate) fn any(tx: &Tx<'_>) -> Result<bool, StoreError> {
    Ok(!tx.scan::<WebhookEndpoint>().collect(1)?.is_empty())
}

/// Checks every endpoint and delivery.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<WebhookEndpoint>().rows() {
        let row = row?;
        report.check("notification: a webhook endpoint can sign", !row.secrets.is_empty(), || {
            format!("endpoint {}", row.id)
        });
        let told = (row.status == WebhookStatus::Disabled) == row.disabled_reason.is_some();
        report.check("notification: a disabled endpoint says why", told, || format!("endpoint {}", row.id));
    }
    for row in tx.scan::<WebhookDelivery>().rows() {
        let row = row?;
        let is_open = row.status.is_open();
        let is_queued = row.due_at.is_some() && row.queue.is_some();
        report.check("notification: a webhook has a due time while it is to be sent", is_open == is_queued, || {
            format!("webhook delivery {}", row.id)
        });
    }
    Ok(())
}
