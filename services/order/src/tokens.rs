//! A guest's secret for an order: returned once, stored as a digest.

use promox_kernel::{hex, sha256};

/// The stored digest.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    sha256([token.as_bytes()]).to_vec()
}

/// A digest as 32 hexadecimal digits: identifies something without revealing it.
pub(crate) fn digest_hex(text: &str) -> String {
    sha256([text.as_bytes()]).first_chunk::<16>().map_or_else(String::new, |half| hex(half))
}
