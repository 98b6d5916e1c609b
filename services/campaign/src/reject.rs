//! Refusals of campaigns; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::{CampaignId, OrderId, PromotionId};
use promox_contract::promotion::RejectReason;
use promox_contract::refusal::PromotionUnusable;
use promox_kernel::{Amount, Currency, Error};

use crate::records::CampaignStatus;
use crate::rules::machine::allowed;

/// The graph has no such transition.
pub(crate) fn transition(from: CampaignStatus, to: CampaignStatus) -> Error {
    let allowed = allowed(from);
    let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let words = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Error::conflict(codes::INVALID_TRANSITION, format!("A campaign that is {from} can become {words}, not {to}."))
        .with("from", from)
        .with("allowed", allowed)
}

/// It cannot be scheduled without a start.
pub(crate) fn no_start() -> Error {
    Error::conflict(codes::START_MISSING, "The campaign has no startsAt: set one, or activate it at once.")
}

/// Its end has passed.
pub(crate) fn over() -> Error {
    Error::conflict(codes::CAMPAIGN_OVER, "The campaign's endsAt has passed: set a later one first.")
}

/// Its budget is spent.
pub(crate) fn spent() -> Error {
    Error::conflict(codes::BUDGET_SPENT, "The campaign's budget is spent: raise it first.")
}

/// Of an ended campaign only name and description can be changed.
pub(crate) fn closed(status: CampaignStatus) -> Error {
    Error::conflict(
        codes::CAMPAIGN_CLOSED,
        format!("The campaign is {status}: only its name and description can be changed."),
    )
}

/// It has started, so its start is fixed.
pub(crate) fn started() -> Error {
    Error::conflict(codes::CAMPAIGN_STARTED, "The campaign has started: its startsAt can no longer be changed.")
}

/// Orders have used more than the new budget.
pub(crate) fn budget_taken(taken: Amount, currency: Currency) -> Error {
    Error::conflict(
        codes::BUDGET_TAKEN,
        format!("Orders have used {taken} {currency} of the budget: it cannot be lower than that."),
    )
    .with("taken", taken)
}

/// It has been ACTIVE, so it is kept for the records.
pub(crate) fn kept(status: CampaignStatus) -> Error {
    Error::conflict(
        codes::CAMPAIGN_KEPT,
        format!("The campaign is {status} and has run, so it cannot be deleted. End or cancel it instead."),
    )
}

/// A budget has too little left for an order.
pub(crate) fn exhausted(campaign_id: CampaignId, left: Amount) -> Error {
    let refused =
        PromotionUnusable { promotion_id: None, campaign_id: Some(campaign_id), reason: RejectReason::BudgetExhausted };
    refused.refusal(format!("The budget of campaign {campaign_id} has only {left} left."))
}

/// The order has released its budgets.
pub(crate) fn released(order_id: OrderId) -> Error {
    Error::conflict(codes::BUDGET_RELEASED, format!("The budget uses of order {order_id} were already released."))
}

/// A promotion or flash sale belongs to the campaign.
pub(crate) fn used(member: &'static str, what: &'static str, id: i64) -> Error {
    Error::conflict(
        codes::CAMPAIGN_IN_USE,
        format!("The {what} {id} belongs to this campaign: remove it first, or cancel the campaign."),
    )
    .with(member, id)
}

/// A promotion's conditions name the segment.
pub(crate) fn segment_named(promotion_id: PromotionId) -> Error {
    Error::conflict(
        codes::SEGMENT_IN_USE,
        format!("The conditions of promotion {promotion_id} refer to this segment: change them first."),
    )
    .with("promotionId", promotion_id)
}

/// A campaign has the segment in its audience.
pub(crate) fn segment_in_use(campaign_id: CampaignId) -> Error {
    Error::conflict(
        codes::SEGMENT_IN_USE,
        format!("The segment is in the audience of campaign {campaign_id}: change that first."),
    )
    .with("campaignId", campaign_id)
}

/// Another segment has the name.
pub(crate) fn name_taken(name: String) -> Error {
    Error::conflict(codes::SEGMENT_NAME_TAKEN, format!("A segment named \"{name}\" already exists."))
}

/// The maximum of segments is reached.
pub(crate) fn too_many_segments(most: usize) -> Error {
    Error::conflict(codes::TOO_MANY_SEGMENTS, format!("The limit of {most} segments is reached: delete one first."))
}
