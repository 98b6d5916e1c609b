//! Audit of campaigns: recomputes budgets from the orders that use them, and statuses from their histories.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::campaign::BUDGETED;
use promox_contract::ids::{CampaignId, OrderId};
use promox_contract::promotion::shares;
use promox_contract::store::IN_CURRENCY;
use promox_kernel::{Amount, UserId};
use promox_storage::{Hold, HoldState, Report, StoreError, Tx};

use crate::records::{BudgetUse, Campaign, CampaignStatus, Member, Move, Segment, SegmentId};
use crate::rules::machine::allowed;

/// The amounts of each campaign's budget that orders have spent and hold.
type UsedBudgets = BTreeMap<CampaignId, (Amount, Amount)>;

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let segments = check_segments(tx, report)?;
    let mut used = read_uses(tx, report)?;
    let mut moves = 0;
    for campaign in tx.scan::<Campaign>().rows() {
        let campaign = campaign?;
        report.names(IN_CURRENCY, campaign.currency.code(), || format!("campaign {}", campaign.id));
        check_budget(report, &campaign, used.remove(&campaign.id).unwrap_or_default());
        moves += check_history(tx, report, &campaign)?;
        let known = campaign.audience.iter().all(|id| segments.contains(id));
        report.check("campaign: its audience consists of existing segments", known, || {
            format!("campaign {}", campaign.id)
        });
        report.check("campaign: its due time matches its status", campaign.next_due() == campaign.due_at, || {
            format!("campaign {}", campaign.id)
        });
    }
    report
        .check("campaign: budget uses belong to existing campaigns", used.is_empty(), || format!("{:?}", used.keys()));
    let all = tx.scan::<Move>().rows().try_fold(0, |count, row| row.map(|_| count + 1))?;
    report.check("campaign: every status change belongs to a campaign", moves == all, || {
        format!("{moves} of {all} status changes")
    });
    Ok(())
}

fn read_uses(tx: &Tx<'_>, report: &mut Report) -> Result<UsedBudgets, StoreError> {
    let mut used = UsedBudgets::new();
    let mut orders: BTreeMap<OrderId, Vec<(i64, Amount)>> = BTreeMap::new();
    for budget_use in tx.scan::<BudgetUse>().rows() {
        let budget_use = budget_use?;
        if budget_use.state.is_live() && !budget_use.amount.is_zero() {
            orders.entry(budget_use.order_id).or_default().push((budget_use.campaign_id.0, budget_use.amount));
        }
        let sums = used.entry(budget_use.campaign_id).or_default();
        match budget_use.state {
            HoldState::Posted => sums.0 += budget_use.amount,
            HoldState::Held => sums.1 += budget_use.amount,
            HoldState::Released | HoldState::Expired | HoldState::Reversed => {}
        }
    }
    orders.into_iter().for_each(|(order, parts)| report.right(BUDGETED, order, shares(parts)));
    BudgetUse::audit(tx, report)?;
    Ok(used)
}

fn check_budget(report: &mut Report, campaign: &Campaign, (spent, held): (Amount, Amount)) {
    let Campaign { id, budget, currency, .. } = campaign;
    let exact = budget.is_none_or(|budget| currency.minor_units(budget).is_some());
    report.check("campaign: a budget has no more digits than its currency", exact, || format!("campaign {id}"));
    let same = (spent, held) == (campaign.spent, campaign.held);
    report.check("campaign: spent and held = the uses of orders", same, || {
        format!(
            "campaign {id}: {} spent and {} held, but its uses sum to {spent} and {held}",
            campaign.spent, campaign.held
        )
    });
    report.check("campaign: spent ≤ budget", budget.is_none_or(|budget| spent + held <= budget), || {
        format!("campaign {id}: {spent} spent and {held} held of {budget:?}")
    });
    let is_running = matches!(campaign.status, CampaignStatus::Active | CampaignStatus::Paused);
    report.check("campaign: it ends when its budget is spent", !(is_running && campaign.is_budget_spent()), || {
        format!("campaign {id} is {}", campaign.status)
    });
}

/// Checks that the history follows allowed transitions and ends in the campaign's status. Returns its length.
fn check_history(tx: &Tx<'_>, report: &mut Report, campaign: &Campaign) -> Result<i64, StoreError> {
    let (mut number, mut at) = (0, None);
    for entry in tx.scan::<Move>().prefix(campaign.id).rows() {
        let entry = entry?;
        number += 1;
        let follows = match (entry.from, at) {
            (None, None) => entry.to == CampaignStatus::Draft,
            (Some(from), Some(at)) => from == at && allowed(from).contains(&entry.to),
            _ => false,
        };
        report.check(
            "campaign: its history follows the allowed transitions",
            follows && entry.number == number,
            || format!("campaign {} status change {}", campaign.id, entry.number),
        );
        at = Some(entry.to);
    }
    let complete = at == Some(campaign.status) && number == campaign.moves;
    report.check("campaign: its history ends in its status", complete, || format!("campaign {}", campaign.id));
    Ok(number)
}

/// Checks that the member rows agree with the lists of their segments. Returns the ids of all segments.
fn check_segments(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeSet<SegmentId>, StoreError> {
    let mut listed: BTreeSet<(UserId, SegmentId)> = BTreeSet::new();
    let mut segments = BTreeSet::new();
    for segment in tx.scan::<Segment>().rows() {
        let segment = segment?;
        report.names(IN_CURRENCY, segment.currency.code(), || format!("segment {}", segment.id));
        report.check(
            "segment: it has either a rule or a list of users",
            segment.rule.is_some() != segment.user_ids.is_some(),
            || format!("segment {}", segment.id),
        );
        listed.extend(segment.user_ids.iter().flat_map(|ids| ids.iter().map(|id| (*id, segment.id))));
        segments.insert(segment.id);
    }
    for member in tx.scan::<Member>().rows() {
        let member = member?;
        let known = listed.remove(&(member.user_id, member.segment_id));
        report.check("segment: every member is in its list", known, || format!("{member:?}"));
    }
    report.check("segment: every listed user is a member", listed.is_empty(), || {
        format!("{} listed users are not members", listed.len())
    });
    Ok(segments)
}
