//! A guest's secret for an order: returned once, stored as a digest.

use aws_lc_rs::digest::{SHA256, digest};

/// The stored digest.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

/// A digest as 32 hexadecimal digits: identifies something without revealing it.
pub(crate) fn digest_hex(text: &str) -> String {
    hash(text).iter().take(16).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
