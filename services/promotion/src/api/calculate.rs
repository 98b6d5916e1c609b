//! What is asked of the engine itself: a cart worked out, a draft run over past orders.

use std::collections::BTreeMap;

use promox_contract::ids::ProductId;
use promox_contract::order::Totals;
use promox_contract::promotion::{AppliedPromotion, Customer, LineDiscount, Offer, RejectedPromotion};
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::Promotion;

/// Works a cart out: every discount, with the reason for each promotion that does not apply. Prices, customers, times and
/// promotions of one's own take `promotion:write`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateCart {
    /// The goods.
    pub items: Vec<CalculateItem>,
    /// Promotions' and coupons' codes.
    #[serde(default)]
    pub codes: Vec<String>,
    /// How it is shipped, and whereto.
    pub shipping: Option<CalculateShipping>,
    /// Where it is sold: `WEB` unless said.
    pub channel: Option<String>,
    /// The payment method.
    pub payment_method: Option<String>,
    /// The cart's own attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The currency of all amounts; the store's unless said.
    pub currency: Option<Currency>,
    /// Whether prices carry their tax inside; as in the store unless said.
    pub prices_include_tax: Option<bool>,
    /// The buyer; the caller unless said.
    pub customer: Option<Customer>,
    /// The time it is; now unless said.
    pub at: Option<Timestamp>,
    /// Promotions to evaluate in place of the stored ones.
    pub promotions: Option<Vec<Promotion>>,
}
operation! { CalculateCart => CalculatedCart, "promotion.calculate", Post "/api/promotions/calculate", Anyone, 200, "\
Prices a cart." }

/// Goods of a cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateItem {
    /// What.
    pub sku: Sku,
    /// The number of units.
    pub quantity: u32,
    /// What one costs without price rules; the catalogue's price unless said.
    pub unit_price: Option<Amount>,
    /// Its categories and all their ancestors.
    pub category_ids: Option<Vec<i64>>,
    /// Its attributes.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Its tax rate, in percent.
    pub tax_rate: Option<Amount>,
    /// The floor price of a unit.
    pub floor_price: Option<Amount>,
    /// Whether promotions may discount it.
    pub discountable: Option<bool>,
}

/// How a cart is shipped.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateShipping {
    /// The method; the cheapest unless said.
    pub method: Option<String>,
    /// ISO 3166 country.
    pub country: Option<String>,
    /// What it costs; what the store asks unless said.
    pub amount: Option<Amount>,
    /// Its tax rate, in percent.
    pub tax_rate: Option<Amount>,
}

/// A cart worked out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculatedCart {
    /// The currency.
    pub currency: Currency,
    /// Whether prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The lines, gifts last.
    pub lines: Vec<CalculatedLine>,
    /// Promotions with an effect, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Promotions and codes without one, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// Promotions that are one amount or quantity away.
    pub offers: Vec<Offer>,
    /// The sums.
    pub totals: Totals,
    /// What the order's points would be multiplied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points_multiplier: Option<Amount>,
    /// What was left unchecked.
    pub warnings: Vec<String>,
}
json_reply!(CalculatedCart);

/// A line worked out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculatedLine {
    /// What.
    pub sku: Sku,
    /// Its product here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// Its name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of units.
    pub quantity: u32,
    /// What one costs.
    pub unit_price: Amount,
    /// The list price of one, before price rules.
    pub list_price: Amount,
    /// Quantity × unit price.
    pub subtotal: Amount,
    /// What promotions take off.
    pub discount: Amount,
    /// Which takes off how much.
    pub discounts: Vec<LineDiscount>,
    /// Tax, inside or on top of the total.
    pub tax: Amount,
    /// Subtotal − discount, plus tax when prices exclude it.
    pub total: Amount,
}

/// Runs a draft over past orders, on top of what they were given then. Its start and end do not count, its hours do; its
/// limits and budget are used up as the orders come.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestPromotion {
    /// The draft.
    pub promotion: Promotion,
    /// Orders placed from here on.
    pub from: Timestamp,
    /// Up to here, exclusive.
    pub to: Timestamp,
}
operation! { BacktestPromotion => BacktestResult, "promotion.backtest", Post "/api/promotions/backtest", Permission("promotion:write"), 200, "\
Evaluates a draft against past orders." }

/// What a draft would have done.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestResult {
    /// The start of the span.
    pub from: Timestamp,
    /// The end of the span, exclusive.
    pub to: Timestamp,
    /// The currency.
    pub currency: Currency,
    /// Orders looked at: placed then, and neither PENDING, FAILED nor CANCELLED.
    pub orders: i64,
    /// Orders that it would have changed.
    pub orders_touched: i64,
    /// What it would have given: goods, shipping, and gifts at their catalogue price.
    pub discount_given: Amount,
    /// Of it off shipping.
    pub shipping_discount: Amount,
    /// Goods after discounts, without tax and shipping, as they were.
    pub revenue_before: Amount,
    /// The same with the draft.
    pub revenue_after: Amount,
    /// Revenue before ÷ orders.
    pub average_order_before: Amount,
    /// Revenue after ÷ orders.
    pub average_order_after: Amount,
}
json_reply!(BacktestResult);
