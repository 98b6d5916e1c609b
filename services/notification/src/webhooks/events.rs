//! The consumers that turn events into deliveries, one for each database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use super::commands::{self, NewMessage};
use super::kinds::{WebhookEvent, WebhookStatus};
use super::messages::WebhookMessage;
use super::queries;

/// Adds a delivery of each event to each endpoint that receives it.
#[derive(Debug)]
pub(crate) struct WriteWebhooks {
    source: Database,
    wanted: Arc<AtomicBool>,
}

impl WriteWebhooks {
    /// The consumer of a database's events. It skips them while `wanted` is false.
    pub(crate) fn of(source: Database, wanted: Arc<AtomicBool>) -> Self {
        Self { source, wanted }
    }
}

impl Consumer for WriteWebhooks {
    fn name(&self) -> &'static str {
        match self.source {
            Database::Ecommerce => "notification.write_webhooks",
            Database::Promox => "notification.write_promox_webhooks",
        }
    }

    fn source(&self) -> Database {
        self.source
    }

    fn wants(&self, event: &Event) -> bool {
        self.wanted.load(Ordering::Acquire) && event.kind.parse::<WebhookEvent>().is_ok()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        let endpoints = queries::endpoints(tx)?;
        for event in events {
            let Ok(kind) = event.kind.parse::<WebhookEvent>() else { continue };
            let receives = |events: &[WebhookEvent]| events.is_empty() || events.contains(&kind);
            // What happened before the endpoint was added is not for it.
            let wanting = endpoints.iter().filter(|endpoint| {
                endpoint.status == WebhookStatus::Enabled
                    && endpoint.created_at <= event.occurred_at
                    && receives(&endpoint.events)
            });
            for endpoint in wanting {
                commands::deliver(tx, endpoint, message(self.source, event)?)?;
            }
        }
        Ok(())
    }
}

/// The message of an event.
fn message(source: Database, event: &Event) -> Result<NewMessage, Error> {
    let id = format!("msg_{}_{}", source.number(), event.position);
    let body = WebhookMessage {
        kind: event.kind.clone(),
        timestamp: event.occurred_at,
        id: id.clone(),
        version: event.version,
        aggregate_id: event.aggregate_id,
        data: event.fact_value()?,
    };
    let body = serde_json::to_string(&body).map_err(Error::internal)?;
    let Event { kind, traceparent, .. } = event.clone();
    Ok(NewMessage { message: id, event: kind, body, traceparent })
}
