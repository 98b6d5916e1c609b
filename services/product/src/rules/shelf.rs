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

/// What a product's variants cost by the catalogue's price rules, in their order; empty where all are at list price.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ruled<'p>(pub(crate) &'p [Amount]);

impl Ruled<'_> {
    /// The price of a product's variant at a place.
    pub(crate) fn price(&self, place: usize, variant: &Variant) -> ShelfPrice {
        let price = self.0.get(place).copied().unwrap_or(variant.price);
        ShelfPrice { price, list_price: variant.price }
    }

    /// The variant whose price stands for the product: the cheapest, the earlier one of equals.
    pub(crate) fn cheapest<'v>(&self, variants: &'v [Variant]) -> Option<(&'v Variant, ShelfPrice)> {
        let priced = variants.iter().enumerate().map(|(place, variant)| (variant, self.price(place, variant)));
        priced.min_by_key(|(_, shelf)| shelf.price)
    }

    /// The price that stands for the product.
    pub(crate) fn front_price(&self, variants: &[Variant]) -> Amount {
        self.cheapest(variants).map_or(Amount::ZERO, |(_, shelf)| shelf.price)
    }
}
