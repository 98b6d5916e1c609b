//! Transitions of the state machine: requested, scheduled, or because a budget is spent.

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

/// Maximum transitions of one sweep.
const SWEEP: usize = 100;

/// Why a campaign changes its status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: MoveReason,
    pub(crate) by: Option<UserId>,
}

/// Changes the status, records it in the history and publishes it. The caller writes the row.
pub(crate) fn shift(tx: &mut Tx<'_>, campaign: &mut Campaign, to: Status, cause: Cause) -> Result<(), StoreError> {
    let from = campaign.status;
    let due_at = campaign.due_at.filter(|_| cause.reason == MoveReason::Schedule);
    campaign.status = to;
    if to == Status::Active && campaign.started_at.is_none() {
        campaign.started_at = Some(tx.now());
    }
    campaign.due_at = campaign.due();
    campaign.version += 1;
    campaign.updated_at = tx.now();
    enter(tx, campaign, Some(from), cause, due_at)?;
    let (id, fact) = (campaign.id, CampaignFact { campaign_id: campaign.id, by: cause.by });
    match to {
        Status::Active => tx.emit(id, &CampaignStarted(fact)),
        Status::Paused => tx.emit(id, &CampaignPaused(fact)),
        Status::Ended => tx.emit(id, &CampaignEnded(fact)),
        Status::Draft | Status::Scheduled | Status::Cancelled => Ok(()),
    }
}

/// Adds a transition to the history.
pub(crate) fn enter(
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

/// Changes the status as requested.
pub(crate) fn request(tx: &mut Tx<'_>, cx: &Cx, id: CampaignId, to: Status) -> Result<CampaignView, Error> {
    let mut campaign = tx.get::<Campaign>(&id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(campaign.version)?;
    let from = campaign.status;
    if !allowed(from).contains(&to) {
        return Err(reject::transition(from, to));
    }
    check(tx, &campaign, to)?;
    let now = tx.now();
    if to == Status::Active && campaign.starts_at.is_some_and(|start| start > now) {
        campaign.starts_at = Some(now);
    }
    let cause = Cause { reason: MoveReason::Requested, by: cx.principal.user() };
    shift(tx, &mut campaign, to, cause)?;
    tx.put(&campaign)?;
    let (before, after) = (serde_json::json!({ "status": from }), serde_json::json!({ "status": to }));
    tx.emit(id, &Audited::new(cx.principal.name(), "campaign.move", format!("campaign:{id}"), before, after))?;
    Ok(campaign_view(tx, campaign)?)
}

/// Refuses to start a campaign that cannot run.
fn check(tx: &Tx<'_>, campaign: &Campaign, to: Status) -> Result<(), Error> {
    if !matches!(to, Status::Scheduled | Status::Active) {
        return Ok(());
    }
    if campaign.ends_at.is_some_and(|end| end <= tx.now()) {
        return Err(reject::over());
    }
    if to == Status::Scheduled && campaign.starts_at.is_none() {
        return Err(reject::no_start());
    }
    if campaign.is_spent() { Err(reject::spent()) } else { Ok(()) }
}

/// Ends a campaign whose budget is spent. The caller writes the row.
pub(crate) fn end_if_spent(tx: &mut Tx<'_>, campaign: &mut Campaign) -> Result<(), StoreError> {
    let runs = matches!(campaign.status, Status::Active | Status::Paused);
    if !runs || !campaign.is_spent() {
        return Ok(());
    }
    shift(tx, campaign, Status::Ended, Cause { reason: MoveReason::Budget, by: None })
}

/// Makes the transitions that are due, in the order of their times, one bounded batch. Returns whether there may be
/// more.
pub(crate) fn keep_time(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let soon = Some(tx.now() + std::time::Duration::from_micros(1));
    for _ in 0..SWEEP {
        let Some(mut campaign) = tx.scan_by::<CampaignByDue>().before(soon).first()? else { return Ok(false) };
        let to = if campaign.status == Status::Scheduled { Status::Active } else { Status::Ended };
        shift(tx, &mut campaign, to, Cause { reason: MoveReason::Schedule, by: None })?;
        tx.put(&campaign)?;
    }
    Ok(true)
}
