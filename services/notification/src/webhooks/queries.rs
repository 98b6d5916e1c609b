//! Reads: endpoints, deliveries and what is due.

use promox_kernel::{Cursor, Error, Limit, Page, Timestamp};
use promox_storage::{StoreError, Tx};

use super::api::{WebhookDeliveryView, WebhookView};
use super::records::{WebhookDelivery, WebhookDeliveryByDue, WebhookDeliveryByEndpoint, WebhookEndpoint, WebhookId};
use super::rules::MAX_ENDPOINTS;

/// All endpoints, oldest first.
pub(crate) fn endpoints(tx: &Tx<'_>) -> Result<Vec<WebhookEndpoint>, StoreError> {
    let mut endpoints: Vec<WebhookEndpoint> = tx.scan::<WebhookEndpoint>().collect(MAX_ENDPOINTS)?;
    endpoints.sort_by_key(|endpoint| (endpoint.created_at, endpoint.id));
    Ok(endpoints)
}

/// The endpoint with an id, or 404.
pub(crate) fn endpoint(tx: &Tx<'_>, id: WebhookId) -> Result<WebhookEndpoint, Error> {
    tx.get::<WebhookEndpoint>(&id)?.ok_or_else(|| Error::not_found("webhook"))
}

/// An endpoint as clients see it.
pub(crate) fn view(endpoint: WebhookEndpoint) -> WebhookView {
    WebhookView {
        id: endpoint.id,
        url: endpoint.url,
        description: endpoint.description,
        events: endpoint.events.0,
        status: endpoint.status,
        disabled_reason: endpoint.disabled_reason,
        failing_since: endpoint.failing_since,
        version: endpoint.version,
        created_at: endpoint.created_at,
        updated_at: endpoint.updated_at,
    }
}

/// A delivery as clients see it.
pub(crate) fn delivery_view(row: WebhookDelivery) -> WebhookDeliveryView {
    WebhookDeliveryView {
        id: row.id,
        message: row.message,
        event: row.event,
        status: row.status,
        due_at: row.due_at,
        attempts: row.attempts.0,
        body: row.body,
        created_at: row.created_at,
    }
}

/// A page of the deliveries to an endpoint, newest first.
pub(crate) fn deliveries(
    tx: &Tx<'_>,
    id: WebhookId,
    limit: Limit,
    cursor: Option<Cursor>,
) -> Result<Page<WebhookDeliveryView>, Error> {
    endpoint(tx, id)?;
    let page = tx.scan_by::<WebhookDeliveryByEndpoint>().prefix(id).backward().page(limit, cursor)?;
    Ok(page.map(delivery_view))
}

/// The deliveries of a queue that are due, at most `max`.
pub(crate) fn due(tx: &Tx<'_>, queue: u32, now: Timestamp, max: usize) -> Result<Vec<WebhookDelivery>, StoreError> {
    tx.scan_by::<WebhookDeliveryByDue>().prefix(Some(queue)).before(Some(now)).collect(max)
}
