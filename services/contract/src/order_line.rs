//! A line of an order, and the arithmetic of lines: tax and revenue.
//!
//! Quotes, orders, carts, messages, figures and backtests all show or count this one line.

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
    /// Its SKU when it was sold; later calls on the order also accept the variant's current and former SKUs.
    pub sku: Sku,
    /// The variant, which keeps its id under another SKU; null for imported lines.
    pub variant_id: Option<VariantId>,
    /// The product; null for imported lines.
    pub product_id: Option<ProductId>,
    /// Its name when it was sold.
    pub name: String,
    /// The quantity.
    pub quantity: u32,
    /// The unit price.
    pub unit_price: Amount,
    /// The unit price before price rules and flash sales.
    pub list_price: Amount,
    /// The flash sale it was reserved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_sale_id: Option<FlashSaleId>,
    /// Quantity × unit price.
    pub subtotal: Amount,
    /// The discount of promotions.
    pub discount: Amount,
    /// The discount by promotion.
    pub discounts: Vec<LineDiscount>,
    /// Tax, included in the total or added to it as the store's settings say.
    pub tax: Amount,
    /// Subtotal − discount, plus tax when prices exclude it.
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

/// Whether a line is a gift: it costs nothing, although the catalog has a price for it.
pub fn is_gift(unit_price: Amount, list_price: Amount) -> bool {
    unit_price.is_zero() && !list_price.is_zero()
}

/// The revenue of an amount paid after discounts: without its tax, which is part of it when prices include tax.
pub fn net(paid: Amount, tax: Amount, tax_inside: bool) -> Amount {
    if tax_inside { paid - tax } else { paid }
}

/// The tax of an amount paid, rounded half-up to the currency's minor unit: included in the amount when prices include
/// tax, else added to it. `percent` is the rate, such as 20.
pub fn tax_of(paid: Amount, percent: Amount, tax_inside: bool, currency: Currency) -> Amount {
    let base = if tax_inside { Decimal::ONE_HUNDRED + percent.0 } else { Decimal::ONE_HUNDRED };
    currency.round(paid.0 * percent.0 / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_rounds_half_up_inside_and_on_top() {
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
