//! The buyer in the form that limits count, with digests, so that no table of counters contains an address.

use promox_contract::buyer::{Buyer, digest_of};
use promox_contract::ids::PromotionId;

use crate::rules::Counted;

/// The buyer in the form that limits count.
pub(crate) fn counted(buyer: &Buyer, address_key: Option<&str>) -> Counted {
    Counted { person: buyer.person(), email: buyer.email_digest(), address: address_key.map(digest_of) }
}

/// Lock key of a promotion's counters, for engines with row locks.
pub(crate) fn lock(id: PromotionId) -> Vec<u8> {
    format!("promotion:{id}").into_bytes()
}
