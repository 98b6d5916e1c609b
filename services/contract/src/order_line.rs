//! A line of an order, and the arithmetic of lines: tax and revenue.
//!
//! Quotes, orders, carts, messages, figures and backtests all use this one type of line.

use promox_kernel::{Amount, Currency, Sku};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{FlashSaleId, ProductId, VariantId};
use crate::promotion::LineDiscount;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    /// The SKU when the line was sold. Later requests about the order also accept the variant's current and former
    /// SKUs.
    pub sku: Sku,
    /// The variant, whose id does not change with its SKU; null for imported lines.
    pub variant_id: Option<VariantId>,
    /// The product; null for imported lines.
    pub product_id: Option<ProductId>,
    /// The product's name when the line was sold.
    pub name: String,
    /// The quantity.
    pub quantity: u32,
    /// The unit price.
    pub unit_price: Amount,
    /// The unit price before price rules and flash sales.
    pub list_price: Amount,
    /// The flash sale in which the line was reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_sale_id: Option<FlashSaleId>,
    /// Quantity × unit price.
    pub subtotal: Amount,
    /// The discount of all promotions.
    pub discount: Amount,
    /// The discount by promotion.
    pub discounts: Vec<LineDiscount>,
    /// The tax, included in the total or added to it as the store's settings require.
    pub tax: Amount,
    /// Subtotal − discount, plus tax if prices exclude it.
    pub total: Amount,
}

impl OrderLine {
    /// The line's share of the goods' revenue; see [`net`].
    pub fn net(&self, tax_inside: bool) -> Amount {
        net(self.subtotal - self.discount, self.tax, tax_inside)
    }

    /// Whether the line is a gift; see [`is_gift`].
    pub fn is_gift(&self) -> bool {
        is_gift(self.unit_price, self.list_price)
    }
}

/// Whether a line is a gift: it costs nothing, although its catalog price is not zero.
pub fn is_gift(unit_price: Amount, list_price: Amount) -> bool {
    unit_price.is_zero() && !list_price.is_zero()
}

/// The revenue of an amount paid after discounts, which is the amount without tax. `tax_inside` says whether prices
/// include tax.
pub fn net(paid: Amount, tax: Amount, tax_inside: bool) -> Amount {
    if tax_inside { paid - tax } else { paid }
}

/// The tax of an amount paid, rounded half-up to the currency's minor unit. It is part of the amount if `tax_inside`,
/// that is, if prices include tax; otherwise it is added to the amount. `percent` is the rate, such as 20.
pub fn tax_of(paid: Amount, percent: Amount, tax_inside: bool, currency: Currency) -> Amount {
    let base = if tax_inside { Decimal::ONE_HUNDRED + percent.0 } else { Decimal::ONE_HUNDRED };
    currency.round(paid.0 * percent.0 / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_rounded_half_up_whether_included_or_added() {
        for (paid, percent, inside, want) in [
            ("120.00", "20", true, "20.00"),
            ("100.00", "20", false, "20.00"),
            ("0.05", "10", false, "0.01"),
            ("9.99", "19", true, "1.60"),
            ("0.00", "20", true, "0.00"),
        ] {
            let tax = tax_of(paid.parse().unwrap(), percent.parse().unwrap(), inside, Currency::GBP);
            assert_eq!(tax.to_string(), want, "{paid} at {percent}");
        }
    }
}
