//! Changes of webhook endpoints and their deliveries.

use promox_contract::audit::Audited;
use promox_kernel::{Cx, Error, Json, Timestamp};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::kinds::{WebhookEvent, WebhookStatus};
use super::messages::{TestData, TestMessage};
use super::queries;
use super::records::{
    FAILING, HEALTHY, Secret, WebhookAttempt, WebhookDelivery, WebhookDeliveryByCreated, WebhookDeliveryId,
    WebhookEndpoint, WebhookId,
};
use super::rules::{self, MAX_ENDPOINTS, MAX_STORED_ATTEMPTS, ROTATION, TEST};
use crate::commands::{NewDelivery, enqueue};
use crate::kinds::MessageKind;
use crate::records::DeliveryStatus;
use crate::reject;

/// The members of an endpoint that its owner chooses, validated.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointChange {
    pub(crate) url: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) events: Option<Vec<WebhookEvent>>,
    pub(crate) status: Option<WebhookStatus>,
}

/// Adds an endpoint with its first secret.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    actor: &str,
    change: &EndpointChange,
    secret: &str,
) -> Result<WebhookEndpoint, Error> {
    if queries::endpoints(tx)?.len() >= MAX_ENDPOINTS {
        return Err(reject::too_many_webhooks(MAX_ENDPOINTS));
    }
    let now = tx.now();
    let endpoint = WebhookEndpoint {
        id: WebhookId(tx.next_id::<WebhookEndpoint>()?),
        url: change.url.clone().unwrap_or_default(),
        description: change.description.clone().unwrap_or_default(),
        events: Json(change.events.clone().unwrap_or_default()),
        secrets: Json(vec![Secret { text: secret.to_owned(), until: None }]),
        status: WebhookStatus::Enabled,
        disabled_reason: None,
        failing_since: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.insert(&endpoint)?;
    emit_audit(tx, actor, "webhook.create", &endpoint, Value::Null, shown(&endpoint))?;
    Ok(endpoint)
}

/// Changes an endpoint.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: WebhookId,
    change: &EndpointChange,
) -> Result<WebhookEndpoint, Error> {
    let mut endpoint = queries::endpoint(tx, id)?;
    cx.check_version(endpoint.version)?;
    let before = shown(&endpoint);
    if let Some(url) = &change.url {
        endpoint.url.clone_from(url);
    }
    if let Some(description) = &change.description {
        endpoint.description.clone_from(description);
    }
    if let Some(events) = &change.events {
        endpoint.events = Json(events.clone());
    }
    match change.status {
        Some(WebhookStatus::Enabled) if endpoint.status == WebhookStatus::Disabled => {
            (endpoint.status, endpoint.disabled_reason, endpoint.failing_since) = (WebhookStatus::Enabled, None, None);
        }
        Some(WebhookStatus::Disabled) if endpoint.status == WebhookStatus::Enabled => {
            endpoint.status = WebhookStatus::Disabled;
            endpoint.disabled_reason = Some("It was disabled by the shop's staff.".to_owned());
        }
        _ => {}
    }
    let after = shown(&endpoint);
    if before != after {
        touch(tx, &mut endpoint)?;
        emit_audit(tx, &cx.principal.name(), "webhook.update", &endpoint, before, after)?;
    }
    Ok(endpoint)
}

/// Removes an endpoint. Its deliveries are removed with age.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: WebhookId) -> Result<(), Error> {
    let endpoint = queries::endpoint(tx, id)?;
    cx.check_version(endpoint.version)?;
    tx.delete::<WebhookEndpoint>(&id)?;
    let before = shown(&endpoint);
    emit_audit(tx, &cx.principal.name(), "webhook.delete", &endpoint, before, Value::Null)
}

/// Gives an endpoint a new secret; the current one signs beside it for a day.
pub(crate) fn rotate(tx: &mut Tx<'_>, actor: &str, id: WebhookId, secret: &str) -> Result<WebhookEndpoint, Error> {
    let mut endpoint = queries::endpoint(tx, id)?;
    let (now, until) = (tx.now(), tx.now() + ROTATION);
    let old = endpoint.secrets.0.iter().map(|old| Secret { until: Some(old.until.unwrap_or(until)), ..old.clone() });
    let mut secrets = vec![Secret { text: secret.to_owned(), until: None }];
    // At most one earlier secret signs, so that many rotations do not let the header grow.
    secrets.extend(old.filter(|old| old.until.is_some_and(|until| until > now)).take(1));
    endpoint.secrets = Json(secrets);
    touch(tx, &mut endpoint)?;
    let shown = shown(&endpoint);
    emit_audit(tx, actor, "webhook.rotate_secret", &endpoint, shown.clone(), shown)?;
    Ok(endpoint)
}

/// An endpoint in the audit log.
fn shown(endpoint: &WebhookEndpoint) -> Value {
    json!({"url": endpoint.url, "events": endpoint.events.0, "status": endpoint.status})
}

fn emit_audit(
    tx: &mut Tx<'_>,
    actor: &str,
    action: &str,
    endpoint: &WebhookEndpoint,
    before: Value,
    after: Value,
) -> Result<(), Error> {
    let subject = format!("webhook:{}", endpoint.id);
    Ok(tx.emit(endpoint.id, &Audited::new(actor.to_owned(), action, subject, before, after))?)
}

fn touch(tx: &mut Tx<'_>, endpoint: &mut WebhookEndpoint) -> Result<(), StoreError> {
    endpoint.version += 1;
    endpoint.updated_at = tx.now();
    tx.put(endpoint)
}

/// A message for an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) message: String,
    pub(crate) event: String,
    pub(crate) body: String,
    pub(crate) traceparent: Option<String>,
}

/// Adds a delivery that is due now.
pub(crate) fn deliver(
    tx: &mut Tx<'_>,
    endpoint: &WebhookEndpoint,
    message: NewMessage,
) -> Result<WebhookDelivery, StoreError> {
    let now = tx.now();
    let row = WebhookDelivery {
        id: WebhookDeliveryId(tx.next_id::<WebhookDelivery>()?),
        endpoint_id: endpoint.id,
        message: message.message,
        event: message.event,
        body: message.body,
        traceparent: message.traceparent,
        status: DeliveryStatus::Pending,
        queue: Some(queue_of(endpoint)),
        due_at: Some(now),
        failures: 0,
        attempts: Json(Vec::new()),
        created_at: now,
        updated_at: now,
    };
    tx.insert(&row)?;
    Ok(row)
}

/// The queue of deliveries to an endpoint.
fn queue_of(endpoint: &WebhookEndpoint) -> u32 {
    if endpoint.failing_since.is_some() { FAILING } else { HEALTHY }
}

/// Adds the delivery of a test event.
pub(crate) fn test(tx: &mut Tx<'_>, id: WebhookId) -> Result<WebhookDelivery, Error> {
    let endpoint = queries::endpoint(tx, id)?;
    check_enabled(&endpoint)?;
    let number = tx.next_id::<WebhookDelivery>()?;
    let body = TestMessage { kind: TEST.to_owned(), timestamp: tx.now(), data: TestData { webhook_id: id } };
    let body = serde_json::to_string(&body).map_err(Error::internal)?;
    let message = NewMessage { message: format!("msg_test_{number}"), event: TEST.to_owned(), body, traceparent: None };
    Ok(deliver(tx, &endpoint, message)?)
}

/// Makes a delivery due again, whatever became of it.
pub(crate) fn redeliver(tx: &mut Tx<'_>, id: WebhookId, delivery: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
    let endpoint = queries::endpoint(tx, id)?;
    check_enabled(&endpoint)?;
    let row = tx.get::<WebhookDelivery>(&delivery)?.filter(|row| row.endpoint_id == id);
    let mut row = row.ok_or_else(|| Error::not_found("delivery"))?;
    (row.status, row.queue, row.due_at) = (DeliveryStatus::Pending, Some(queue_of(&endpoint)), Some(tx.now()));
    (row.failures, row.updated_at) = (0, tx.now());
    tx.put(&row)?;
    Ok(row)
}

fn check_enabled(endpoint: &WebhookEndpoint) -> Result<(), Error> {
    if endpoint.status == WebhookStatus::Enabled { Ok(()) } else { Err(reject::webhook_disabled()) }
}

/// The result of one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Posted {
    /// The endpoint accepted the message.
    Accepted(WebhookAttempt),
    /// It did not.
    Failed(WebhookAttempt),
    /// It wants no more messages (410).
    Gone(WebhookAttempt),
    /// There is no such endpoint any more, or it is disabled.
    Dropped,
}

/// The outcome of a delivery in one run of the sender.
#[derive(Clone, Debug)]
pub(crate) struct WebhookOutcome {
    pub(crate) id: WebhookDeliveryId,
    /// The number of attempts before this run. If it has changed, another run has recorded a result, which is kept.
    pub(crate) attempts: usize,
    pub(crate) posted: Posted,
}

/// Records the outcomes of deliveries.
pub(crate) fn record(tx: &mut Tx<'_>, outcomes: &[WebhookOutcome]) -> Result<(), Error> {
    for outcome in outcomes {
        let Some(mut row) = tx.get::<WebhookDelivery>(&outcome.id)? else { continue };
        if row.due_at.is_none() || row.attempts.len() != outcome.attempts {
            continue;
        }
        row.updated_at = tx.now();
        let endpoint = tx.get::<WebhookEndpoint>(&row.endpoint_id)?;
        match &outcome.posted {
            Posted::Accepted(attempt) => {
                push(&mut row, attempt);
                end(&mut row, DeliveryStatus::Sent);
                note_success(tx, endpoint)?;
            }
            Posted::Failed(attempt) => {
                push(&mut row, attempt);
                fail(&mut row, tx.now());
                note_failure(tx, endpoint, row.status == DeliveryStatus::Dead, attempt)?;
            }
            Posted::Gone(attempt) => {
                push(&mut row, attempt);
                end(&mut row, DeliveryStatus::Dead);
                if let Some(endpoint) = endpoint {
                    disable(tx, endpoint, None)?;
                }
            }
            Posted::Dropped => end(&mut row, DeliveryStatus::Dead),
        }
        tx.put(&row)?;
    }
    Ok(())
}

/// Adds an attempt, and drops the oldest beyond the maximum.
fn push(row: &mut WebhookDelivery, attempt: &WebhookAttempt) {
    row.attempts.push(attempt.clone());
    let surplus = row.attempts.len().saturating_sub(MAX_STORED_ATTEMPTS);
    row.attempts.drain(..surplus);
}

fn end(row: &mut WebhookDelivery, status: DeliveryStatus) {
    (row.status, row.queue, row.due_at) = (status, None, None);
}

fn fail(row: &mut WebhookDelivery, now: Timestamp) {
    row.failures = row.failures.saturating_add(1);
    match rules::next_attempt_at(now, row.failures) {
        Some(due) => (row.status, row.queue, row.due_at) = (DeliveryStatus::Failed, Some(FAILING), Some(due)),
        None => end(row, DeliveryStatus::Dead),
    }
}

fn note_success(tx: &mut Tx<'_>, endpoint: Option<WebhookEndpoint>) -> Result<(), StoreError> {
    match endpoint.filter(|endpoint| endpoint.failing_since.is_some()) {
        Some(endpoint) => tx.put(&WebhookEndpoint { failing_since: None, ..endpoint }),
        None => Ok(()),
    }
}

/// Notes that an endpoint fails. One that has given up a delivery after days without any success is disabled.
fn note_failure(
    tx: &mut Tx<'_>,
    endpoint: Option<WebhookEndpoint>,
    is_dead: bool,
    attempt: &WebhookAttempt,
) -> Result<(), Error> {
    let Some(mut endpoint) = endpoint else { return Ok(()) };
    if is_dead && rules::is_out_of_patience(endpoint.failing_since, tx.now()) {
        let why = attempt.detail.clone().unwrap_or_else(|| "It accepts no messages.".to_owned());
        return disable(tx, endpoint, Some(&why));
    }
    if endpoint.failing_since.is_none() {
        endpoint.failing_since = Some(tx.now());
        tx.put(&endpoint)?;
    }
    Ok(())
}

/// Disables an endpoint and tells the merchant: after days of failures, of which `error` is the last, or because the
/// endpoint is gone.
fn disable(tx: &mut Tx<'_>, mut endpoint: WebhookEndpoint, error: Option<&str>) -> Result<(), Error> {
    if endpoint.status == WebhookStatus::Disabled {
        return Ok(());
    }
    endpoint.status = WebhookStatus::Disabled;
    let reason = error.map_or_else(
        || "It answered 410 Gone.".to_owned(),
        |error| format!("It has accepted nothing for three days. {error}"),
    );
    endpoint.disabled_reason = Some(reason.clone());
    touch(tx, &mut endpoint)?;
    let facts = json!({
        "webhook": {"url": endpoint.url, "reason": reason, "gone": error.is_none(), "error": error},
    });
    let facts = if let Value::Object(members) = facts { members } else { serde_json::Map::new() };
    let message = NewDelivery { kind: MessageKind::WebhookDisabled, order_id: None, user_id: None, facts };
    enqueue(tx, message, None)?;
    Ok(())
}

/// Deletes finished deliveries that are older than `oldest`, at most `limit`. Returns whether there may be more.
pub(crate) fn prune(tx: &mut Tx<'_>, oldest: Timestamp, limit: usize) -> Result<bool, StoreError> {
    let old: Vec<WebhookDelivery> = tx.scan_by::<WebhookDeliveryByCreated>().before(oldest).collect(limit)?;
    for row in old.iter().filter(|row| row.due_at.is_none()) {
        tx.delete::<WebhookDelivery>(&row.id)?;
    }
    Ok(old.len() == limit && old.iter().any(|row| row.due_at.is_none()))
}
