//! Operations of coupons for other services.

use promox_kernel::{UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{OrderId, PromotionId};
use crate::promotion::ResolvedCode;

/// A code in the normal form of the namespace that promotions and coupons share: upper case, without space, `-` and
/// `_`.
pub fn normal_code(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_')).flat_map(char::to_uppercase).collect()
}

/// Finds out which of these codes are coupons. Others are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveCodes {
    /// The codes as entered.
    pub codes: Vec<String>,
    /// The buyer: personal coupons are valid for their owner only, and limits per user count the person.
    pub buyer: Buyer,
}
operation! { ResolveCodes => ResolvedCodes, "coupon.resolve_codes", internal, "Which codes are coupons." }

/// The coupons found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCodes {
    /// The coupons with their promotions.
    pub coupons: Vec<ResolvedCode>,
}
json_reply!(ResolvedCodes);

/// Redeems coupons for an order, all or nothing, and holds them until the order ends. Repeating it changes nothing. 422
/// `COUPON_INVALID` with `code` and `reason` when one is no longer valid.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldCoupons {
    /// The order.
    pub order_id: OrderId,
    /// The buyer.
    pub buyer: Buyer,
    /// The codes that had an effect, as entered.
    pub codes: Vec<String>,
}
operation! { HoldCoupons => (), "coupon.hold_coupons", internal, "Holds an order's coupons." }

/// Releases an order's redemptions, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCoupons {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseCoupons => (), "coupon.release_coupons", internal, "Releases an order's redemptions." }

/// Creates a personal coupon, once per reference: for redeemed reward offers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssueCoupon {
    /// Unique reference: `reward:7`.
    pub reference: String,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The owner.
    pub user_id: UserId,
    /// How many days it is valid from now; null for no expiry.
    pub valid_days: Option<u32>,
}
operation! { IssueCoupon => IssuedCoupon, "coupon.issue", internal, "Creates a personal coupon." }

/// The created coupon.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCoupon {
    /// Its code.
    pub code: String,
}
json_reply!(IssuedCoupon);

/// Finds out which of these codes, in normal form, coupons already use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindCouponCodes {
    /// The codes in normal form.
    pub codes: Vec<String>,
}
operation! {
    FindCouponCodes => crate::promotion::CodesInUse, "coupon.codes_taken", internal,
    "Which codes are used by coupons."
}

/// Coupons were created: one, an import's, or a part of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponsIssued {
    /// Their promotion.
    pub promotion_id: PromotionId,
    /// The number of coupons.
    pub count: i64,
}

/// Whether coupons refer to a promotion, or are being created for it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsPromotionReferencedByCoupons {
    /// The promotion.
    pub promotion_id: PromotionId,
}
operation! {
    IsPromotionReferencedByCoupons => crate::promotion::IsReferenced, "coupon.is_promotion_referenced", internal,
    "Whether coupons refer to a promotion."
}

/// A coupon was redeemed by an order or a reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponRedeemed {
    /// Its promotion.
    pub promotion_id: PromotionId,
    /// The redeemer: `order:7`.
    pub reference: String,
    /// The account, if any.
    #[serde(default)]
    pub user_id: Option<UserId>,
}

/// A redemption was released.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CouponReleased {
    /// Its promotion.
    pub promotion_id: PromotionId,
    /// The redeemer: `order:7`.
    pub reference: String,
}
fact! {
    CouponsIssued = "COUPONS_ISSUED" in "coupon_issue",
    CouponRedeemed = "COUPON_REDEEMED" in "coupon",
    CouponReleased = "COUPON_RELEASED" in "coupon",
}

/// Orders and coupons both state for each order the promotions of its coupons, as [`shares`](crate::promotion::shares)
/// of zero. Codes are not included.
pub const REDEEMED: &str = "coupon: each active redemption belongs to exactly one active order and vice versa";
