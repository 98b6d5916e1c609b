//! Creates, updates and deletes campaigns.

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_contract::condition::Timetable;
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Currency, Cx, Error, Faults, FieldError, Json, Patch, Timestamp, bounded, multiline};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::transitions::{self, Cause};
use crate::api::{CampaignView, CreateCampaign, UpdateCampaign};
use crate::queries::campaign_view;
use crate::records::{Campaign, CampaignStatus as Status, Move, MoveReason, SegmentByName, SegmentId};
use crate::reject;

/// Maximum segments in an audience.
const MAX_AUDIENCE: usize = 50;

/// The store's currency and time zone, for new campaigns.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) currency: Currency,
    pub(crate) timezone: String,
}

impl Campaign {
    /// The members that the audit trail records.
    fn audit_summary(&self) -> Value {
        json!({
            "status": self.status, "startsAt": self.starts_at, "endsAt": self.ends_at, "timezone": self.timezone,
            "schedule": self.schedule.as_ref().map(|schedule| &schedule.0), "budget": self.budget, "audience": self.audience.0,
        })
    }
}

/// Creates a campaign in status DRAFT.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, store: &Store, op: &CreateCampaign) -> Result<CampaignView, Error> {
    let mut faults = Faults::default();
    let now = tx.now();
    let mut campaign = Campaign {
        id: CampaignId(tx.next_id::<Campaign>()?),
        name: checked_text(&op.name, (1, 200), "/name", &mut faults),
        description: checked_text(
            op.description.as_deref().unwrap_or_default(),
            (0, 2_000),
            "/description",
            &mut faults,
        ),
        status: Status::Draft,
        starts_at: op.starts_at,
        ends_at: op.ends_at,
        timezone: op.timezone.clone().unwrap_or_else(|| store.timezone.clone()),
        schedule: op.schedule.clone().map(Json),
        budget: op.budget.and_then(|budget| checked_budget(budget, store.currency, &mut faults)),
        currency: store.currency,
        spent: store.currency.zero(),
        held: store.currency.zero(),
        audience: Json(audience(tx, op.audience.as_deref().unwrap_or_default(), &mut faults)?),
        due_at: None,
        started_at: None,
        moves: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    check_times(&campaign, now, &mut faults);
    faults.finish()?;
    transitions::record(tx, &mut campaign, None, Cause { reason: MoveReason::Created, by: cx.principal.user() }, None)?;
    tx.insert(&campaign)?;
    audit_change(tx, cx, "campaign.create", campaign.id, (Value::Null, campaign.audit_summary()))?;
    Ok(campaign_view(tx, campaign)?)
}

/// Validates a text; one that may be empty may have several lines.
fn checked_text(text: &str, (least, most): (usize, usize), pointer: &str, faults: &mut Faults) -> String {
    let checked = if least == 0 { multiline(text, least, most) } else { bounded(text, least, most) };
    faults.take(pointer, checked).unwrap_or_default()
}

/// Validates a budget.
fn checked_budget(budget: Amount, currency: Currency, faults: &mut Faults) -> Option<Amount> {
    let exact = currency.exact(budget).and_then(|budget| {
        if budget > Amount::ZERO {
            Ok(budget)
        } else {
            Err("must be greater than zero; omit it for no budget".to_owned())
        }
    });
    faults.take("/budget", exact)
}

/// The ids of the segments with these names, without duplicates.
fn audience(tx: &Tx<'_>, names: &[String], faults: &mut Faults) -> Result<Vec<SegmentId>, StoreError> {
    if names.len() > MAX_AUDIENCE {
        faults.note("/audience", format!("must have at most {MAX_AUDIENCE} segments"));
        return Ok(Vec::new());
    }
    let mut ids = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        match tx.get_by::<SegmentByName>((name,))? {
            Some(segment) if ids.contains(&segment.id) => {}
            Some(segment) => ids.push(segment.id),
            None => faults.add(FieldError::coded(
                format!("/audience/{i}"),
                codes::UNKNOWN_SEGMENT,
                format!("there is no segment named \"{name}\""),
            )),
        }
    }
    Ok(ids)
}

/// Refuses times in the past or in the wrong order, and a schedule that never applies.
fn check_times(campaign: &Campaign, now: Timestamp, faults: &mut Faults) {
    let Campaign { starts_at, ends_at, timezone, schedule, .. } = campaign;
    let hours = match Timetable::read(timezone, schedule.as_ref().map(|schedule| &schedule.0), "") {
        Ok(hours) => hours,
        Err(found) => return faults.extend(found),
    };
    let from = starts_at.map_or(now, |start| start.max(now));
    match (*starts_at, *ends_at) {
        (Some(start), Some(end)) if end <= start => {
            faults.compared("/endsAt", &["/startsAt"], "must be after startsAt");
        }
        (_, Some(end)) if end <= now => faults.note("/endsAt", "must be in the future"),
        (_, Some(end)) if !hours.ever_opens(from, end) => {
            let detail = "the schedule has no time between startsAt and endsAt";
            faults.compared("/schedule", &["/startsAt", "/endsAt", "/timezone"], detail);
        }
        _ => {}
    }
}

/// Records a change in the audit trail.
fn audit_change(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: CampaignId,
    (before, after): (Value, Value),
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("campaign:{id}"), before, after))
}

/// Updates the members that the request has.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateCampaign) -> Result<CampaignView, Error> {
    let before = tx.get::<Campaign>(&op.id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    let mut faults = Faults::default();
    apply_update(tx, &mut after, op, &mut faults)?;
    let times = |campaign: &Campaign| {
        (campaign.starts_at, campaign.ends_at, campaign.timezone.clone(), campaign.schedule.clone())
    };
    if times(&after) != times(&before) {
        check_times(&after, tx.now(), &mut faults);
    }
    faults.finish()?;
    check_change(&before, &after)?;
    if after == before {
        return Ok(campaign_view(tx, after)?);
    }
    after.due_at = after.next_due();
    after.version += 1;
    after.updated_at = tx.now();
    transitions::end_if_spent(tx, &mut after)?;
    tx.put(&after)?;
    audit_change(tx, cx, "campaign.update", after.id, (before.audit_summary(), after.audit_summary()))?;
    Ok(campaign_view(tx, after)?)
}

/// Applies the members of an update to a campaign and notes faults.
fn apply_update(
    tx: &Tx<'_>,
    campaign: &mut Campaign,
    op: &UpdateCampaign,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    if let Some(name) = &op.name {
        campaign.name = checked_text(name, (1, 200), "/name", faults);
    }
    if let Some(words) = op.description.clone().or_default() {
        campaign.description = checked_text(&words, (0, 2_000), "/description", faults);
    }
    op.starts_at.clone().apply(&mut campaign.starts_at);
    op.ends_at.clone().apply(&mut campaign.ends_at);
    if let Some(timezone) = &op.timezone {
        campaign.timezone.clone_from(timezone);
    }
    op.schedule.clone().map(Json).apply(&mut campaign.schedule);
    match op.budget {
        Patch::Keep => {}
        Patch::Clear => campaign.budget = None,
        Patch::Set(budget) => campaign.budget = checked_budget(budget, campaign.currency, faults),
    }
    if let Some(names) = op.audience.clone().or_default() {
        campaign.audience = Json(audience(tx, &names, faults)?);
    }
    Ok(())
}

/// Refuses changes that the campaign's status does not allow.
fn check_change(before: &Campaign, after: &Campaign) -> Result<(), Error> {
    let renamed = Campaign { name: after.name.clone(), description: after.description.clone(), ..before.clone() };
    if before.status.is_over() && *after != renamed {
        return Err(reject::campaign_closed(before.status));
    }
    if before.starts_at != after.starts_at && before.started_at.is_some() {
        return Err(reject::campaign_started());
    }
    if before.status == Status::Scheduled && after.starts_at.is_none() {
        return Err(reject::start_missing());
    }
    let used = before.spent + before.held;
    if after.budget.is_some_and(|budget| budget < used) {
        return Err(reject::budget_taken(used, before.currency));
    }
    Ok(())
}

/// A campaign that can be deleted because it has never been ACTIVE. Its version must be the one that the caller
/// expects.
pub(crate) fn deletable(tx: &Tx<'_>, cx: &Cx, id: CampaignId) -> Result<Campaign, Error> {
    let campaign = tx.get::<Campaign>(&id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(campaign.version)?;
    if campaign.started_at.is_some() {
        return Err(reject::campaign_kept(campaign.status));
    }
    Ok(campaign)
}

/// Deletes a campaign that has never been ACTIVE.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: CampaignId) -> Result<(), Error> {
    let campaign = deletable(tx, cx, id)?;
    for number in 1..=campaign.moves {
        tx.delete::<Move>(&(id, number))?;
    }
    tx.delete::<Campaign>(&id)?;
    Ok(audit_change(tx, cx, "campaign.delete", id, (campaign.audit_summary(), Value::Null))?)
}
