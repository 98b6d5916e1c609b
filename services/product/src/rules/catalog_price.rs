//! The catalog price of a variant.

use promox_kernel::Amount;

use crate::records::Variant;

/// The unit price of a variant. It is the only source of the price that a customer pays: price rules lower `price` here
/// and nowhere else, and pages, search, carts and checkout use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogPrice {
    /// The current price.
    pub(crate) price: Amount,
    /// The price before price rules.
    pub(crate) list_price: Amount,
}

/// The prices of a product's variants after price rules, in the order of the variants. Empty if all are list prices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VariantPrices<'p>(pub(crate) &'p [Amount]);

impl VariantPrices<'_> {
    /// The price of the variant at a position in the product's list.
    pub(crate) fn price(&self, position: usize, variant: &Variant) -> CatalogPrice {
        let price = self.0.get(position).copied().unwrap_or(variant.price);
        CatalogPrice { price, list_price: variant.price }
    }

    /// The cheapest variant, whose price represents the product. Among equals it is the first one.
    pub(crate) fn cheapest<'v>(&self, variants: &'v [Variant]) -> Option<(&'v Variant, CatalogPrice)> {
        let priced = variants.iter().enumerate().map(|(position, variant)| (variant, self.price(position, variant)));
        priced.min_by_key(|(_, catalog)| catalog.price)
    }

    /// The price of the cheapest variant, which represents the product.
    pub(crate) fn lowest_price(&self, variants: &[Variant]) -> Amount {
        self.cheapest(variants).map_or(Amount::ZERO, |(_, catalog)| catalog.price)
    }
}
