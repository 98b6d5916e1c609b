//! What others ask of promotions: prices on the shelf, and what a cart is given off.

use promox_kernel::{Amount, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::PromotionId;

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
