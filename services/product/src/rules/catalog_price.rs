//! The catalog price of a variant.

use promox_kernel::Amount;

use crate::records::Variant;

/// A unit price. This is the only source of the price that is paid: a price rule lowers `price` here and nowhere else,
/// and pages, search, carts and checkout all follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogPrice {
    /// The current price.
    pub(crate) price: Amount,
    /// The price before price rules.
    pub(crate) list_price: Amount,
}

/// The prices of a product's variants after price rules, in their order; empty when all are list prices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ruled<'p>(pub(crate) &'p [Amount]);

impl Ruled<'_> {
    /// The price of a product's variant by position.
    pub(crate) fn price(&self, place: usize, variant: &Variant) -> CatalogPrice {
        let price = self.0.get(place).copied().unwrap_or(variant.price);
        CatalogPrice { price, list_price: variant.price }
    }

    /// The variant whose price represents the product: the cheapest, the earlier one among equals.
    pub(crate) fn cheapest<'v>(&self, variants: &'v [Variant]) -> Option<(&'v Variant, CatalogPrice)> {
        let priced = variants.iter().enumerate().map(|(place, variant)| (variant, self.price(place, variant)));
        priced.min_by_key(|(_, catalog)| catalog.price)
    }

    /// The price that represents the product.
    pub(crate) fn front_price(&self, variants: &[Variant]) -> Amount {
        self.cheapest(variants).map_or(Amount::ZERO, |(_, catalog)| catalog.price)
    }
}
