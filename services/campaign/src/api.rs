//! Requests and replies of campaigns.

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Currency, Cursor, Limit, Page, Patch, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{CampaignStatus, MoveReason, SegmentId};

/// A page of campaigns, newest first.
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
    "Campaigns, newest first."
}

/// Creates a campaign, a DRAFT.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCampaign {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// A description, up to 2,000 characters.
    pub description: Option<String>,
    /// When it starts, once it is SCHEDULED.
    pub starts_at: Option<Timestamp>,
    /// When it ends automatically.
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule; by default the store's.
    pub timezone: Option<String>,
    /// Hours of the week in which it applies; by default all.
    pub schedule: Option<Schedule>,
    /// The budget for all discounts under it, in the store's currency.
    pub budget: Option<Amount>,
    /// Names of segments; it applies to customers in any of them. By default to everybody.
    pub audience: Option<Vec<String>>,
}
operation! {
    CreateCampaign => CampaignView, "campaign.create", Post "/api/campaigns", Permission("campaign:write"), 201,
    "Creates a campaign in status DRAFT.", keyed
}

/// One campaign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaign {
    /// The id.
    pub id: CampaignId,
}
operation! {
    GetCampaign => CampaignView, "campaign.get", Get "/api/campaigns/{id}", Permission("campaign:write"), 200,
    "One campaign."
}

/// Updates the members that are sent. Of an ended campaign only name and description can be changed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCampaign {
    /// The id.
    pub id: CampaignId,
    /// Its name.
    pub name: Option<String>,
    /// A description.
    #[serde(default)]
    pub description: Patch<String>,
    /// When it starts; fixed once it has started.
    #[serde(default)]
    pub starts_at: Patch<Timestamp>,
    /// When it ends automatically.
    #[serde(default)]
    pub ends_at: Patch<Timestamp>,
    /// The IANA time zone of its schedule.
    pub timezone: Option<String>,
    /// Hours of the week in which it applies.
    #[serde(default)]
    pub schedule: Patch<Schedule>,
    /// The budget for all discounts under it; not below what orders have used. A campaign ends when its budget is
    /// spent.
    #[serde(default)]
    pub budget: Patch<Amount>,
    /// Names of segments.
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

/// A campaign's status history, oldest first.
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
    "The status history of a campaign, oldest first."
}

/// Moves a campaign to another status. 409 `INVALID_TRANSITION` lists the allowed ones. Activated before its
/// `startsAt`, it starts now.
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
    /// Its name.
    pub name: String,
    /// A description.
    pub description: String,
    /// The status.
    pub status: CampaignStatus,
    /// When it starts or has started.
    pub starts_at: Option<Timestamp>,
    /// When it ends automatically.
    pub ends_at: Option<Timestamp>,
    /// The time zone of its schedule.
    pub timezone: String,
    /// Hours of the week in which it applies.
    pub schedule: Option<Schedule>,
    /// The budget for all discounts under it.
    pub budget: Option<Amount>,
    /// Discounts of confirmed orders.
    pub spent: Amount,
    /// Discounts of orders in progress.
    pub held: Amount,
    /// The currency of these amounts.
    pub currency: Currency,
    /// Names of segments; a customer must be in any of them. Null for everybody.
    pub audience: Option<Vec<String>>,
    /// Counts edits and status changes.
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
    /// The previous status; null when it was created.
    pub from: Option<CampaignStatus>,
    /// The new status.
    pub to: CampaignStatus,
    /// The reason.
    pub reason: MoveReason,
    /// The user who requested it; null for an automatic change.
    pub by: Option<UserId>,
    /// The scheduled time, if there was one.
    pub due_at: Option<Timestamp>,
    /// When it happened.
    pub at: Timestamp,
}

/// A page of segments, by name.
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
    "Customer segments, by name."
}

/// Creates a segment, by a rule or a list of accounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSegment {
    /// Its name, 1 to 100 characters, which conditions and audiences refer to.
    pub name: String,
    /// The rule: conditions over `customer.…`.
    pub rule: Option<Condition>,
    /// Or the accounts in it, up to 8,000.
    pub user_ids: Option<Vec<UserId>>,
}
operation! {
    CreateSegment => SegmentView, "campaign.create_segment", Post "/api/segments", Permission("campaign:write"), 201,
    "Creates a customer segment.", keyed
}

/// One segment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSegment {
    /// The id.
    pub id: SegmentId,
}
operation! {
    GetSegment => SegmentView, "campaign.segment", Get "/api/segments/{id}", Permission("campaign:write"), 200,
    "One segment."
}

/// Updates the members that are sent. A rule replaces a list of accounts and vice versa. A name that conditions of
/// promotions use cannot be changed: 409 `SEGMENT_IN_USE`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSegment {
    /// The id.
    pub id: SegmentId,
    /// Its name. Conditions that refer to the old one are not updated.
    pub name: Option<String>,
    /// The rule.
    #[serde(default)]
    pub rule: Patch<Condition>,
    /// Or the accounts in it.
    #[serde(default)]
    pub user_ids: Patch<Vec<UserId>>,
}
operation! {
    UpdateSegment => SegmentView, "campaign.update_segment", Patch "/api/segments/{id}",
    Permission("campaign:write"), 200,
    "Updates a segment."
}

/// Deletes a segment that is not in a campaign's audience and that no promotion's conditions use, else 409
/// `SEGMENT_IN_USE`.
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
    /// Its name.
    pub name: String,
    /// The rule, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Condition>,
    /// The accounts in it, if it has a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_ids: Option<Vec<UserId>>,
    /// Counts edits.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}
json_reply!(SegmentView, etag version);
