//! What a variant costs on the shelf.

use promox_kernel::Amount;

use crate::records::Variant;

/// What one costs. This is the one place where the price that is paid comes from: a price rule of the catalogue lowers
/// `price` here and nowhere else, and pages, search, carts and checkout all follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShelfPrice {
    /// What is paid now.
    pub(crate) price: Amount,
    /// What it is without price rules.
    pub(crate) list_price: Amount,
}

impl ShelfPrice {
    /// The price of a variant.
    pub(crate) fn of(variant: &Variant) -> Self {
        Self { price: variant.price, list_price: variant.price }
    }
}

/// The variant whose price stands for the product: the cheapest, the earlier one of equals.
pub(crate) fn cheapest(variants: &[Variant]) -> Option<&Variant> {
    variants.iter().min_by_key(|variant| ShelfPrice::of(variant).price)
}
