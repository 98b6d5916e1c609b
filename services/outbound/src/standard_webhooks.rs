//! The Standard Webhooks scheme: how messages to a merchant's systems are signed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use promox_kernel::Timestamp;

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// The headers of the scheme, each with its description.
pub const HEADERS: [(&str, &str); 3] = [
    (ID, "The id of the message, which is the same in every attempt."),
    (
        TIMESTAMP,
        "When the message was sent, in seconds since 1970. Refuse messages that are more than five minutes old.",
    ),
    (
        SIGNATURE,
        "One or more signatures, separated by spaces: `v1,` and the base64 of the HMAC-SHA256, by the endpoint's secret, of \
         `webhook-id`, `webhook-timestamp` and the body, joined by full stops. Accept the message if one of them is right.",
    ),
];

/// The request that posts a signed message: JSON, sent at the time `at`, which the signatures contain.
pub fn request(
    url: &str,
    message: &str,
    at: Timestamp,
    signatures: &str,
    body: String,
) -> http::Result<Request<Bytes>> {
    Request::post(url)
        .header("content-type", "application/json")
        .header("user-agent", "promox")
        .header(ID, message)
        .header(TIMESTAMP, at.seconds())
        .header(SIGNATURE, signatures)
        .body(Bytes::from(body))
}

/// A new secret of these random bytes: `whsec_` and base64.
pub fn secret(random: [u8; 32]) -> String {
    format!("whsec_{}", STANDARD.encode(random))
}

/// The header `webhook-signature`: a signature of the message by each secret.
pub fn signatures<'a>(secrets: impl Iterator<Item = &'a str>, message: &str, at: Timestamp, body: &str) -> String {
    let signed = format!("{message}.{}.{body}", at.seconds());
    let sign = |secret: &str| {
        let bytes = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    };
    secrets.map(sign).collect::<Vec<_>>().join(" ")
}
