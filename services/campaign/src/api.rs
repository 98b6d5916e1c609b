//! Requests and replies of the campaigns' own routes.

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
    /// Only those that stand so.
    pub status: Option<CampaignStatus>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListCampaigns => Page<CampaignView>, "campaign.list", Get "/api/campaigns", Permission("campaign:write"), 200, "Campaigns, newest first." }

/// Makes a campaign, a DRAFT.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCampaign {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// What it is for, up to 2,000 characters.
    pub description: Option<String>,
    /// When it starts, once it is SCHEDULED.
    pub starts_at: Option<Timestamp>,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule; the store's unless said.
    pub timezone: Option<String>,
    /// Hours of the week in which it applies; all unless said.
    pub schedule: Option<Schedule>,
    /// What orders may be given off under it in all, in the store's currency.
    pub budget: Option<Amount>,
    /// Names of segments; it applies to who is in any of them. Everybody unless said.
    pub audience: Option<Vec<String>>,
}
operation! { CreateCampaign => CampaignView, "campaign.create", Post "/api/campaigns", Permission("campaign:write"), 201, "\
Creates a campaign in status DRAFT.", keyed }

/// One campaign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaign {
    /// Which.
    pub id: CampaignId,
}
operation! { GetCampaign => CampaignView, "campaign.get", Get "/api/campaigns/{id}", Permission("campaign:write"), 200, "One campaign." }

/// Changes the members that are sent. Of a campaign that is over only name and description can be changed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCampaign {
    /// Which.
    pub id: CampaignId,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Patch<String>,
    /// When it starts; stays once it has started.
    #[serde(default)]
    pub starts_at: Patch<Timestamp>,
    /// When it ends by itself.
    #[serde(default)]
    pub ends_at: Patch<Timestamp>,
    /// The IANA time zone of its schedule.
    pub timezone: Option<String>,
    /// Hours of the week in which it applies.
    #[serde(default)]
    pub schedule: Patch<Schedule>,
    /// What orders may be given off under it in all; not below what they have taken. One that is spent ends it.
    #[serde(default)]
    pub budget: Patch<Amount>,
    /// Names of segments.
    #[serde(default)]
    pub audience: Patch<Vec<String>>,
}
operation! { UpdateCampaign => CampaignView, "campaign.update", Patch "/api/campaigns/{id}", Permission("campaign:write"), 200, "\
Updates a campaign." }

/// Deletes a campaign that has never been ACTIVE. 409 `CAMPAIGN_IN_USE` while a promotion or a flash sale is under it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCampaign {
    /// Which.
    pub id: CampaignId,
}
operation! { DeleteCampaign => (), "campaign.delete", Delete "/api/campaigns/{id}", Permission("campaign:write"), 204, "Deletes a campaign that has never been ACTIVE." }

/// A campaign's moves, oldest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListHistory {
    /// Whose.
    pub id: CampaignId,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListHistory => Page<MoveView>, "campaign.history", Get "/api/campaigns/{id}/history", Permission("campaign:write"), 200, "\
The status history of a campaign, oldest first." }

/// Moves a campaign. 409 `INVALID_TRANSITION` lists where it can go. Activated before its `startsAt`, it starts now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveCampaign {
    /// Which.
    pub id: CampaignId,
    /// Where to.
    pub to: CampaignStatus,
}
operation! { MoveCampaign => CampaignView, "campaign.move", Post "/api/campaigns/{id}/transitions", Permission("campaign:write"), 200, "\
Moves a campaign to another status.", keyed }

/// A campaign.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// Which.
    pub id: CampaignId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it stands.
    pub status: CampaignStatus,
    /// When it starts or has started.
    pub starts_at: Option<Timestamp>,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// The time zone of its schedule.
    pub timezone: String,
    /// Hours of the week in which it applies.
    pub schedule: Option<Schedule>,
    /// What orders may be given off under it in all.
    pub budget: Option<Amount>,
    /// What confirmed orders were given.
    pub spent: Amount,
    /// What orders in flight are to be given.
    pub held: Amount,
    /// The currency of these.
    pub currency: Currency,
    /// Names of segments, any of which a customer must be in; null for everybody.
    pub audience: Option<Vec<String>>,
    /// Counts edits and moves.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was edited or moved last.
    pub updated_at: Timestamp,
}
json_reply!(CampaignView, etag version);

/// A move of a campaign.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveView {
    /// From where; null when it was made.
    pub from: Option<CampaignStatus>,
    /// To where.
    pub to: CampaignStatus,
    /// Why.
    pub reason: MoveReason,
    /// Who asked for it; null when it moved by itself.
    pub by: Option<UserId>,
    /// The time that moved it, if one did.
    pub due_at: Option<Timestamp>,
    /// When it moved.
    pub at: Timestamp,
}

/// A page of segments, by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSegments {
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListSegments => Page<SegmentView>, "campaign.segments", Get "/api/segments", Permission("campaign:write"), 200, "\
Customer segments, by name." }

/// Makes a segment, of a rule or of listed accounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSegment {
    /// Its name, 1 to 100 characters, which conditions and audiences refer to.
    pub name: String,
    /// Who is in it: conditions over `customer.…`.
    pub rule: Option<Condition>,
    /// Or who is in it by account, up to 8,000.
    pub user_ids: Option<Vec<UserId>>,
}
operation! { CreateSegment => SegmentView, "campaign.create_segment", Post "/api/segments", Permission("campaign:write"), 201, "\
Creates a customer segment.", keyed }

/// One segment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSegment {
    /// Which.
    pub id: SegmentId,
}
operation! { GetSegment => SegmentView, "campaign.segment", Get "/api/segments/{id}", Permission("campaign:write"), 200, "One segment." }

/// Changes the members that are sent. A rule takes the place of listed accounts, and they of a rule. A name that conditions
/// of promotions say stays: 409 `SEGMENT_IN_USE`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSegment {
    /// Which.
    pub id: SegmentId,
    /// Its name. Conditions that refer to the old one do not follow.
    pub name: Option<String>,
    /// Who is in it.
    #[serde(default)]
    pub rule: Patch<Condition>,
    /// Or who is in it by account.
    #[serde(default)]
    pub user_ids: Patch<Vec<UserId>>,
}
operation! { UpdateSegment => SegmentView, "campaign.update_segment", Patch "/api/segments/{id}", Permission("campaign:write"), 200, "\
Updates a segment." }

/// Deletes a segment that is no campaign's audience and that no conditions of a promotion name, else 409 `SEGMENT_IN_USE`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSegment {
    /// Which.
    pub id: SegmentId,
}
operation! { DeleteSegment => (), "campaign.delete_segment", Delete "/api/segments/{id}", Permission("campaign:write"), 204, "\
Deletes a segment that nothing refers to." }

/// A segment of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentView {
    /// Which.
    pub id: SegmentId,
    /// Its name.
    pub name: String,
    /// Who is in it, if it is a rule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Condition>,
    /// Who is in it by account, if it is a list's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_ids: Option<Vec<UserId>>,
    /// Counts edits.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was edited last.
    pub updated_at: Timestamp,
}
json_reply!(SegmentView, etag version);
