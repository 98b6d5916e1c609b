//! The sandbox's webhooks: verified by the Standard Webhooks scheme, then parsed.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promox_contract::codes;
use promox_contract::payment::PaymentAction;
use promox_kernel::{Amount, Currency, Error, Kind, Timestamp};
use serde::Deserialize;

use super::SignedRequest;
use crate::commands::webhook::{Subject, Webhook};
use crate::records::Provider;
use crate::reject::untrusted;
use crate::rules::{self, ProviderUpdate};

/// Maximum difference between a webhook's time and the server's, in either direction.
const TOLERANCE: Duration = Duration::from_mins(5);
/// Maximum length of an event's id in bytes.
const MAX_ID_LEN: usize = 255;

/// A webhook's body; unknown members are ignored.
#[derive(Debug, Deserialize)]
struct WebhookBody {
    #[serde(rename = "type")]
    kind: String,
    data: WebhookData,
}

#[derive(Debug, Deserialize)]
struct WebhookData {
    key: Option<String>,
    reference: Option<String>,
    amount: Option<Amount>,
    currency: Option<Currency>,
    code: Option<String>,
    url: Option<String>,
}

/// Verifies and parses a webhook that is signed with `secret`.
pub(super) fn read(secret: &str, request: &SignedRequest, now: Timestamp) -> Result<Webhook, Error> {
    let event_id = verify(secret, request, now)?;
    let sent: WebhookBody = serde_json::from_slice(&request.body).map_err(|fault| {
        Error::new(Kind::Malformed, codes::MALFORMED_JSON, format!("The webhook cannot be read: {fault}"))
    })?;
    Ok(Webhook { provider: Provider::Sandbox, event_id, subject: subject(&sent)?, kind: sent.kind })
}

/// Verifies a webhook's signature and time. Returns the event's id.
fn verify(secret: &str, request: &SignedRequest, now: Timestamp) -> Result<String, Error> {
    let header = |name: &str| request.header(name).ok_or_else(|| untrusted(format!("the header {name} is missing")));
    let (id, at, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    if id.is_empty() || id.len() > MAX_ID_LEN {
        return Err(untrusted(format!("webhook-id must have 1 to {MAX_ID_LEN} characters")));
    }
    let sent: i64 = at.parse().map_err(|_| untrusted("webhook-timestamp must be in seconds since 1970"))?;
    let sent = Timestamp::from_seconds(sent);
    if now.since(sent).max(sent.since(now)) > TOLERANCE {
        return Err(untrusted("webhook-timestamp is too far from the current time"));
    }
    let message = [id.as_bytes(), b".", at.as_bytes(), b".", &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key_bytes(secret)?);
    let is_valid = |signature: &str| {
        let tag = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        tag.is_some_and(|tag| hmac::verify(&key, &message, &tag).is_ok())
    };
    if signatures.split(' ').any(is_valid) { Ok(id.to_owned()) } else { Err(untrusted("no signature matches")) }
}

/// The bytes of a secret: decoded from base64 after `whsec_`, otherwise the text itself.
fn key_bytes(secret: &str) -> Result<Vec<u8>, Error> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| Error::internal("the webhook secret is not base64")),
        None => Ok(secret.as_bytes().to_vec()),
    }
}

/// The change that a webhook reports.
fn subject(sent: &WebhookBody) -> Result<Subject, Error> {
    let Some(key) = &sent.data.key else { return Ok(Subject::Other) };
    let reference = sent.data.reference.clone().unwrap_or_else(|| key.clone());
    if sent.kind == "payment.refunded" {
        return Ok(rules::refund_of(key).map_or(Subject::Other, |id| Subject::Refund { id, reference }));
    }
    let update = match sent.kind.as_str() {
        "payment.authorized" => ProviderUpdate::Authorized { reference },
        "payment.captured" => ProviderUpdate::Captured { reference },
        "payment.declined" => ProviderUpdate::Declined { code: decline_code(sent)? },
        "payment.voided" => ProviderUpdate::Voided,
        "payment.requires_action" => {
            let url = sent.data.url.clone().unwrap_or_default();
            ProviderUpdate::NeedsAction { reference, action: PaymentAction::redirect(url) }
        }
        _ => return Ok(Subject::Other),
    };
    let order_id = rules::order_of(key).ok_or_else(|| Error::not_found("payment"))?;
    let amount = sent.data.amount.zip(sent.data.currency);
    Ok(Subject::Charge { order_id, reference: None, update, amount })
}

fn decline_code(sent: &WebhookBody) -> Result<String, Error> {
    let code = sent.data.code.as_deref().unwrap_or(codes::DECLINED);
    promox_kernel::bounded(code, 1, 64).map_err(|fault| Error::field("/data/code", fault))
}
