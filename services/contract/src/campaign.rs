//! What others ask of campaigns: whether they run, what is left of their budgets, which segments a customer is in.

use promox_kernel::{Amount, UserId, facts, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CampaignId, OrderId};
use crate::promotion::Customer;

/// Asks how campaigns stand for a customer now. Unknown ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignStates {
    /// Which.
    pub ids: Vec<CampaignId>,
    /// For whom: decides the audience; null leaves it unchecked.
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

/// How a campaign stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignState {
    /// Which.
    pub id: CampaignId,
    /// Whether what belongs to it applies now: ACTIVE, and inside its schedule.
    pub running: bool,
    /// Why not, when it is not.
    pub reason: Option<crate::promotion::RejectReason>,
    /// Whether the customer is in its audience.
    pub in_audience: bool,
    /// What is left of its budget; null without one.
    pub left: Option<Amount>,
}

/// Asks which segments a customer is in, by name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCustomerSegments {
    /// The customer, segments left out.
    pub customer: Customer,
}
operation! { GetCustomerSegments => SegmentNames, "campaign.get_customer_segments", internal, "The segments that a customer is in." }

/// Segments by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentNames {
    /// The names.
    pub names: Vec<String>,
}
json_reply!(SegmentNames);

/// Takes budgets for an order, all or nothing, pinned until the order ends: 422 `PROMOTION_INVALID` with reason
/// `BUDGET_EXHAUSTED` and the campaign when one has not enough. Asking again for the same order changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBudgets {
    /// For which order.
    pub order_id: OrderId,
    /// How much of each, each campaign once.
    pub amounts: Vec<CampaignAmount>,
}
operation! { HoldBudgets => (), "campaign.hold_budgets", internal, "Holds campaign budgets for an order." }

/// An amount of a campaign's budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignAmount {
    /// Which.
    pub campaign_id: CampaignId,
    /// How much.
    pub amount: Amount,
}

/// Gives an order's budgets back, held or spent, once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBudgets {
    /// Whose.
    pub order_id: OrderId,
}
operation! { ReleaseBudgets => (), "campaign.release_budgets", internal, "Releases an order's campaign budgets." }

/// What every event of a campaign says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignFact {
    /// Which.
    pub campaign_id: CampaignId,
    /// Who asked for it; null when it moved by itself.
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

/// What promotions and campaigns both state of each order, for the auditor to compare:
/// [`shares`](crate::promotion::shares) of the campaigns that pay for its promotions.
pub const BUDGETED: &str = "campaign: spent = discounts of active orders that use it";
