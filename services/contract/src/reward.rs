//! What others ask of rewards: what points are worth to a buyer.

use promox_kernel::{Amount, Currency, UserId, fact, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, PromotionId};

/// Asks what so many points of a user would pay of an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuePoints {
    /// Whose.
    pub user_id: UserId,
    /// How many the user wants to spend, at least 1.
    pub points: u32,
    /// What the order comes to without them.
    pub total: Amount,
    /// In which currency.
    pub currency: Currency,
}
operation! { ValuePoints => PointsValue, "reward.value_points", internal, "How much of a total points can pay." }

/// What points would pay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsValue {
    /// How many of them the user can spend now.
    pub spendable: u32,
    /// What the asked points are worth; zero when they cannot be spent.
    pub value: Amount,
}
json_reply!(PointsValue);

/// Takes points for an order, oldest first, pinned until the order ends: 422 `POINTS_INSUFFICIENT` with `reason` when there
/// are not enough. Asking again for the same order changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldPoints {
    /// For which order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// How many.
    pub points: u32,
}
operation! { HoldPoints => (), "reward.hold_points", internal, "Holds points for an order." }

/// Gives an order's points back, held or spent, and takes back what it earned, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePoints {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ReleasePoints => (), "reward.release_points", internal, "Releases an order's points." }

/// Asks for a user's tier; a user without an account in rewards has the lowest.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTier {
    /// Whose.
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

/// Asks whether points buy coupons of a promotion, or somebody waits for one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsPromotionReferencedByOffers {
    /// Which.
    pub promotion_id: PromotionId,
}
operation! { IsPromotionReferencedByOffers => crate::promotion::IsReferenced, "reward.is_promotion_referenced", internal, "Whether reward offers refer \
to a promotion." }

/// Asks how many points an order will earn, to show it: `floor(base × rate × tier multiplier × promotion multiplier)`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EstimatePoints {
    /// Whose order; guests earn none.
    pub user_id: UserId,
    /// What is paid for goods, without tax, less the points' value.
    pub base: Amount,
    /// The promotions' multiplier.
    pub multiplier: Amount,
}
operation! { EstimatePoints => PointsEarned, "reward.estimate_points", internal, "How many points an order earns." }

/// The answer to [`EstimatePoints`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsEarned {
    /// How many.
    pub points: i64,
}
json_reply!(PointsEarned);

/// What orders and rewards both state of each order that lives, for the auditor to compare: the points that were spent on it.
pub const SPENT: &str = "points spent on an order = points held by that order";

/// What both state of each confirmed order: the points that it earned when it was confirmed.
pub const EARNED: &str = "points: earned = the points of the order's rule";

/// What every event of points says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PointsFact {
    /// Whose.
    pub user_id: UserId,
    /// How many, positive.
    pub points: i64,
    /// Their value in money, where they have one.
    pub value: Option<Amount>,
    /// Why: `order:7`, `signup`, `achievement:FIRST_ORDER`.
    pub reference: String,
}

facts! { PointsFact in "reward":
    /// Points were given.
    PointsAwarded = "POINTS_AWARDED",
    /// Points were spent.
    PointsRedeemed = "POINTS_REDEEMED",
    /// Points expired, or were forfeited by who is gone.
    PointsExpired = "POINTS_EXPIRED",
    /// Points that were spent came back: awarded + restored − redeemed − revoked − expired = what all have, pending and held ones
    /// among it.
    PointsRestored = "POINTS_RESTORED",
    /// Points that were awarded were taken back.
    PointsRevoked = "POINTS_REVOKED",
}

/// A user's tier changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TierChanged {
    /// Whose.
    pub user_id: UserId,
    /// The tier before.
    pub from: String,
    /// The tier now.
    pub to: String,
}

/// A user was granted an achievement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AchievementUnlocked {
    /// Whose.
    pub user_id: UserId,
    /// Which.
    pub code: String,
}
fact! {
    TierChanged = "TIER_CHANGED" in "reward",
    AchievementUnlocked = "ACHIEVEMENT_UNLOCKED" in "reward",
}
