//! Digests that limits count by, so that no table of counters holds an address.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use promox_contract::ids::PromotionId;
use promox_kernel::{Email, UserId};

use crate::rules::Buyer;

/// Bytes of a digest that are kept.
const KEPT: usize = 16;

fn short(text: &str) -> String {
    let whole = digest(&SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(whole.as_ref().get(..KEPT).unwrap_or_default())
}

/// The buyer as limits count.
pub(crate) fn buyer(user: Option<UserId>, email: Option<&Email>, address_key: Option<&str>) -> Buyer {
    Buyer {
        user: user.map(|id| id.0),
        email: email.map(|email| short(&email.normal())),
        address: address_key.map(short),
    }
}

/// What an engine that locks takes one after the other: the counters of a promotion.
pub(crate) fn lock(id: PromotionId) -> Vec<u8> {
    format!("promotion:{id}").into_bytes()
}
