//! What others ask of coupons: which promotion a code is the key to.

use promox_kernel::{UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{OrderId, PromotionId};
use crate::promotion::RejectReason;

/// A code in the form that the one namespace of promotions and coupons compares: upper case, without space, `-` and `_`.
pub fn normal_code(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_')).flat_map(char::to_uppercase).collect()
}

/// Asks which of these codes are coupons. Codes that are none are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveCodes {
    /// The codes as they were written.
    pub codes: Vec<String>,
    /// Who wants to use them: personal coupons are their owner's only, limits per user count the person.
    pub buyer: Buyer,
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
    /// Why it is not good now, if it is not.
    pub reason: Option<RejectReason>,
}

/// Redeems coupons for an order, all or nothing, pinned until the order ends: 422 `COUPON_INVALID` with `code` and `reason`
/// when one is not good any more. Asking again for the same order changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldCoupons {
    /// For which order.
    pub order_id: OrderId,
    /// Who buys.
    pub buyer: Buyer,
    /// The codes that had an effect, as they were written.
    pub codes: Vec<String>,
}
operation! { HoldCoupons => (), "coupon.hold", internal, "Redeems coupons for an order." }

/// Gives an order's redemptions back, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCoupons {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ReleaseCoupons => (), "coupon.release_order", internal, "Releases an order's redemptions." }

/// Makes a personal coupon, once a reference: for points redeemed from the catalogue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssueCoupon {
    /// Once a reference: `reward:7`.
    pub reference: String,
    /// What it is the key to.
    pub promotion_id: PromotionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Days it is good from now; null for ever.
    pub valid_days: Option<u32>,
}
operation! { IssueCoupon => IssuedCoupon, "coupon.issue", internal, "Creates a personal coupon." }

/// The coupon that was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCoupon {
    /// Its code.
    pub code: String,
}
json_reply!(IssuedCoupon);

/// Asks which of these codes, in normal form, coupons have already.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindCouponCodes {
    /// The codes in normal form.
    pub codes: Vec<String>,
}
operation! { FindCouponCodes => crate::promotion::CodesInUse, "coupon.codes_taken", internal, "Which codes are \
used by coupons." }

/// Coupons came to be: one, an import's, or a part of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponsIssued {
    /// Their promotion.
    pub promotion_id: PromotionId,
    /// How many.
    pub count: i64,
}

/// Asks whether there are coupons for a promotion, or are to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsPromotionReferencedByCoupons {
    /// Which.
    pub promotion_id: PromotionId,
}
operation! { IsPromotionReferencedByCoupons => crate::promotion::IsReferenced, "coupon.is_promotion_referenced", internal, "Whether coupons refer to a \
promotion." }

/// A coupon was redeemed by an order or a reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponRedeemed {
    /// Its promotion.
    pub promotion_id: PromotionId,
    /// By whom: `order:7`.
    pub reference: String,
    /// Whose account, if it is one's.
    #[serde(default)]
    pub user_id: Option<UserId>,
}

/// A redemption was given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponReleased {
    /// Its promotion.
    pub promotion_id: PromotionId,
    /// By whom: `order:7`.
    pub reference: String,
}
fact! {
    CouponsIssued = "COUPONS_ISSUED" in "coupon_issue",
    CouponRedeemed = "COUPON_REDEEMED" in "coupon",
    CouponReleased = "COUPON_RELEASED" in "coupon",
}

/// What orders and coupons both state of each order, for the auditor to compare: the promotions that coupons were the keys
/// to, by [`shares`](crate::promotion::shares) of nothing. No code is named.
pub const REDEEMED: &str = "coupon: each active redemption belongs to exactly one active order and vice versa";
