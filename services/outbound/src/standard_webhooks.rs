//! The Standard Webhooks scheme: how messages to a merchant's systems are signed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promox_kernel::Timestamp;

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
