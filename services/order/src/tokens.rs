//! A guest's secret for an order: shown once, kept as a digest.

use aws_lc_rs::digest::{SHA256, digest};

/// The digest that is kept.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}
