//! What rewards are asked, and what they answer.

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Amount, Cursor, Limit, Page, Patch, Timestamp, UserId, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{AchievementId, EntryId, EntryKind, OfferId, RedemptionId, RedemptionStatus};
use crate::rules::achievement::Rule;
use crate::rules::ladder::{Ladder, Tier};
use crate::settings::{RewardPatch, RewardSettings};

/// Asks for a user's account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetAccount {
    /// The user's id.
    pub id: UserId,
}
operation! { GetAccount => AccountView, "reward.get_account", Get "/api/rewards/account/{id}", User, 200, "A \
user's points and tier; of another user with reward:read." }

/// A user's points.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// Whose.
    pub user_id: UserId,
    /// The tier, by what was earned in the last 365 days.
    pub tier: Tier,
    /// What can be spent: the sum of the transactions that are available.
    pub balance: i64,
    /// What becomes available later.
    pub pending: i64,
    /// What was to be taken back when there was nothing: it comes off the next points.
    pub owed: i64,
    /// All that was ever earned, less what was taken back.
    pub lifetime_earned: i64,
    /// The same over the last 365 days.
    pub tier_points: i64,
    /// The tier above; null on the highest.
    pub next_tier: Option<Tier>,
    /// What is missing for it.
    pub points_to_next_tier: Option<i64>,
    /// What lapses next, the soonest first; at most 12 times.
    pub expiring: Vec<Expiring>,
}
json_reply!(AccountView);

/// Points that lapse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// How many.
    pub points: i64,
    /// When.
    pub at: Timestamp,
}

/// Lists a user's transactions, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTransactions {
    /// The user's id.
    pub id: UserId,
    /// Only of this type.
    #[serde(rename = "type")]
    pub kind: Option<EntryKind>,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}
operation! { ListTransactions => Page<TransactionView>, "reward.list_transactions", Get "/api/rewards/account/{id}/transactions", User, 200, "\
The points ledger of a user." }

/// An entry of the ledger.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView {
    /// Its id.
    pub id: EntryId,
    /// Why the points moved.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Signed; 0 where nothing was left to be taken back.
    pub points: i64,
    /// The order that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// What it is about: `order:7`, `signup`, `signup:order:7`, `achievement:FIRST_ORDER`.
    pub reference: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it counts in the balance, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Timestamp>,
    /// When its points lapse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

text_enum! {
    /// Which achievements of a user are listed.
    UserAchievementStatus {
        Unlocked = "UNLOCKED",
        InProgress = "IN_PROGRESS",
    }
}

/// Lists a user's achievements.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListUserAchievements {
    /// The user's id.
    pub id: UserId,
    /// Those unlocked, or those on their way; unlocked unless said.
    pub status: Option<UserAchievementStatus>,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}
operation! { ListUserAchievements => Page<UserAchievementView>, "reward.list_user_achievements", Get "/api/rewards/account/{id}/achievements", User, 200, "\
A user's achievements." }

/// An achievement of a user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAchievementView {
    /// Which.
    pub achievement_id: AchievementId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its badge.
    pub badge: Option<String>,
    /// The points that it gave, or gives.
    pub points: i64,
    /// Events counted so far, while it is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// What they came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<Amount>,
    /// When it was unlocked.
    pub unlocked_at: Option<Timestamp>,
}

/// Gives or takes points by hand; never below zero.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustPoints {
    /// The user's id.
    pub id: UserId,
    /// Signed, not 0.
    pub points: i64,
    /// Why, for the ledger and the audit log: 1 to 200 characters.
    pub reason: String,
}
operation! { AdjustPoints => AccountView, "reward.adjust", Post "/api/rewards/account/{id}/adjust", Permission("reward:write"), 200, "\
Adds or deducts points manually.", keyed }

/// Reads the ladder of tiers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTiers {}
operation! { GetTiers => Ladder, "reward.get_tiers", Get "/api/rewards/tiers", Anyone, 200, "The five tiers." }

/// Replaces the ladder of tiers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PutTiers(pub Ladder);
operation! { PutTiers => Ladder, "reward.put_tiers", Put "/api/rewards/tiers", Permission("reward:write"), 200, "Replaces the five tiers." }

/// Reads the settings of rewards.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRewardSettings {}
operation! { GetRewardSettings => RewardSettings, "reward.get_settings", Get "/api/rewards/settings", Permission("reward:write"), 200, "\
How users earn points and what the points are worth." }

/// Changes the settings of rewards by a merge patch: what is left out stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PatchRewardSettings(pub RewardPatch);
operation! { PatchRewardSettings => RewardSettings, "reward.patch_settings", Patch "/api/rewards/settings", Permission("reward:write"), 200, "\
Updates the reward settings." }

/// Replaces the settings of rewards as a whole: every member is sent, so that nothing is reset silently.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PutRewardSettings(pub RewardSettings);
operation! { PutRewardSettings => RewardSettings, "reward.put_settings", Put "/api/rewards/settings", Permission("reward:write"), 200, "\
Replaces the reward settings." }

/// Lists achievements, by code.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAchievements {
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}
operation! { ListAchievements => Page<AchievementView>, "reward.list_achievements", Get "/api/rewards/achievements", Anyone, 200, "\
The achievements that users can earn." }

/// Asks for one achievement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetAchievement {
    /// Which.
    pub id: AchievementId,
}
operation! { GetAchievement => AchievementView, "reward.get_achievement", Get "/api/rewards/achievements/{id}", Anyone, 200, "One achievement." }

/// Makes an achievement; what happens from now on counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateAchievement {
    /// Its code: 1 to 40 of A-Z, 0-9 and _.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it is reached.
    pub rule: Rule,
    /// Points that it gives; 0 unless said.
    pub points: Option<u32>,
    /// Its badge: a name or the address of a picture.
    pub badge: Option<String>,
}
operation! { CreateAchievement => AchievementView, "reward.create_achievement", Post "/api/rewards/achievements", Permission("reward:write"), 201, "\
Creates an achievement.", keyed }

/// Changes an achievement; who has it keeps it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAchievement {
    /// Which.
    pub id: AchievementId,
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    #[serde(default)]
    pub description: Patch<String>,
    /// Another rule.
    pub rule: Option<Rule>,
    /// Other points.
    pub points: Option<u32>,
    /// Another badge.
    #[serde(default)]
    pub badge: Patch<String>,
}
operation! { UpdateAchievement => AchievementView, "reward.update_achievement", Patch "/api/rewards/achievements/{id}", Permission("reward:write"), 200, "\
Updates an achievement." }

/// Deletes an achievement; who has it keeps it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAchievement {
    /// Which.
    pub id: AchievementId,
}
operation! { DeleteAchievement => (), "reward.delete_achievement", Delete "/api/rewards/achievements/{id}", Permission("reward:write"), 204, "Deletes an achievement." }

/// Something to achieve.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AchievementView {
    /// Its id.
    pub id: AchievementId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it is reached.
    pub rule: Rule,
    /// Points that it gives.
    pub points: i64,
    /// Its badge.
    pub badge: Option<String>,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
json_reply!(AchievementView, etag version);

/// Lists the catalogue.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOffers {
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}
operation! { ListOffers => Page<OfferView>, "reward.list_offers", Get "/api/rewards/catalogue", Anyone, 200, "\
The offers that points can buy." }

/// Asks for one offer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOffer {
    /// Which.
    pub id: OfferId,
}
operation! { GetOffer => OfferView, "reward.get_offer", Get "/api/rewards/catalogue/{id}", Anyone, 200, "One offer." }

/// Makes an offer: a personal coupon for points.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateOffer {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// What it costs: 1 to 1,000,000,000.
    pub points: u32,
    /// The promotion that the coupon is the key to.
    pub promotion_id: PromotionId,
    /// Days that the coupon is good from when it is taken; null for ever.
    pub valid_days: Option<u32>,
}
operation! { CreateOffer => OfferView, "reward.create_offer", Post "/api/rewards/catalogue", Permission("reward:write"), 201, "\
Creates an offer.", keyed }

/// Changes an offer; coupons that were taken stay as they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateOffer {
    /// Which.
    pub id: OfferId,
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    #[serde(default)]
    pub description: Patch<String>,
    /// Another price.
    pub points: Option<u32>,
    /// Another promotion.
    pub promotion_id: Option<PromotionId>,
    /// Other days; null for ever.
    #[serde(default)]
    pub valid_days: Patch<u32>,
}
operation! { UpdateOffer => OfferView, "reward.update_offer", Patch "/api/rewards/catalogue/{id}", Permission("reward:write"), 200, "\
Updates an offer." }

/// Deletes an offer; coupons that were taken stay.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOffer {
    /// Which.
    pub id: OfferId,
}
operation! { DeleteOffer => (), "reward.delete_offer", Delete "/api/rewards/catalogue/{id}", Permission("reward:write"), 204, "Deletes an offer." }

/// An offer of the catalogue.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferView {
    /// Its id.
    pub id: OfferId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What it costs.
    pub points: i64,
    /// The promotion that the coupon is the key to.
    pub promotion_id: PromotionId,
    /// Days that the coupon is good.
    pub valid_days: Option<u32>,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
json_reply!(OfferView, etag version);

/// Takes an offer: points for a personal coupon.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedeemOffer {
    /// Which.
    pub id: OfferId,
}
operation! { RedeemOffer => RedemptionView, "reward.redeem_offer", Post "/api/rewards/catalogue/{id}/redeem", User, 201, "\
Exchanges points for a personal coupon.", keyed }

/// Lists what a user took of the catalogue, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRedemptions {
    /// The user's id.
    pub id: UserId,
    /// How many at most.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}
operation! { ListRedemptions => Page<RedemptionView>, "reward.list_redemptions", Get "/api/rewards/account/{id}/redemptions", User, 200, "\
The offers that a user has redeemed." }

/// An offer that was taken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedemptionView {
    /// Its id.
    pub id: RedemptionId,
    /// The offer.
    pub offer_id: OfferId,
    /// What it cost.
    pub points: i64,
    /// PENDING while the coupon is being made.
    pub status: RedemptionStatus,
    /// The coupon.
    pub coupon_code: Option<String>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When it was done.
    pub completed_at: Option<Timestamp>,
}
json_reply!(RedemptionView, status http_status);

impl RedemptionView {
    /// 202 while the coupon is being made.
    fn http_status(&self) -> Option<u16> {
        (self.status == RedemptionStatus::Pending).then_some(202)
    }
}
