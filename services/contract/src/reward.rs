//! Operations of rewards for other services.

use promox_kernel::{Amount, Currency, UserId, fact, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PromotionId};

/// Gets how much of an order a number of a user's points would pay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuePoints {
    /// The user.
    pub user_id: UserId,
    /// How many points the user wants to redeem, at least 1.
    pub points: u32,
    /// The order's total without them.
    pub total: Amount,
    /// The currency.
    pub currency: Currency,
}
operation! { ValuePoints => PointsValue, "reward.value_points", internal, "How much of a total points can pay." }

/// The value of points for an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsValue {
    /// How many points the user can spend now.
    pub spendable: u32,
    /// The value of the requested points; zero when they cannot be redeemed.
    pub value: Amount,
}
json_reply!(PointsValue);

/// Holds points for an order, those that expire first, until the order ends. Repeating it changes nothing. 422
/// `POINTS_INSUFFICIENT` with `reason` when there are too few.
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

/// Releases an order's points, held or spent, and revokes what it earned, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePoints {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleasePoints => (), "reward.release_points", internal, "Releases an order's points." }

/// Gets a user's tier; a user without a reward account has the lowest.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTier {
    /// The user.
    pub user_id: UserId,
}
operation! { GetTier => TierName, "reward.get_tier", internal, "A user's tier." }

/// A tier by name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierName {
    /// `"GOLD"`.
    pub tier: String,
}
json_reply!(TierName);

/// Whether reward offers refer to a promotion, or a redemption waits for its coupon.
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

/// Gets how many points an order will earn, for display: `floor(base × rate × tier multiplier × promotion multiplier)`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EstimatePoints {
    /// The user; guests earn none.
    pub user_id: UserId,
    /// The amount paid for goods, without tax, less the points' value.
    pub base: Amount,
    /// The promotions' multiplier.
    pub multiplier: Amount,
}
operation! { EstimatePoints => PointsEarned, "reward.estimate_points", internal, "How many points an order earns." }

/// The answer to [`EstimatePoints`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsEarned {
    /// The number of points.
    pub points: i64,
}
json_reply!(PointsEarned);

/// Orders and rewards both state for each active order the points redeemed on it.
pub const SPENT: &str = "points spent on an order = points held by that order";

/// Orders and rewards both state for each confirmed order the points that it earned.
pub const EARNED: &str = "points: earned = the points of the order's rule";

/// The data of every event of points.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PointsFact {
    /// The user.
    pub user_id: UserId,
    /// The number of points, positive.
    pub points: i64,
    /// Their value in money, if any.
    pub value: Option<Amount>,
    /// The reason: `order:7`, `signup`, `achievement:FIRST_ORDER`.
    pub reference: String,
}

facts! { PointsFact in "reward":
    /// Points were awarded.
    PointsAwarded = "POINTS_AWARDED",
    /// Points were redeemed.
    PointsRedeemed = "POINTS_REDEEMED",
    /// Points expired, or were forfeited by an erased user.
    PointsExpired = "POINTS_EXPIRED",
    /// Redeemed points were restored: awarded + restored − redeemed − revoked − expired = all balances, including
    /// pending and held points.
    PointsRestored = "POINTS_RESTORED",
    /// Awarded points were revoked.
    PointsRevoked = "POINTS_REVOKED",
}

/// A user's tier changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AchievementUnlocked {
    /// The user.
    pub user_id: UserId,
    /// The code.
    pub code: String,
}
fact! {
    TierChanged = "TIER_CHANGED" in "reward",
    AchievementUnlocked = "ACHIEVEMENT_UNLOCKED" in "reward",
}
