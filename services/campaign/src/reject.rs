//! What campaigns refuse, and the codes a caller may branch on.

use promox_contract::ids::{CampaignId, OrderId, PromotionId};
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Currency, Error};
use promox_storage::{StoreError, carries_errors};

use crate::records::CampaignStatus;
use crate::rules::machine::allowed;

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// The graph has no such move.
    Transition { from: CampaignStatus, to: CampaignStatus },
    /// It cannot be scheduled without a start.
    NoStart,
    /// Its end has passed.
    Over,
    /// Its budget is spent.
    Spent,
    /// What is over is not changed any more, but for its name and description.
    Closed { status: CampaignStatus },
    /// It runs already: its start stays.
    Started,
    /// More than the new budget is taken already.
    BudgetTaken { taken: Amount, currency: Currency },
    /// It has been ACTIVE: the books keep it.
    Kept { status: CampaignStatus },
    /// A budget has not enough left for an order.
    Exhausted { campaign_id: CampaignId, left: Amount },
    /// The order gave its budgets back.
    Released { order_id: OrderId },
    /// Something belongs to the campaign.
    Used { member: &'static str, what: &'static str, id: i64 },
    /// A promotion's conditions name the segment.
    SegmentNamed { promotion_id: PromotionId },
    /// A campaign has the segment as its audience.
    SegmentInUse { campaign_id: CampaignId },
    /// Another segment has the name.
    NameTaken { name: String },
    /// So many segments there can be.
    TooManySegments { most: usize },
    /// There is no such thing.
    Absent(&'static str),
    /// The caller knows another version, or something else that has its words already.
    Other(Error),
    /// The store did not do it.
    Store(StoreError),
}

carries_errors!(Reject);

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Transition { from, to } => transition(from, to),
            Reject::NoStart => Self::conflict("START_MISSING", "It has no startsAt: set one, or activate it at once."),
            Reject::Over => Self::conflict("CAMPAIGN_OVER", "Its endsAt has passed: set a later one first."),
            Reject::Spent => Self::conflict("BUDGET_SPENT", "Its budget is spent: raise it first."),
            Reject::Closed { status } => Self::conflict(
                "CAMPAIGN_CLOSED",
                format!("It is {status}: only its name and description can be changed."),
            ),
            Reject::Started => {
                Self::conflict("CAMPAIGN_STARTED", "It has started: its startsAt cannot be changed any more.")
            }
            Reject::BudgetTaken { taken, currency } => Self::conflict(
                "BUDGET_TAKEN",
                format!("Orders have taken {taken} {currency} of it: the budget cannot be below that."),
            )
            .with("taken", taken),
            Reject::Kept { status } => Self::conflict(
                "CAMPAIGN_KEPT",
                format!("It is {status} and has run: the books keep it. End or cancel it instead."),
            ),
            Reject::Exhausted { campaign_id, left } => Self::refused(
                "PROMOTION_INVALID",
                format!("The budget of campaign {campaign_id} has only {left} left."),
            )
            .with("reason", RejectReason::BudgetExhausted)
            .with("campaignId", campaign_id),
            Reject::Released { order_id } => {
                Self::conflict("BUDGET_RELEASED", format!("Order {order_id} has given its budgets back."))
            }
            Reject::Used { member, what, id } => Self::conflict(
                "CAMPAIGN_IN_USE",
                format!("The {what} {id} is under it: take that out first, or cancel the campaign."),
            )
            .with(member, id),
            Reject::SegmentNamed { promotion_id } => Self::conflict(
                "SEGMENT_IN_USE",
                format!("The conditions of promotion {promotion_id} name it: change those first."),
            )
            .with("promotionId", promotion_id),
            Reject::SegmentInUse { campaign_id } => Self::conflict(
                "SEGMENT_IN_USE",
                format!("It is the audience of campaign {campaign_id}: change that first."),
            )
            .with("campaignId", campaign_id),
            Reject::NameTaken { name } => {
                Self::conflict("SEGMENT_NAME_TAKEN", format!("There is a segment \"{name}\" already."))
            }
            Reject::TooManySegments { most } => {
                Self::conflict("TOO_MANY_SEGMENTS", format!("There can be {most} segments: delete one first."))
            }
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

fn transition(from: CampaignStatus, to: CampaignStatus) -> Error {
    let allowed = allowed(from);
    let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let words = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Error::conflict("INVALID_TRANSITION", format!("From {from} it can become {words}, not {to}."))
        .with("from", from)
        .with("allowed", allowed)
}
