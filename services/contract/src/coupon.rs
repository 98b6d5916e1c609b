//! What others ask of coupons: which promotion a code is the key to.

use promox_kernel::{json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::PromotionId;

/// Asks which of these codes are coupons. Codes that are none are left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveCodes {
    /// The codes as they were written.
    pub codes: Vec<String>,
}
operation! { ResolveCodes => ResolvedCodes, "coupon.resolve_codes", internal, "Which codes are coupons." }

/// The coupons found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCodes {
    /// Each with its promotion.
    pub coupons: Vec<ResolvedCode>,
}
json_reply!(ResolvedCodes);

/// A coupon.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCode {
    /// As it was written.
    pub code: String,
    /// What it is the key to.
    pub promotion_id: PromotionId,
}
