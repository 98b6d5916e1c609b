//! The sender of webhooks: posts due deliveries and records every attempt.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderValue, Request, StatusCode};
use promox_kernel::{Cx, Error, trace};
use promox_outbound::{check_url, standard_webhooks};
use promox_storage::Lane;

use super::commands::{self, Posted, WebhookOutcome};
use super::kinds::WebhookStatus;
use super::messages::TRACEPARENT;
use super::queries;
use super::records::{WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookId};
use super::rules;
use crate::Notifications;
use crate::rules::attempt_detail;

/// Maximum deliveries per run.
const BATCH: usize = 128;
/// Maximum posts in progress at the same time.
const MAX_CONCURRENT: usize = 32;
/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

impl Notifications {
    /// One run: posts due deliveries of a queue, at most a batch. Returns whether there may be more.
    pub(crate) async fn post_due(&self, cx: &Cx, queue: u32) -> Result<bool, Error> {
        let due = self.db.read(|tx| queries::due(tx, queue, cx.now, BATCH)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() == BATCH;
        let endpoints = self.db.read(queries::endpoints).await?;
        let endpoints: BTreeMap<WebhookId, WebhookEndpoint> =
            endpoints.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect();
        let posts: Vec<_> = due.iter().map(|row| self.post(cx, endpoints.get(&row.endpoint_id), row)).collect();
        let outcomes: Vec<WebhookOutcome> = stream::iter(posts).buffered(MAX_CONCURRENT).collect().await;
        let after = Cx { now: cx.node.clock.now(), ..cx.clone() };
        self.db.write_in(&after, Lane::Bulk, move |tx| commands::record(tx, &outcomes)).await?;
        Ok(more)
    }

    async fn post(&self, cx: &Cx, endpoint: Option<&WebhookEndpoint>, row: &WebhookDelivery) -> WebhookOutcome {
        let (id, attempts) = (row.id, row.attempts.len());
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.status == WebhookStatus::Enabled) else {
            return WebhookOutcome { id, attempts, posted: Posted::Dropped };
        };
        let clock = &cx.node.clock;
        let began = clock.now();
        // The post is part of the trace in which the event was made.
        let traceparent = row.traceparent.as_deref().map(Into::into);
        let (_, span) = Cx { traceparent, ..cx.clone() }.traced("notification.post_webhook");
        let sent = trace::within(span.as_ref(), async {
            check_url(&endpoint.url, false)?;
            let request = request(endpoint, row, began).map_err(|error| error.to_string())?;
            self.webhooks.client().status_of(request).await.map_err(|error| error.to_string())
        });
        let result = tokio::select! {
            biased;
            result = sent => result,
            () = clock.sleep(TIMEOUT) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
        };
        let millis = u64::try_from(clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
        let attempt = |status, detail: Option<&str>| WebhookAttempt {
            at: clock.now(),
            status,
            detail: detail.map(attempt_detail),
            millis,
        };
        let posted = match result {
            Ok(status) if status.is_success() => Posted::Accepted(attempt(Some(status.as_u16()), None)),
            Ok(StatusCode::GONE) => Posted::Gone(attempt(Some(410), Some("The endpoint wants no more messages."))),
            Ok(status) if status.is_redirection() => {
                Posted::Failed(attempt(Some(status.as_u16()), Some("Redirects are not followed.")))
            }
            Ok(status) => Posted::Failed(attempt(Some(status.as_u16()), None)),
            Err(why) => Posted::Failed(attempt(None, Some(&why))),
        };
        WebhookOutcome { id, attempts, posted }
    }
}

/// The request that posts a message, signed for the time `at`.
fn request(
    endpoint: &WebhookEndpoint,
    row: &WebhookDelivery,
    at: promox_kernel::Timestamp,
) -> http::Result<Request<Bytes>> {
    let signatures = rules::signatures(&endpoint.secrets, &row.message, at, &row.body);
    let mut request = standard_webhooks::request(&endpoint.url, &row.message, at, &signatures, row.body.clone())?;
    if let Some(traceparent) = &row.traceparent {
        request.headers_mut().insert(TRACEPARENT, HeaderValue::from_str(traceparent)?);
    }
    Ok(request)
}
