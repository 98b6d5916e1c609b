//! The operations of campaigns and segments, their requests and replies.

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Currency, Cursor, Limit, Page, Patch, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{CampaignStatus, MoveReason, SegmentId};

/// Lists campaigns, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCampaigns {
    /// Only campaigns with this status.
    pub status: Option<CampaignStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListCampaigns => Page<CampaignView>, "campaign.list", Get "/api/campaigns", Permission("campaign:write"), 200,
    "Lists campaigns, newest first."
}

/// Creates a campaign in status DRAFT.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCampaign {
    /// The name, 1 to 200 characters.
    pub name: String,
    /// A description, up to 2,000 characters.
    pub description: Option<String>,
    /// When it starts, if it is SCHEDULED by then.
    pub starts_at: Option<Timestamp>,
    /// When it ends automatically.
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule; the store's by default.
    pub timezone: Option<String>,
    /// The hours of the week in which it applies; all by default.
    pub schedule: Option<Schedule>,
    /// The budget for all discounts under it, in the store's currency.
    pub budget: Option<Amount>,
    /// The names of segments. It applies to customers in any of them; by default, to everyone.
    pub audience: Option<Vec<String>>,
}
operation! {
    CreateCampaign => CampaignView, "campaign.create", Post "/api/campaigns", Permission("campaign:write"), 201,
    "Creates a campaign in status DRAFT.", keyed
}

/// Gets a campaign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaign {
    /// The id.
    pub id: CampaignId,
}
operation! {
    GetCampaign => CampaignView, "campaign.get", Get "/api/campaigns/{id}", Permission("campaign:write"), 200,
    "Gets a campaign."
}

/// Updates a campaign. Members that are left out keep their values. Only the name and description of an ended campaign
/// can be changed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCampaign {
    /// The id.
    pub id: CampaignId,
    /// The name, 1 to 200 characters.
    pub name: Option<String>,
    /// A description, up to 2,000 characters.
    #[serde(default)]
    pub description: Patch<String>,
    /// When it starts. It cannot be changed once the campaign has started.
    #[serde(default)]
    pub starts_at: Patch<Timestamp>,
    /// When it ends automatically.
    #[serde(default)]
    pub ends_at: Patch<Timestamp>,
    /// The IANA time zone of its schedule.
    pub timezone: Option<String>,
    /// The hours of the week in which it applies; null for all.
    #[serde(default)]
    pub schedule: Patch<Schedule>,
    /// The budget for all discounts under it, not lower than what orders have used; null for no budget. A campaign ends
    /// when its budget is spent.
    #[serde(default)]
    pub budget: Patch<Amount>,
    /// The names of segments. It applies to customers in any of them; null for everyone.
    #[serde(default)]
    pub audience: Patch<Vec<String>>,
}
operation! {
    UpdateCampaign => CampaignView, "campaign.update", Patch "/api/campaigns/{id}", Permission("campaign:write"), 200,
    "Updates a campaign."
}

/// Deletes a campaign that has never been ACTIVE. 409 `CAMPAIGN_IN_USE` while a promotion or a flash sale belongs to
/// it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCampaign {
    /// The id.
    pub id: CampaignId,
}
operation! {
    DeleteCampaign => (), "campaign.delete", Delete "/api/campaigns/{id}", Permission("campaign:write"), 204,
    "Deletes a campaign that has never been ACTIVE."
}

/// Lists the status changes of a campaign, oldest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListHistory {
    /// The campaign.
    pub id: CampaignId,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListHistory => Page<MoveView>, "campaign.history", Get "/api/campaigns/{id}/history",
    Permission("campaign:write"), 200,
    "Lists the status changes of a campaign, oldest first."
}

/// Moves a campaign to another status. 409 `INVALID_TRANSITION` lists the allowed ones. A campaign that is activated
/// before its `startsAt` starts immediately.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveCampaign {
    /// The id.
    pub id: CampaignId,
    /// The new status.
    pub to: CampaignStatus,
}
operation! {
    MoveCampaign => CampaignView, "campaign.move", Post "/api/campaigns/{id}/transitions",
    Permission("campaign:write"), 200,
    "Moves a campaign to another status.", keyed
}

/// A campaign.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// The id.
    pub id: CampaignId,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The status.
    pub status: CampaignStatus,
    /// When it starts or has started.
    pub starts_at: Option<Timestamp>,
    /// When it ends automatically.
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule.
    pub timezone: String,
    /// The hours of the week in which it applies; null for all.
    pub schedule: Option<Schedule>,
    /// The budget for all discounts under it; null for no budget.
    pub budget: Option<Amount>,
    /// The discounts of confirmed orders.
    pub spent: Amount,
    /// The discounts of orders in progress.
    pub held: Amount,
    /// The currency of these amounts.
    pub currency: Currency,
    /// The names of segments. It applies to customers in any of them; null for everyone.
    pub audience: Option<Vec<String>>,
    /// The version; it increases with each edit and status change.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last edited or changed status.
    pub updated_at: Timestamp,
}
json_reply!(CampaignView, etag version);

/// A status change of a campaign.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveView {
    /// The previous status; null for the creation.
    pub from: Option<CampaignStatus>,
    /// The new status.
    pub to: CampaignStatus,
    /// The reason.
    pub reason: MoveReason,
    /// The user who requested it; null for an automatic change.
    pub by: Option<UserId>,
    /// The scheduled time of a scheduled change.
    pub due_at: Option<Timestamp>,
    /// When the status changed.
    pub at: Timestamp,
}

/// Lists customer segments by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSegments {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListSegments => Page<SegmentView>, "campaign.segments", Get "/api/segments", Permission("campaign:write"), 200,
    "Lists customer segments by name."
}

/// Creates a segment, defined either by a rule or by a list of accounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSegment {
    /// The name, 1 to 100 characters, by which conditions and audiences refer to it.
    pub name: String,
    /// The rule, with conditions on `customer.…` fields.
    pub rule: Option<Condition>,
    /// The accounts in it, up to 8,000, instead of a rule.
    pub user_ids: Option<Vec<UserId>>,
}
operation! {
    CreateSegment => SegmentView, "campaign.create_segment", Post "/api/segments", Permission("campaign:write"), 201,
    "Creates a customer segment.", keyed
}

/// Gets a segment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSegment {
    /// The id.
    pub id: SegmentId,
}
operation! {
    GetSegment => SegmentView, "campaign.segment", Get "/api/segments/{id}", Permission("campaign:write"), 200,
    "Gets a segment."
}

/// Updates a segment. Members that are left out keep their values. A rule replaces a list of accounts and vice versa.
/// 409 `SEGMENT_IN_USE` if the name would change while conditions of promotions refer to it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSegment {
    /// The id.
    pub id: SegmentId,
    /// The name, 1 to 100 characters.
    pub name: Option<String>,
    /// The rule.
    #[serde(default)]
    pub rule: Patch<Condition>,
    /// The accounts in it, up to 8,000, instead of a rule.
    #[serde(default)]
    pub user_ids: Patch<Vec<UserId>>,
}
operation! {
    UpdateSegment => SegmentView, "campaign.update_segment", Patch "/api/segments/{id}",
    Permission("campaign:write"), 200,
    "Updates a segment."
}

/// Deletes a segment. 409 `SEGMENT_IN_USE` if it is in the audience of a campaign or conditions of promotions refer to
/// it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSegment {
    /// The id.
    pub id: SegmentId,
}
operation! {
    DeleteSegment => (), "campaign.delete_segment", Delete "/api/segments/{id}", Permission("campaign:write"), 204,
    "Deletes a segment that nothing refers to."
}

/// A segment of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentView {
    /// The id.
    pub id: SegmentId,
    /// The name.
    pub name: String,
    /// The rule, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Condition>,
    /// The accounts in it, if it has a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_ids: Option<Vec<UserId>>,
    /// The version; it increases with each edit.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}
json_reply!(SegmentView, etag version);
