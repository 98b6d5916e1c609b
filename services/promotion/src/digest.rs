//! The buyer as limits count, in digests, so that no table of counters holds an address.

use promox_contract::buyer::{Buyer, digest_of};
use promox_contract::ids::PromotionId;

use crate::rules::Counted;

/// The buyer as limits count.
pub(crate) fn counted(buyer: &Buyer, address_key: Option<&str>) -> Counted {
    Counted { person: buyer.person(), email: buyer.email_digest(), address: address_key.map(digest_of) }
}

/// What an engine that locks takes one after the other: the counters of a promotion.
pub(crate) fn lock(id: PromotionId) -> Vec<u8> {
    format!("promotion:{id}").into_bytes()
}
