//! The HTTP operations of the promotion service, their requests and replies.

mod calculate;

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::{CampaignId, OrderId, PromotionId};
use promox_kernel::{Amount, Cursor, Limit, Page, Patch, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::calculate::*;
pub use crate::records::PromotionStatus;
use crate::rules::{ActionSpec, Limits, Promotion, Stacking, Stage};

/// Lists promotions, newest first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPromotions {
    /// Only promotions with this status.
    pub status: Option<PromotionStatus>,
    /// Only promotions of this stage.
    pub stage: Option<Stage>,
    /// Only promotions of this campaign.
    pub campaign_id: Option<CampaignId>,
    /// Only promotions whose name or code contains this text, in any case.
    pub q: Option<String>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! { ListPromotions => Page<PromotionView>, "promotion.list", Get "/api/promotions", Permission("promotion:read"), 200, "Lists promotions." }

/// Creates a promotion. It is a DRAFT until it is activated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CreatePromotion(pub Promotion);
operation! {
    CreatePromotion => PromotionView, "promotion.create", Post "/api/promotions", Permission("promotion:write"), 201,
    "Creates a promotion.", keyed
}

/// Gets a promotion.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetPromotion {
    /// The id.
    pub id: PromotionId,
}
operation! {
    GetPromotion => PromotionView, "promotion.get", Get "/api/promotions/{id}", Permission("promotion:read"), 200,
    "Gets a promotion."
}

/// Updates a promotion by JSON Merge Patch: members that are objects are merged, and lists are replaced.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePromotion {
    /// The id.
    pub id: PromotionId,
    /// The name.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub name: Patch<Value>,
    /// The code that activates it; null for an automatic one.
    #[serde(default)]
    #[schemars(with = "Patch<String>")]
    pub code: Patch<Value>,
    /// Whether it applies only through its coupons.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub coupon_only: Patch<Value>,
    /// The campaign that it belongs to, if any. It applies only while the campaign runs.
    #[serde(default)]
    #[schemars(with = "Patch<CampaignId>")]
    pub campaign_id: Patch<Value>,
    /// The stage that it applies in; `CART` by default.
    #[serde(default)]
    #[schemars(with = "Option<Stage>")]
    pub stage: Patch<Value>,
    /// Higher priorities apply first.
    #[serde(default)]
    #[schemars(with = "Option<i32>")]
    pub priority: Patch<Value>,
    /// How it combines with other promotions.
    #[serde(default)]
    #[schemars(with = "Option<Stacking>")]
    pub stacking: Patch<Value>,
    /// Whether it discounts lines of flash sales.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub include_flash: Patch<Value>,
    /// When it starts.
    #[serde(default)]
    #[schemars(with = "Patch<Timestamp>")]
    pub starts_at: Patch<Value>,
    /// When it ends, exclusive.
    #[serde(default)]
    #[schemars(with = "Patch<Timestamp>")]
    pub ends_at: Patch<Value>,
    /// The IANA time zone of its schedule, conditions and periods.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub timezone: Patch<Value>,
    /// The hours of the week in which it applies.
    #[serde(default)]
    #[schemars(with = "Patch<Schedule>")]
    pub schedule: Patch<Value>,
    /// The conditions.
    #[serde(default)]
    #[schemars(with = "Patch<Condition>")]
    pub when: Patch<Value>,
    /// Its actions, in order; 1 to 8.
    #[serde(default)]
    #[schemars(with = "Option<Vec<ActionSpec>>")]
    pub actions: Patch<Value>,
    /// Its limits.
    #[serde(default)]
    #[schemars(with = "Option<Limits>")]
    pub limits: Patch<Value>,
}
operation! {
    UpdatePromotion => PromotionView, "promotion.update", Patch "/api/promotions/{id}",
    Permission("promotion:write"), 200,
    "Updates a promotion."
}

macro_rules! transitions {
    ($($(#[$meta:meta])* $name:ident = $op:literal $path:literal $summary:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Deserialize, JsonSchema)]
        pub struct $name {
            /// The id.
            pub id: PromotionId,
        }
        operation! { $name => PromotionView, $op, Post $path, Permission("promotion:write"), 200, $summary }
    )+};
}
transitions! {
    /// Activates a DRAFT or PAUSED promotion.
    ActivatePromotion = "promotion.activate" "/api/promotions/{id}/activate" "Activates a promotion.";
    /// Pauses an ACTIVE promotion. It takes effect for the next evaluation on every node.
    PausePromotion = "promotion.pause" "/api/promotions/{id}/pause" "Pauses a promotion.";
    /// Archives a promotion permanently and frees its code.
    ArchivePromotion = "promotion.archive" "/api/promotions/{id}/archive" "Archives a promotion.";
}

/// Deletes a DRAFT. Any other promotion is archived instead, because orders may refer to it, and so is a DRAFT that
/// coupons or offers refer to.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeletePromotion {
    /// The id.
    pub id: PromotionId,
}
operation! {
    DeletePromotion => (), "promotion.delete", Delete "/api/promotions/{id}", Permission("promotion:write"), 204,
    "Deletes a promotion, or archives it if it was used."
}

/// Lists the uses of a promotion by confirmed orders, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ListUsage {
    /// The promotion.
    pub id: PromotionId,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListUsage => Page<UsageView>, "promotion.usage", Get "/api/promotions/{id}/usage",
    Permission("promotion:read"), 200,
    "Lists the uses of a promotion."
}

/// A use of a promotion by a confirmed order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageView {
    /// The order.
    pub order_id: OrderId,
    /// The account of the buyer; null for a guest.
    pub user_id: Option<UserId>,
    /// The code of the coupon, if one was used.
    pub coupon_code: Option<String>,
    /// Its cost: discounts on goods and shipping, and gifts at their catalog price.
    pub amount: Amount,
    /// When the order was confirmed.
    pub used_at: Timestamp,
    /// When it was released; null while it is active.
    pub released_at: Option<Timestamp>,
}

/// A promotion.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionView {
    /// The id.
    pub id: PromotionId,
    /// Its name.
    pub name: String,
    /// The status.
    pub status: PromotionStatus,
    /// The code that activates it; null for an automatic promotion.
    pub code: Option<String>,
    /// Whether it applies only through its coupons.
    pub coupon_only: bool,
    /// The campaign that it belongs to, if any.
    pub campaign_id: Option<CampaignId>,
    /// The stage that it applies in.
    pub stage: Stage,
    /// Higher priorities apply first.
    pub priority: i32,
    /// How it combines with other promotions.
    pub stacking: Stacking,
    /// Whether it discounts lines of flash sales.
    pub include_flash: bool,
    /// When it starts.
    pub starts_at: Option<Timestamp>,
    /// When it ends, exclusive.
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule, conditions and periods.
    pub timezone: String,
    /// The hours of the week in which it applies.
    pub schedule: Option<Schedule>,
    /// The conditions.
    pub when: Option<Condition>,
    /// Its actions, in order.
    pub actions: Vec<ActionSpec>,
    /// Its limits.
    pub limits: Option<Limits>,
    /// The number of uses by active orders.
    pub uses: i64,
    /// The total cost of those uses.
    pub spent: Amount,
    /// The version; it increases with each change.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
json_reply!(PromotionView, etag version);
