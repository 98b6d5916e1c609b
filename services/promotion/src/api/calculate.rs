//! Operations that call the engine: pricing a cart, and evaluating a draft against past orders.

use std::collections::BTreeMap;

use promox_contract::ids::ProductId;
use promox_contract::order::Totals;
use promox_contract::promotion::{AppliedPromotion, Customer, LineDiscount, Offer, RejectedPromotion};
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::Promotion;

/// Prices a cart. The reply lists every discount, and the reason for each promotion that does not apply. Supplying
/// prices, customers, times or promotions requires `promotion:write`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateCart {
    /// The items.
    pub items: Vec<CalculateItem>,
    /// Promotion and coupon codes.
    #[serde(default)]
    pub codes: Vec<String>,
    /// The shipping method and destination.
    pub shipping: Option<CalculateShipping>,
    /// The sales channel, `WEB` by default.
    pub channel: Option<String>,
    /// The payment method.
    pub payment_method: Option<String>,
    /// The cart's own attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The currency of all amounts; the store's by default.
    pub currency: Option<Currency>,
    /// Whether prices include tax; by default, the store's setting.
    pub prices_include_tax: Option<bool>,
    /// The buyer; the caller by default.
    pub customer: Option<Customer>,
    /// The time of the purchase; now by default.
    pub at: Option<Timestamp>,
    /// Promotions to evaluate in place of the stored ones.
    pub promotions: Option<Vec<Promotion>>,
}
operation! {
    CalculateCart => CalculatedCart, "promotion.calculate", Post "/api/promotions/calculate", Anyone, 200,
    "Prices a cart.", refuses [403]
}

/// An item of a cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateItem {
    /// The SKU.
    pub sku: Sku,
    /// The number of units.
    pub quantity: u32,
    /// The unit price before price rules; by default, the list price in the catalog.
    pub unit_price: Option<Amount>,
    /// Its categories, including all ancestors.
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

/// The shipping of a cart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculateShipping {
    /// The shipping method; the cheapest by default.
    pub method: Option<String>,
    /// The destination, an ISO 3166 country code.
    pub country: Option<String>,
    /// The shipping cost; by default, that of the method.
    pub amount: Option<Amount>,
    /// Its tax rate, in percent.
    pub tax_rate: Option<Amount>,
}

/// A priced cart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculatedCart {
    /// The currency.
    pub currency: Currency,
    /// Whether prices include tax.
    pub prices_include_tax: bool,
    /// The lines, gifts last.
    pub lines: Vec<CalculatedLine>,
    /// Promotions that apply, in order of application.
    pub applied_promotions: Vec<AppliedPromotion>,
    /// Promotions and codes that do not apply, and why.
    pub rejected_promotions: Vec<RejectedPromotion>,
    /// Promotions that would apply with one more amount or quantity.
    pub offers: Vec<Offer>,
    /// The totals.
    pub totals: Totals,
    /// The multiplier for the points that the order would earn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points_multiplier: Option<Amount>,
    /// Checks that were skipped.
    pub warnings: Vec<String>,
}
json_reply!(CalculatedCart);

/// A priced line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalculatedLine {
    /// The SKU.
    pub sku: Sku,
    /// Its product in this store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// Its name in this store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of units.
    pub quantity: u32,
    /// The unit price.
    pub unit_price: Amount,
    /// The unit price before price rules.
    pub list_price: Amount,
    /// Quantity × unit price.
    pub subtotal: Amount,
    /// The total discount.
    pub discount: Amount,
    /// The discount by promotion.
    pub discounts: Vec<LineDiscount>,
    /// The tax on the line, included in its price or added to it.
    pub tax: Amount,
    /// Subtotal − discount, plus tax if prices exclude it.
    pub total: Amount,
}

/// Evaluates a draft against past orders, in addition to the discounts they had. The draft's start and end are ignored,
/// but its schedule applies, and its limits and budget are used up in the order of the orders.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestPromotion {
    /// The draft.
    pub promotion: Promotion,
    /// Only orders placed at or after this time.
    pub from: Timestamp,
    /// Only orders placed before this time.
    pub to: Timestamp,
}
operation! {
    BacktestPromotion => BacktestResult, "promotion.backtest", Post "/api/promotions/backtest",
    Permission("promotion:write"), 200,
    "Evaluates a draft against past orders."
}

/// The effect that a draft would have had.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestResult {
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The currency.
    pub currency: Currency,
    /// The number of orders examined: those placed in the period that are not PENDING, FAILED or CANCELLED.
    pub orders: i64,
    /// The number of orders that the draft would have discounted.
    pub orders_touched: i64,
    /// What the draft would have cost: discounts on goods and shipping, and gifts at their catalog price.
    pub discount_given: Amount,
    /// The discount on shipping, which is part of that cost.
    pub shipping_discount: Amount,
    /// The actual revenue from goods, after discounts, without tax and shipping.
    pub revenue_before: Amount,
    /// The revenue from goods with the draft.
    pub revenue_after: Amount,
    /// The actual revenue per order.
    pub average_order_before: Amount,
    /// The revenue per order with the draft.
    pub average_order_after: Amount,
}
json_reply!(BacktestResult);
