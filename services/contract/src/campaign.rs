//! Operations of the campaign service for other services: status, budgets and the segments of a customer.

use promox_kernel::{Amount, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, OrderId};
use crate::promotion::Customer;

/// Gets the current status of campaigns for a customer. Unknown campaigns are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignStates {
    /// The ids.
    pub ids: Vec<CampaignId>,
    /// The customer who is compared with the audience; null skips the check.
    pub customer: Option<Customer>,
}
operation! { GetCampaignStates => CampaignStateList, "campaign.states", internal, "The status of campaigns." }

/// The answer to [`GetCampaignStates`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignStateList {
    /// The campaigns found.
    pub items: Vec<CampaignState>,
}
json_reply!(CampaignStateList);

/// The status of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignState {
    /// The id.
    pub id: CampaignId,
    /// Whether the campaign applies now: its status is ACTIVE and its schedule is open.
    pub running: bool,
    /// The reason why it does not apply, if it does not.
    pub reason: Option<crate::promotion::RejectReason>,
    /// Whether the customer is in its audience.
    pub in_audience: bool,
    /// The amount that is left of the budget; null if the campaign has none.
    pub left: Option<Amount>,
}

/// Gets the names of the segments that a customer is in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCustomerSegments {
    /// The customer, without segments.
    pub customer: Customer,
}
operation! {
    GetCustomerSegments => SegmentNames, "campaign.get_customer_segments", internal,
    "The segments that a customer is in."
}

/// Names of segments.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentNames {
    /// The names.
    pub names: Vec<String>,
}
json_reply!(SegmentNames);

/// Holds amounts of campaign budgets for an order, all or nothing, until the order ends. Repeating the request changes
/// nothing. 422 `PROMOTION_INVALID` with the reason `BUDGET_EXHAUSTED` and the campaign if too little of a budget is
/// left.
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

/// Releases the amounts of campaign budgets that an order holds or has spent. It has an effect once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBudgets {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseBudgets => (), "campaign.release_budgets", internal, "Releases an order's campaign budgets." }

/// The data of every event of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

/// The audit's name for the check that promotions and campaigns agree on the [`shares`](crate::promotion::shares) of
/// the campaigns that pay for each order's promotions.
pub const BUDGETED: &str = "campaign: spent = discounts of active orders that use it";
