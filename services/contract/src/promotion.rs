//! What others ask of promotions: prices on the shelf, and what a cart is given off.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Currency, Email, UserId, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{FlashSaleId, PromotionId};
use crate::product::SkuDescription;

text_enum! {
    /// Why a promotion or code has no effect.
    RejectReason {
        Unknown = "UNKNOWN",
        NotStarted = "NOT_STARTED",
        Expired = "EXPIRED",
        Paused = "PAUSED",
        LimitReached = "LIMIT_REACHED",
        UserLimitReached = "USER_LIMIT_REACHED",
        BudgetExhausted = "BUDGET_EXHAUSTED",
        NotEligible = "NOT_ELIGIBLE",
        ConditionsNotMet = "CONDITIONS_NOT_MET",
        NotCombinable = "NOT_COMBINABLE",
        NoMatchingItems = "NO_MATCHING_ITEMS",
    }
}

/// A promotion with an effect on an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedPromotion {
    /// Which.
    pub promotion_id: PromotionId,
    /// Its name.
    pub name: String,
    /// The promotion's code, if it came by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The coupon's code, if it came by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// What it takes off the goods.
    pub amount: Amount,
    /// What it takes off shipping.
    pub shipping_amount: Amount,
}

/// A promotion or code without an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedPromotion {
    /// Which, if the caller may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<PromotionId>,
    /// The code as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why.
    pub reason: RejectReason,
    /// Unmet conditions: what was asked, what the cart has, how much is missing.
    pub details: Vec<RejectDetail>,
}

/// An unmet condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectDetail {
    /// `"cart.subtotal"`.
    pub field: String,
    /// `"GTE"`.
    pub op: String,
    /// What is asked.
    pub wanted: serde_json::Value,
    /// What the cart has.
    pub actual: serde_json::Value,
    /// How much is missing, where that is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Amount>,
}

/// A line as promotions see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// What it is and costs.
    pub item: SkuDescription,
    /// How many.
    pub quantity: u32,
    /// The flash sale that it was reserved in.
    pub flash_sale_id: Option<FlashSaleId>,
}

/// Asks what a cart is given off. Nothing is held and nothing counted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateCart {
    /// The lines, each SKU once, flash lines apart.
    pub lines: Vec<CartLine>,
    /// The currency of all prices.
    pub currency: Currency,
    /// The buyer's account.
    pub user_id: Option<UserId>,
    /// The buyer's address, which limits go by.
    pub email: Option<Email>,
    /// Codes as the buyer wrote them, promotions' and coupons' alike.
    pub codes: Vec<String>,
    /// Those of the codes that are coupons.
    pub coupons: Vec<crate::coupon::ResolvedCode>,
    /// What shipping costs before promotions.
    pub shipping: Amount,
    /// How it is shipped, and whereto.
    pub shipping_method: Option<String>,
    /// ISO 3166 country.
    pub country: Option<String>,
    /// How it is paid.
    pub payment_method: Option<String>,
    /// Where it is sold: `WEB` unless said.
    pub channel: Option<String>,
    /// The cart's own attributes.
    pub attributes: BTreeMap<String, String>,
}
operation! { EvaluateCart => Evaluation, "promotion.evaluate_cart", internal, "What a cart is given off." }

/// What a cart is given off.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// For each line, in order: what each promotion takes off it.
    pub line_discounts: Vec<Vec<LineDiscount>>,
    /// What promotions take off shipping.
    pub shipping_discount: Amount,
    /// Promotions with an effect, in order of application.
    pub applied: Vec<AppliedPromotion>,
    /// What has no effect, and why.
    pub rejected: Vec<RejectedPromotion>,
}
json_reply!(Evaluation);

/// What a promotion takes off a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineDiscount {
    /// Which promotion.
    pub promotion_id: PromotionId,
    /// The coupon it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// How much.
    pub amount: Amount,
}
