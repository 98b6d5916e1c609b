//! Operations of the reward service for other services, and its events.

use promox_kernel::{Amount, Currency, UserId, fact, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PromotionId};

/// Gets the part of an order's total that a user's points would pay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuePoints {
    /// The user.
    pub user_id: UserId,
    /// The number of points that the user wants to redeem, at least 1.
    pub points: u32,
    /// The order's total before points are redeemed.
    pub total: Amount,
    /// The currency.
    pub currency: Currency,
}
operation! { ValuePoints => PointsValue, "reward.value_points", internal, "The part of a total that points can pay." }

/// The value of points for an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsValue {
    /// The number of points that the user can spend now.
    pub spendable: u32,
    /// The value of the requested points; zero if they cannot be redeemed.
    pub value: Amount,
}
json_reply!(PointsValue);

/// Holds points for an order until the order ends, starting with those that expire first. Repeating the request changes
/// nothing. 422 `POINTS_INSUFFICIENT` with `reason` if there are too few points.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldPoints {
    /// The order.
    pub order_id: OrderId,
    /// The user.
    pub user_id: UserId,
    /// The number of points.
    pub points: u32,
}
operation! { HoldPoints => (), "reward.hold_points", internal, "Holds points for an order." }

/// Releases the points that an order holds or has spent, and revokes those that it earned. It has an effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePoints {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleasePoints => (), "reward.release_points", internal, "Releases an order's points." }

/// Gets a user's tier. A user without a reward account has the lowest tier.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTier {
    /// The user.
    pub user_id: UserId,
}
operation! { GetTier => TierName, "reward.get_tier", internal, "A user's tier." }

/// The name of a tier.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierName {
    /// The name, such as `"GOLD"`.
    pub tier: String,
}
json_reply!(TierName);

/// Finds out whether reward offers refer to a promotion, or a redemption waits for a coupon of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsPromotionReferencedByOffers {
    /// The promotion.
    pub promotion_id: PromotionId,
}
operation! {
    IsPromotionReferencedByOffers => crate::promotion::IsReferenced, "reward.is_promotion_referenced", internal,
    "Whether reward offers refer to a promotion."
}

/// Estimates the points that an order will earn, for display: `floor(base × rate × tier multiplier × promotion
/// multiplier)`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EstimatePoints {
    /// The user. Guests earn no points.
    pub user_id: UserId,
    /// The amount paid for goods, without tax and without the value of redeemed points.
    pub base: Amount,
    /// The multiplier of the order's promotions.
    pub multiplier: Amount,
}
operation! { EstimatePoints => PointsEarned, "reward.estimate_points", internal, "The points that an order will earn." }

/// The answer to [`EstimatePoints`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsEarned {
    /// The number of points.
    pub points: i64,
}
json_reply!(PointsEarned);

/// The audit's name for the check that orders and rewards agree on the points redeemed on each active order.
pub const SPENT: &str = "points spent on an order = points held by that order";

/// The audit's name for the check that orders and rewards agree on the points that each confirmed order earned.
pub const EARNED: &str = "points: earned = the points of the order's rule";

/// The data of every event of points.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsFact {
    /// The user.
    pub user_id: UserId,
    /// The number of points, always positive.
    pub points: i64,
    /// The points' value in money, if they have one.
    pub value: Option<Amount>,
    /// The reason, such as `order:7`, `signup` or `achievement:FIRST_ORDER`.
    pub reference: String,
}

facts! { PointsFact in "reward":
    /// Points were awarded.
    PointsAwarded = "POINTS_AWARDED",
    /// Points were redeemed.
    PointsRedeemed = "POINTS_REDEEMED",
    /// Points expired, or were forfeited because the user was erased.
    PointsExpired = "POINTS_EXPIRED",
    /// Redeemed points were restored. Over all events, awarded + restored − redeemed − revoked − expired equals the sum
    /// of all balances, including pending and held points.
    PointsRestored = "POINTS_RESTORED",
    /// Awarded points were revoked.
    PointsRevoked = "POINTS_REVOKED",
}

/// A user's tier changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierChanged {
    /// The user.
    pub user_id: UserId,
    /// The previous tier.
    pub from: String,
    /// The new tier.
    pub to: String,
}

/// A user earned an achievement.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AchievementUnlocked {
    /// The user.
    pub user_id: UserId,
    /// The achievement's code.
    pub code: String,
}
fact! {
    TierChanged = "TIER_CHANGED" in "reward",
    AchievementUnlocked = "ACHIEVEMENT_UNLOCKED" in "reward",
}
