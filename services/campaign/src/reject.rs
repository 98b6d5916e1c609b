//! Refusals of campaigns; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::{CampaignId, OrderId, PromotionId};
use promox_contract::promotion::RejectReason;
use promox_contract::refusal::PromotionUnusable;
use promox_kernel::{Amount, Currency, Error};

use crate::records::CampaignStatus;
use crate::rules::machine::allowed;

/// INVALID_TRANSITION: the status does not allow this transition. The refusal lists those that are allowed.
pub(crate) fn invalid_transition(from: CampaignStatus, to: CampaignStatus) -> Error {
    let allowed = allowed(from);
    let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let words = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Error::conflict(codes::INVALID_TRANSITION, format!("A campaign that is {from} can become {words}, not {to}."))
        .with("from", from)
        .with("allowed", allowed)
}

/// START_MISSING: the campaign cannot be scheduled without a start.
pub(crate) fn start_missing() -> Error {
    Error::conflict(codes::START_MISSING, "The campaign has no startsAt: set one, or activate it immediately.")
}

/// CAMPAIGN_OVER: the campaign's end has passed.
pub(crate) fn campaign_over() -> Error {
    Error::conflict(codes::CAMPAIGN_OVER, "The campaign's endsAt has passed: set a later one first.")
}

/// BUDGET_SPENT: the campaign's budget is spent.
pub(crate) fn budget_spent() -> Error {
    Error::conflict(codes::BUDGET_SPENT, "The campaign's budget is spent: raise it first.")
}

/// CAMPAIGN_CLOSED: only the name and description of an ended campaign can be changed.
pub(crate) fn campaign_closed(status: CampaignStatus) -> Error {
    Error::conflict(
        codes::CAMPAIGN_CLOSED,
        format!("The campaign is {status}: only its name and description can be changed."),
    )
}

/// CAMPAIGN_STARTED: the start of a campaign that has started cannot be changed.
pub(crate) fn campaign_started() -> Error {
    Error::conflict(codes::CAMPAIGN_STARTED, "The campaign has started: its startsAt can no longer be changed.")
}

/// BUDGET_TAKEN: orders have used more than the new budget.
pub(crate) fn budget_taken(taken: Amount, currency: Currency) -> Error {
    Error::conflict(
        codes::BUDGET_TAKEN,
        format!("Orders have used {taken} {currency} of the budget: it cannot be lower than that."),
    )
    .with("taken", taken)
}

/// CAMPAIGN_KEPT: a campaign that has been ACTIVE is kept for the records.
pub(crate) fn campaign_kept(status: CampaignStatus) -> Error {
    Error::conflict(
        codes::CAMPAIGN_KEPT,
        format!("The campaign is {status} and has run, so it cannot be deleted. End or cancel it instead."),
    )
}

/// The budget of a campaign does not suffice for an order.
pub(crate) fn budget_exhausted(campaign_id: CampaignId, left: Amount) -> Error {
    let refused =
        PromotionUnusable { promotion_id: None, campaign_id: Some(campaign_id), reason: RejectReason::BudgetExhausted };
    refused.refusal(format!("The budget of campaign {campaign_id} has only {left} left."))
}

/// BUDGET_RELEASED: the order has already released its budget uses.
pub(crate) fn budget_released(order_id: OrderId) -> Error {
    Error::conflict(codes::BUDGET_RELEASED, format!("The budget uses of order {order_id} were already released."))
}

/// CAMPAIGN_IN_USE: a promotion or flash sale belongs to the campaign.
pub(crate) fn campaign_in_use(member: &'static str, what: &'static str, id: i64) -> Error {
    Error::conflict(
        codes::CAMPAIGN_IN_USE,
        format!("The {what} {id} belongs to this campaign: remove it first, or cancel the campaign."),
    )
    .with(member, id)
}

/// SEGMENT_IN_USE: the conditions of a promotion refer to the segment.
pub(crate) fn segment_in_promotion(promotion_id: PromotionId) -> Error {
    Error::conflict(
        codes::SEGMENT_IN_USE,
        format!("The conditions of promotion {promotion_id} refer to this segment: change them first."),
    )
    .with("promotionId", promotion_id)
}

/// SEGMENT_IN_USE: the segment is in the audience of a campaign.
pub(crate) fn segment_in_use(campaign_id: CampaignId) -> Error {
    Error::conflict(
        codes::SEGMENT_IN_USE,
        format!("The segment is in the audience of campaign {campaign_id}: change that first."),
    )
    .with("campaignId", campaign_id)
}

/// SEGMENT_NAME_TAKEN: another segment has the name.
pub(crate) fn name_taken(name: String) -> Error {
    Error::conflict(codes::SEGMENT_NAME_TAKEN, format!("A segment named \"{name}\" already exists."))
}

/// TOO_MANY_SEGMENTS: the maximum number of segments is reached.
pub(crate) fn too_many_segments(most: usize) -> Error {
    Error::conflict(codes::TOO_MANY_SEGMENTS, format!("The limit of {most} segments is reached: delete one first."))
}
