//! Commands. Each loads rows, decides by the rules, and writes through the [`Book`], which keeps the ledger and emits
//! events.

use promox_contract::ids::VariantId;
use promox_contract::inventory::VariantQuantity;

pub(crate) mod allocations;

pub(crate) mod book;

pub(crate) mod holds;

pub(crate) mod stock;

pub(crate) use book::Book;

/// Returns the lock keys of stock rows, for engines with row locks.
pub(crate) fn locks(variants: impl Iterator<Item = VariantId>) -> Vec<Vec<u8>> {
    variants.map(|id| format!("stock:{id}").into_bytes()).collect()
}

pub(crate) fn item_locks(items: &[VariantQuantity]) -> Vec<Vec<u8>> {
    locks(items.iter().map(|item| item.variant_id))
}
