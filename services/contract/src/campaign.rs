//! Operations of campaigns for other services: status, budgets, segments of a customer.

use promox_kernel::{Amount, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, OrderId};
use crate::promotion::Customer;

/// Gets the status of campaigns for a customer now. Unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignStates {
    /// The ids.
    pub ids: Vec<CampaignId>,
    /// The customer, who decides the audience; null skips the check.
    pub customer: Option<Customer>,
}
operation! { GetCampaignStates => CampaignStateList, "campaign.states", internal, "The status of campaigns." }

/// The answer to [`GetCampaignStates`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignStateList {
    /// Those found.
    pub items: Vec<CampaignState>,
}
json_reply!(CampaignStateList);

/// The status of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignState {
    /// The id.
    pub id: CampaignId,
    /// Whether the campaign applies now: ACTIVE, and inside its schedule.
    pub running: bool,
    /// Why it does not apply.
    pub reason: Option<crate::promotion::RejectReason>,
    /// Whether the customer is in its audience.
    pub in_audience: bool,
    /// The rest of its budget; null without one.
    pub left: Option<Amount>,
}

/// Lists the segments of a customer, by name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCustomerSegments {
    /// The customer, with empty segments.
    pub customer: Customer,
}
operation! {
    GetCustomerSegments => SegmentNames, "campaign.get_customer_segments", internal,
    "The segments that a customer is in."
}

/// Segments by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentNames {
    /// The names.
    pub names: Vec<String>,
}
json_reply!(SegmentNames);

/// Holds budgets for an order, all or nothing, until the order ends. Repeating it changes nothing. 422
/// `PROMOTION_INVALID` with reason `BUDGET_EXHAUSTED` and the campaign when a budget has too little left.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBudgets {
    /// The order.
    pub order_id: OrderId,
    /// The amounts, each campaign once.
    pub amounts: Vec<CampaignAmount>,
}
operation! { HoldBudgets => (), "campaign.hold_budgets", internal, "Holds campaign budgets for an order." }

/// An amount of a campaign's budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignAmount {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The amount.
    pub amount: Amount,
}

/// Releases an order's budgets, held or spent, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBudgets {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseBudgets => (), "campaign.release_budgets", internal, "Releases an order's campaign budgets." }

/// The data of every event of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignFact {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The user who requested the change; null for scheduled changes.
    pub by: Option<UserId>,
}

facts! { CampaignFact in "campaign":
    /// A campaign became ACTIVE.
    CampaignStarted = "CAMPAIGN_STARTED",
    /// A campaign was paused.
    CampaignPaused = "CAMPAIGN_PAUSED",
    /// A campaign ended.
    CampaignEnded = "CAMPAIGN_ENDED",
}

/// Promotions and campaigns both state for each order the [`shares`](crate::promotion::shares) of the campaigns that
/// pay for its promotions.
pub const BUDGETED: &str = "campaign: spent = discounts of active orders that use it";
