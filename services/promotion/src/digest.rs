//! Converts buyers to the form in which limits count them. It contains digests, so that no counter contains an address.

use promox_contract::buyer::{Buyer, digest_of};
use promox_contract::ids::PromotionId;

use crate::rules::CountedBuyer;

/// The buyer as limits count them.
pub(crate) fn counted_buyer(buyer: &Buyer, address_key: Option<&str>) -> CountedBuyer {
    CountedBuyer { person: buyer.person(), email: buyer.email_digest(), address: address_key.map(digest_of) }
}

/// The lock key of a promotion's counters, for engines with row locks.
pub(crate) fn lock_key(id: PromotionId) -> Vec<u8> {
    format!("promotion:{id}").into_bytes()
}
