//! Status changes: requested, scheduled, or because a budget is spent.

use promox_contract::audit::Audited;
use promox_contract::campaign::{CampaignEnded, CampaignFact, CampaignPaused, CampaignStarted};
use promox_contract::ids::CampaignId;
use promox_kernel::{Cx, Error, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::CampaignView;
use crate::queries::campaign_view;
use crate::records::{Campaign, CampaignByDue, CampaignStatus as Status, Move, MoveReason};
use crate::reject;
use crate::rules::machine::allowed;

/// Maximum scheduled transitions per batch.
const MAX_SWEEP: usize = 100;

/// The cause of a status change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: MoveReason,
    pub(crate) by: Option<UserId>,
}

/// Changes the status, records the change in the history and emits its event. The caller must write the row.
pub(crate) fn change_status(
    tx: &mut Tx<'_>,
    campaign: &mut Campaign,
    to: Status,
    cause: Cause,
) -> Result<(), StoreError> {
    let from = campaign.status;
    let due_at = campaign.due_at.filter(|_| cause.reason == MoveReason::Schedule);
    campaign.status = to;
    if to == Status::Active && campaign.started_at.is_none() {
        campaign.started_at = Some(tx.now());
    }
    campaign.due_at = campaign.next_due();
    campaign.version += 1;
    campaign.updated_at = tx.now();
    record(tx, campaign, Some(from), cause, due_at)?;
    let (id, fact) = (campaign.id, CampaignFact { campaign_id: campaign.id, by: cause.by });
    match to {
        Status::Active => tx.emit(id, &CampaignStarted(fact)),
        Status::Paused => tx.emit(id, &CampaignPaused(fact)),
        Status::Ended => tx.emit(id, &CampaignEnded(fact)),
        Status::Draft | Status::Scheduled | Status::Cancelled => Ok(()),
    }
}

/// Adds a transition to the history.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    campaign: &mut Campaign,
    from: Option<Status>,
    cause: Cause,
    due_at: Option<promox_kernel::Timestamp>,
) -> Result<(), StoreError> {
    campaign.moves += 1;
    let entry = Move {
        campaign_id: campaign.id,
        number: campaign.moves,
        from,
        to: campaign.status,
        reason: cause.reason,
        by: cause.by,
        due_at,
        at: tx.now(),
    };
    tx.insert(&entry)
}

/// Changes the status as a user requested.
pub(crate) fn request(tx: &mut Tx<'_>, cx: &Cx, id: CampaignId, to: Status) -> Result<CampaignView, Error> {
    let mut campaign = tx.get::<Campaign>(&id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(campaign.version)?;
    let from = campaign.status;
    if !allowed(from).contains(&to) {
        return Err(reject::invalid_transition(from, to));
    }
    check_can_run(tx, &campaign, to)?;
    let now = tx.now();
    if to == Status::Active && campaign.starts_at.is_some_and(|start| start > now) {
        campaign.starts_at = Some(now);
    }
    let cause = Cause { reason: MoveReason::Requested, by: cx.principal.user() };
    change_status(tx, &mut campaign, to, cause)?;
    tx.put(&campaign)?;
    let (before, after) = (serde_json::json!({ "status": from }), serde_json::json!({ "status": to }));
    tx.emit(id, &Audited::new(cx.principal.name(), "campaign.move", format!("campaign:{id}"), before, after))?;
    Ok(campaign_view(tx, campaign)?)
}

/// Refuses to schedule or activate a campaign that cannot run.
fn check_can_run(tx: &Tx<'_>, campaign: &Campaign, to: Status) -> Result<(), Error> {
    if !matches!(to, Status::Scheduled | Status::Active) {
        return Ok(());
    }
    if campaign.ends_at.is_some_and(|end| end <= tx.now()) {
        return Err(reject::campaign_over());
    }
    if to == Status::Scheduled && campaign.starts_at.is_none() {
        return Err(reject::start_missing());
    }
    if campaign.is_budget_spent() { Err(reject::budget_spent()) } else { Ok(()) }
}

/// Ends a running campaign whose budget is spent. The caller must write the row.
pub(crate) fn end_if_spent(tx: &mut Tx<'_>, campaign: &mut Campaign) -> Result<(), StoreError> {
    let is_running = matches!(campaign.status, Status::Active | Status::Paused);
    if !is_running || !campaign.is_budget_spent() {
        return Ok(());
    }
    change_status(tx, campaign, Status::Ended, Cause { reason: MoveReason::Budget, by: None })
}

/// Makes a bounded batch of due transitions, in the order of their times. Returns whether there may be more.
pub(crate) fn run_due_transitions(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let soon = Some(tx.now() + std::time::Duration::from_micros(1));
    for _ in 0..MAX_SWEEP {
        let Some(mut campaign) = tx.scan_by::<CampaignByDue>().before(soon).first()? else { return Ok(false) };
        let to = if campaign.status == Status::Scheduled { Status::Active } else { Status::Ended };
        change_status(tx, &mut campaign, to, Cause { reason: MoveReason::Schedule, by: None })?;
        tx.put(&campaign)?;
    }
    Ok(true)
}
