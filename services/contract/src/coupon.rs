//! Operations of the coupon service for other services, and its events.

use promox_kernel::{UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::buyer::Buyer;
use crate::ids::{OrderId, PromotionId};
use crate::promotion::ResolvedCode;

/// The normal form of a code, for the namespace that promotions and coupons share: in upper case, without white space,
/// `-` and `_`.
pub fn normal_code(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_')).flat_map(char::to_uppercase).collect()
}

/// Finds the coupons among these codes. Other codes are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveCodes {
    /// The codes as entered.
    pub codes: Vec<String>,
    /// The buyer. Personal coupons are valid for their owner only, and limits per user count persons.
    pub buyer: Buyer,
    /// The codes among them that the caller entered with this request. The wrong ones count against the caller; 429
    /// `TOO_MANY_GUESSES` if there are too many. Codes that were stored earlier were counted then.
    pub entered: Vec<String>,
}
operation! { ResolveCodes => ResolvedCodes, "coupon.resolve_codes", internal, "The coupons among codes." }

/// The answer to [`ResolveCodes`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCodes {
    /// The coupons found, with their promotions.
    pub coupons: Vec<ResolvedCode>,
}
json_reply!(ResolvedCodes);

/// Counts the wrong ones among codes that the caller entered, before they are stored. 429 `TOO_MANY_GUESSES` if there are
/// too many.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountEnteredCodes {
    /// The codes as entered.
    pub codes: Vec<String>,
}
operation! { CountEnteredCodes => (), "coupon.count_entered_codes", internal, "Counts wrong codes of the caller." }

/// Redeems coupons for an order, all or nothing, and holds them until the order ends. Repeating the request changes
/// nothing. 422 `COUPON_INVALID` with `code` and `reason` if a coupon is no longer valid.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldCoupons {
    /// The order.
    pub order_id: OrderId,
    /// The buyer.
    pub buyer: Buyer,
    /// The codes that had an effect on the order, as entered.
    pub codes: Vec<String>,
}
operation! { HoldCoupons => (), "coupon.hold_coupons", internal, "Holds an order's coupons." }

/// Releases an order's redemptions. It has an effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCoupons {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseCoupons => (), "coupon.release_coupons", internal, "Releases an order's redemptions." }

/// Creates a personal coupon for a redeemed reward offer, once per reference.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssueCoupon {
    /// A unique reference, such as `reward:7`.
    pub reference: String,
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The owner.
    pub user_id: UserId,
    /// The number of days for which the coupon is valid, from now; null if it does not expire.
    pub valid_days: Option<u32>,
}
operation! { IssueCoupon => IssuedCoupon, "coupon.issue", internal, "Creates a personal coupon." }

/// The answer to [`IssueCoupon`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCoupon {
    /// The coupon's code.
    pub code: String,
}
json_reply!(IssuedCoupon);

/// Finds out which of these codes coupons already use.
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

/// Coupons were created: a single one, those of an import, or a part of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponsIssued {
    /// The coupons' promotion.
    pub promotion_id: PromotionId,
    /// The number of coupons.
    pub count: i64,
}

/// Finds out whether coupons refer to a promotion, or are being created for it.
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponRedeemed {
    /// The coupon's promotion.
    pub promotion_id: PromotionId,
    /// The redeemer, such as `order:7`.
    pub reference: String,
    /// The account, if any.
    #[serde(default)]
    pub user_id: Option<UserId>,
}

/// A redemption was released.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponReleased {
    /// The coupon's promotion.
    pub promotion_id: PromotionId,
    /// The redeemer, such as `order:7`.
    pub reference: String,
}
fact! {
    CouponsIssued = "COUPONS_ISSUED" in "coupon_issue",
    CouponRedeemed = "COUPON_REDEEMED" in "coupon",
    CouponReleased = "COUPON_RELEASED" in "coupon",
}

/// The audit's name for the check that orders and coupons agree on the promotions of each order's coupons, as
/// [`shares`](crate::promotion::shares) of zero. Codes are not included.
pub const REDEEMED: &str = "coupon: each active redemption belongs to exactly one active order and vice versa";
