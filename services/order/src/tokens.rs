//! Digests of order tokens, which are returned to a guest once, and of texts that must not be stored.

use promox_kernel::{hex, sha256};

/// The SHA-256 of an order token, which is stored instead of the token.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    sha256([token.as_bytes()]).to_vec()
}

/// A digest of a text as 32 hexadecimal digits, which identifies the text without revealing it.
pub(crate) fn digest_hex(text: &str) -> String {
    sha256([text.as_bytes()]).first_chunk::<16>().map_or_else(String::new, |half| hex(half))
}
