//! Webhooks of providers: verified by the Standard Webhooks scheme, then parsed.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promox_contract::codes;
use promox_contract::payment::PaymentAction;
use promox_kernel::{Amount, Body, Currency, Error, Kind, Timestamp};
use serde::Deserialize;

use crate::commands::charge::{Subject, Webhook};
use crate::records::Provider;
use crate::rules::{self, ProviderUpdate};

/// Maximum size of a body in bytes.
const MAX_BYTES: usize = 64 * 1024;
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

/// Verifies and parses a webhook of a provider whose secret is `secret`.
pub(crate) async fn read(provider: Provider, secret: &str, body: Body, now: Timestamp) -> Result<Webhook, Error> {
    let bytes = match body.reader {
        Some(reader) => reader.collect(MAX_BYTES).await?,
        None => Vec::new(),
    };
    let event_id = verify(secret, &body.headers, &bytes, now)?;
    let sent: WebhookBody = serde_json::from_slice(&bytes).map_err(|fault| {
        Error::new(Kind::Malformed, codes::MALFORMED_JSON, format!("The webhook cannot be read: {fault}"))
    })?;
    Ok(Webhook { provider, event_id, subject: subject(&sent)?, kind: sent.kind })
}

/// Verifies a webhook's signature and time. Returns the event's id.
fn verify(secret: &str, headers: &[(String, String)], body: &[u8], now: Timestamp) -> Result<String, Error> {
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
        found.ok_or_else(|| rejected(format!("the header {wanted} is missing")))
    };
    let (id, at, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    if id.is_empty() || id.len() > MAX_ID_LEN {
        return Err(rejected(format!("webhook-id must have 1 to {MAX_ID_LEN} characters")));
    }
    let sent: i64 = at.parse().map_err(|_| rejected("webhook-timestamp must be in seconds since 1970"))?;
    let sent = Timestamp::from_seconds(sent);
    if now.since(sent).max(sent.since(now)) > TOLERANCE {
        return Err(rejected("webhook-timestamp is too far from the current time"));
    }
    let message = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key_bytes(secret)?);
    let is_valid = |signature: &str| {
        let tag = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        tag.is_some_and(|tag| hmac::verify(&key, &message, &tag).is_ok())
    };
    if signatures.split(' ').any(is_valid) { Ok(id.to_owned()) } else { Err(rejected("no signature matches")) }
}

/// The bytes of a secret: decoded from base64 after `whsec_`, otherwise the text itself.
fn key_bytes(secret: &str) -> Result<Vec<u8>, Error> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| Error::internal("the webhook secret is not base64")),
        None => Ok(secret.as_bytes().to_vec()),
    }
}

/// 401: the webhook cannot be trusted. `why` completes the message.
fn rejected(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unauthenticated, codes::BAD_SIGNATURE, format!("The webhook was rejected: {why}."))
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
            ProviderUpdate::NeedsAction { reference, action: PaymentAction { kind: "REDIRECT".to_owned(), url } }
        }
        _ => return Ok(Subject::Other),
    };
    let order_id = rules::order_of(key).ok_or_else(|| Error::not_found("payment"))?;
    let amount = sent.data.amount.zip(sent.data.currency);
    Ok(Subject::Charge { order_id, update, amount })
}

fn decline_code(sent: &WebhookBody) -> Result<String, Error> {
    let code = sent.data.code.as_deref().unwrap_or(codes::DECLINED);
    promox_kernel::bounded(code, 1, 64).map_err(|fault| Error::field("/data/code", fault))
}
