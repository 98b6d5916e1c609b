//! Requests and replies of rewards.

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Amount, Cursor, Limit, Page, Patch, Timestamp, UserId, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{AchievementId, EntryId, EntryKind, OfferId, OfferRedemptionStatus, RedemptionId};
use crate::rules::achievement::Rule;
use crate::rules::ladder::{Ladder, Tier};
use crate::settings::{RewardPatch, RewardSettings};

/// Gets a user's account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetAccount {
    /// The user's id.
    pub id: UserId,
}
operation! {
    GetAccount => AccountView, "reward.get_account", Get "/api/rewards/account/{id}",
    UserOr("reward:read"), 200,
    "Gets a user's points and tier. The account of another user requires `reward:read`."
}

/// A user's points and tier.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// The user.
    pub user_id: UserId,
    /// The tier, determined by the points earned in the last 365 days.
    pub tier: Tier,
    /// The points that can be spent: the sum of the available transactions.
    pub balance: i64,
    /// The points that become available later.
    pub pending: i64,
    /// Revoked points that the balance could not cover. They are deducted from the next points.
    pub owed: i64,
    /// All points ever earned minus those revoked.
    pub lifetime_earned: i64,
    /// The points earned in the last 365 days.
    pub tier_points: i64,
    /// The next tier; null if the user has the highest one.
    pub next_tier: Option<Tier>,
    /// The points that are missing for the next tier.
    pub points_to_next_tier: Option<i64>,
    /// The points that expire next, soonest first; at most 12 items.
    pub expiring: Vec<Expiring>,
}
json_reply!(AccountView);

/// Points that expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// The number of points.
    pub points: i64,
    /// When the points expire.
    pub at: Timestamp,
}

/// Lists a user's transactions, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTransactions {
    /// The user's id.
    pub id: UserId,
    /// Only transactions of this type.
    #[serde(rename = "type")]
    pub kind: Option<EntryKind>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListTransactions => Page<TransactionView>, "reward.list_transactions", Get "/api/rewards/account/{id}/transactions",
    UserOr("reward:read"), 200,
    "Lists the points ledger of a user, newest first."
}

/// An entry of the ledger.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView {
    /// The id.
    pub id: EntryId,
    /// The type of the transaction.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// The signed number of points; 0 if there was nothing left to revoke.
    pub points: i64,
    /// The order, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// What the transaction refers to, such as `order:7`, `signup`, `signup:order:7` or `achievement:FIRST_ORDER`.
    pub reference: String,
    /// When the transaction was made.
    pub created_at: Timestamp,
    /// When its points become available, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Timestamp>,
    /// When its points expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

text_enum! {
    /// A filter of a user's achievements.
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
    /// Lists the unlocked achievements or those in progress; the unlocked ones by default.
    pub status: Option<UserAchievementStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListUserAchievements => Page<UserAchievementView>, "reward.list_user_achievements", Get "/api/rewards/account/{id}/achievements",
    UserOr("reward:read"), 200,
    "Lists a user's achievements."
}

/// An achievement of a user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAchievementView {
    /// The achievement.
    pub achievement_id: AchievementId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// A description.
    pub description: String,
    /// Its badge.
    pub badge: Option<String>,
    /// The points that it grants.
    pub points: i64,
    /// The number of events counted so far, while it is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// The sum of the counted events, while it is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<Amount>,
    /// When it was unlocked; null while it is in progress.
    pub unlocked_at: Option<Timestamp>,
}

/// Adds or deducts points manually. The balance cannot become negative.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustPoints {
    /// The user's id.
    pub id: UserId,
    /// The points to add, or to deduct if negative; not 0.
    pub points: i64,
    /// The reason, for the ledger and the audit log: 1 to 200 characters.
    pub reason: String,
}
operation! {
    AdjustPoints => AccountView, "reward.adjust", Post "/api/rewards/account/{id}/adjust",
    Permission("reward:write"), 200,
    "Adds or deducts points manually.", keyed
}

/// Gets the five tiers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTiers {}
operation! { GetTiers => Ladder, "reward.get_tiers", Get "/api/rewards/tiers", Anyone, 200, "Gets the five tiers." }

/// Replaces the five tiers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PutTiers(pub Ladder);
operation! {
    PutTiers => Ladder, "reward.put_tiers", Put "/api/rewards/tiers", Permission("reward:write"), 200,
    "Replaces the five tiers."
}

/// Gets the reward settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRewardSettings {}
operation! {
    GetRewardSettings => RewardSettings, "reward.get_settings", Get "/api/rewards/settings",
    Permission("reward:write"), 200,
    "Gets the reward settings: how users earn points and what points are worth."
}

/// Updates the reward settings with a merge patch. Omitted members are not changed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PatchRewardSettings(pub RewardPatch);
operation! {
    PatchRewardSettings => RewardSettings, "reward.patch_settings", Patch "/api/rewards/settings",
    Permission("reward:write"), 200,
    "Updates the reward settings."
}

/// Replaces the reward settings as a whole. Every member must be sent, so that nothing is reset silently.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PutRewardSettings(pub RewardSettings);
operation! {
    PutRewardSettings => RewardSettings, "reward.put_settings", Put "/api/rewards/settings",
    Permission("reward:write"), 200,
    "Replaces the reward settings."
}

/// Lists the achievements, ordered by code.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAchievements {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListAchievements => Page<AchievementView>, "reward.list_achievements", Get "/api/rewards/achievements", Anyone, 200,
    "Lists the achievements that users can earn."
}

/// Gets one achievement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetAchievement {
    /// The id.
    pub id: AchievementId,
}
operation! {
    GetAchievement => AchievementView, "reward.get_achievement", Get "/api/rewards/achievements/{id}", Anyone, 200,
    "Gets one achievement."
}

/// Creates an achievement. Only later events count.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateAchievement {
    /// Its code: 1 to 40 characters from A-Z, 0-9 and _.
    pub code: String,
    /// Its name.
    pub name: String,
    /// A description.
    pub description: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// The points that it grants; 0 by default.
    pub points: Option<u32>,
    /// Its badge: a name or the URL of a picture.
    pub badge: Option<String>,
}
operation! {
    CreateAchievement => AchievementView, "reward.create_achievement", Post "/api/rewards/achievements",
    Permission("reward:write"), 201,
    "Creates an achievement.", keyed
}

/// Updates an achievement. Users who have earned it keep it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAchievement {
    /// The id.
    pub id: AchievementId,
    /// The name.
    pub name: Option<String>,
    /// The description.
    #[serde(default)]
    pub description: Patch<String>,
    /// The rule.
    pub rule: Option<Rule>,
    /// The points that it grants.
    pub points: Option<u32>,
    /// The badge.
    #[serde(default)]
    pub badge: Patch<String>,
}
operation! {
    UpdateAchievement => AchievementView, "reward.update_achievement", Patch "/api/rewards/achievements/{id}",
    Permission("reward:write"), 200,
    "Updates an achievement."
}

/// Deletes an achievement. Users who have earned it keep it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAchievement {
    /// The id.
    pub id: AchievementId,
}
operation! {
    DeleteAchievement => (), "reward.delete_achievement", Delete "/api/rewards/achievements/{id}",
    Permission("reward:write"), 204,
    "Deletes an achievement."
}

/// An achievement.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AchievementView {
    /// The id.
    pub id: AchievementId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// A description.
    pub description: String,
    /// The rule.
    pub rule: Rule,
    /// The points that it grants.
    pub points: i64,
    /// Its badge.
    pub badge: Option<String>,
    /// The version; it increases with each change.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
json_reply!(AchievementView, etag version);

/// Lists the offers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOffers {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListOffers => Page<OfferView>, "reward.list_offers", Get "/api/rewards/catalogue", Anyone, 200,
    "Lists the offers that points can buy."
}

/// Gets one offer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetOffer {
    /// The id.
    pub id: OfferId,
}
operation! {
    GetOffer => OfferView, "reward.get_offer", Get "/api/rewards/catalogue/{id}", Anyone, 200,
    "Gets one offer."
}

/// Creates an offer of a personal coupon for points.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateOffer {
    /// Its name.
    pub name: String,
    /// A description.
    pub description: Option<String>,
    /// The price in points: 1 to 1,000,000,000.
    pub points: u32,
    /// The promotion of the coupon.
    pub promotion_id: PromotionId,
    /// The number of days for which the coupon is valid after the redemption; null for no expiry.
    pub valid_days: Option<u32>,
}
operation! {
    CreateOffer => OfferView, "reward.create_offer", Post "/api/rewards/catalogue", Permission("reward:write"), 201,
    "Creates an offer.", keyed
}

/// Updates an offer. Issued coupons do not change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateOffer {
    /// The id.
    pub id: OfferId,
    /// The name.
    pub name: Option<String>,
    /// The description.
    #[serde(default)]
    pub description: Patch<String>,
    /// The price in points.
    pub points: Option<u32>,
    /// The promotion of the coupon.
    pub promotion_id: Option<PromotionId>,
    /// The number of days for which the coupon is valid after the redemption; null for no expiry.
    #[serde(default)]
    pub valid_days: Patch<u32>,
}
operation! {
    UpdateOffer => OfferView, "reward.update_offer", Patch "/api/rewards/catalogue/{id}",
    Permission("reward:write"), 200,
    "Updates an offer."
}

/// Deletes an offer. Issued coupons stay valid.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOffer {
    /// The id.
    pub id: OfferId,
}
operation! {
    DeleteOffer => (), "reward.delete_offer", Delete "/api/rewards/catalogue/{id}", Permission("reward:write"), 204,
    "Deletes an offer."
}

/// An offer of a personal coupon for points.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferView {
    /// The id.
    pub id: OfferId,
    /// Its name.
    pub name: String,
    /// A description.
    pub description: String,
    /// The price in points.
    pub points: i64,
    /// The promotion of the coupon.
    pub promotion_id: PromotionId,
    /// The number of days for which the coupon is valid after the redemption; null for no expiry.
    pub valid_days: Option<u32>,
    /// The version; it increases with each change.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
json_reply!(OfferView, etag version);

/// Redeems an offer: exchanges points for a personal coupon.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedeemOffer {
    /// The id.
    pub id: OfferId,
}
operation! {
    RedeemOffer => RedemptionView, "reward.redeem_offer", Post "/api/rewards/catalogue/{id}/redeem", User, 201,
    "Exchanges points for a personal coupon.", keyed, also [202]
}

/// Lists the offers that a user has redeemed, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRedemptions {
    /// The user's id.
    pub id: UserId,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListRedemptions => Page<RedemptionView>, "reward.list_redemptions", Get "/api/rewards/account/{id}/redemptions",
    UserOr("reward:read"), 200,
    "Lists the offers that a user has redeemed."
}

/// A redeemed offer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OfferRedemptionView")]
pub struct RedemptionView {
    /// The id.
    pub id: RedemptionId,
    /// The offer.
    pub offer_id: OfferId,
    /// The price in points.
    pub points: i64,
    /// The status; PENDING while the coupon is being created.
    pub status: OfferRedemptionStatus,
    /// The code of the coupon; null until it is issued.
    pub coupon_code: Option<String>,
    /// When it was redeemed.
    pub created_at: Timestamp,
    /// When the coupon was issued or the points were restored.
    pub completed_at: Option<Timestamp>,
}
json_reply!(RedemptionView, status http_status);

impl RedemptionView {
    /// The HTTP status: 202 while the coupon is being created.
    fn http_status(&self) -> Option<u16> {
        (self.status == OfferRedemptionStatus::Pending).then_some(202)
    }
}
