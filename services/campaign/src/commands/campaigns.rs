//! Campaigns: created, updated, deleted.

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_contract::condition::Timetable;
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Currency, Cx, Error, Faults, FieldError, Json, Patch, Timestamp, bounded, multiline};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::moves::{self, Cause};
use crate::api::{CampaignView, CreateCampaign, UpdateCampaign};
use crate::queries::campaign_view;
use crate::records::{Campaign, CampaignStatus as Status, Move, MoveReason, SegmentByName, SegmentId};
use crate::reject;

/// Maximum segments of an audience.
const MAX_AUDIENCE: usize = 50;

/// The store's currency and time zone, for new campaigns.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) currency: Currency,
    pub(crate) timezone: String,
}

impl Campaign {
    /// What the audit trail records of it.
    fn trace(&self) -> Value {
        json!({
            "status": self.status, "startsAt": self.starts_at, "endsAt": self.ends_at, "timezone": self.timezone,
            "schedule": self.schedule.as_ref().map(|schedule| &schedule.0), "budget": self.budget, "audience": self.audience.0,
        })
    }
}

/// Creates a draft.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, store: &Store, asked: &CreateCampaign) -> Result<CampaignView, Error> {
    let mut faults = Faults::default();
    let now = tx.now();
    let mut campaign = Campaign {
        id: CampaignId(tx.next_id::<Campaign>()?),
        name: text(&asked.name, (1, 200), "/name", &mut faults),
        description: text(asked.description.as_deref().unwrap_or_default(), (0, 2_000), "/description", &mut faults),
        status: Status::Draft,
        starts_at: asked.starts_at,
        ends_at: asked.ends_at,
        timezone: asked.timezone.clone().unwrap_or_else(|| store.timezone.clone()),
        schedule: asked.schedule.clone().map(Json),
        budget: asked.budget.and_then(|budget| amount(budget, store.currency, &mut faults)),
        currency: store.currency,
        spent: store.currency.zero(),
        held: store.currency.zero(),
        audience: Json(audience(tx, asked.audience.as_deref().unwrap_or_default(), &mut faults)?),
        due_at: None,
        started_at: None,
        moves: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    check_times(&campaign, now, &mut faults);
    faults.finish()?;
    moves::enter(tx, &mut campaign, None, Cause { reason: MoveReason::Created, by: cx.principal.user() }, None)?;
    tx.insert(&campaign)?;
    note(tx, cx, "campaign.create", campaign.id, (Value::Null, campaign.trace()))?;
    Ok(campaign_view(tx, campaign)?)
}

fn text(text: &str, (least, most): (usize, usize), pointer: &str, faults: &mut Faults) -> String {
    let checked = if least == 0 { multiline(text, least, most) } else { bounded(text, least, most) };
    faults.take(pointer, checked).unwrap_or_default()
}

fn amount(budget: Amount, currency: Currency, faults: &mut Faults) -> Option<Amount> {
    let exact = currency.exact(budget).and_then(|budget| {
        if budget > Amount::ZERO {
            Ok(budget)
        } else {
            Err("must be greater than zero; omit it for no budget".to_owned())
        }
    });
    faults.take("/budget", exact)
}

/// The segments with these names.
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
            None => faults.add(FieldError {
                pointer: format!("/audience/{i}"),
                code: codes::UNKNOWN_SEGMENT.into(),
                detail: format!("there is no segment named \"{name}\""),
            }),
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
            faults.note("/endsAt", "must be after startsAt");
        }
        (_, Some(end)) if end <= now => faults.note("/endsAt", "must be in the future"),
        (_, Some(end)) if !hours.ever_comes(from, end) => {
            faults.note("/schedule", "the schedule has no time between startsAt and endsAt");
        }
        _ => {}
    }
}

fn note(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: CampaignId,
    (before, after): (Value, Value),
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("campaign:{id}"), before, after))
}

/// Updates the members that are sent.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, asked: &UpdateCampaign) -> Result<CampaignView, Error> {
    let before = tx.get::<Campaign>(&asked.id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    let mut faults = Faults::default();
    change(tx, &mut after, asked, &mut faults)?;
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
    after.due_at = after.due();
    after.version += 1;
    after.updated_at = tx.now();
    moves::end_if_spent(tx, &mut after)?;
    tx.put(&after)?;
    note(tx, cx, "campaign.update", after.id, (before.trace(), after.trace()))?;
    Ok(campaign_view(tx, after)?)
}

fn change(tx: &Tx<'_>, campaign: &mut Campaign, asked: &UpdateCampaign, faults: &mut Faults) -> Result<(), StoreError> {
    if let Some(name) = &asked.name {
        campaign.name = text(name, (1, 200), "/name", faults);
    }
    if let Some(words) = asked.description.clone().or_default() {
        campaign.description = text(&words, (0, 2_000), "/description", faults);
    }
    asked.starts_at.clone().apply(&mut campaign.starts_at);
    asked.ends_at.clone().apply(&mut campaign.ends_at);
    if let Some(timezone) = &asked.timezone {
        campaign.timezone.clone_from(timezone);
    }
    asked.schedule.clone().map(Json).apply(&mut campaign.schedule);
    match asked.budget {
        Patch::Keep => {}
        Patch::Clear => campaign.budget = None,
        Patch::Set(budget) => campaign.budget = amount(budget, campaign.currency, faults),
    }
    if let Some(names) = asked.audience.clone().or_default() {
        campaign.audience = Json(audience(tx, &names, faults)?);
    }
    Ok(())
}

/// Refuses changes that the campaign's status does not allow.
fn check_change(before: &Campaign, after: &Campaign) -> Result<(), Error> {
    let named = Campaign { name: after.name.clone(), description: after.description.clone(), ..before.clone() };
    if before.status.is_over() && *after != named {
        return Err(reject::closed(before.status));
    }
    if before.starts_at != after.starts_at && before.started_at.is_some() {
        return Err(reject::started());
    }
    if before.status == Status::Scheduled && after.starts_at.is_none() {
        return Err(reject::no_start());
    }
    let taken = before.spent + before.held;
    if after.budget.is_some_and(|budget| budget < taken) {
        return Err(reject::budget_taken(taken, before.currency));
    }
    Ok(())
}

/// A campaign that has never been ACTIVE, in the version that the caller knows.
pub(crate) fn deletable(tx: &Tx<'_>, cx: &Cx, id: CampaignId) -> Result<Campaign, Error> {
    let campaign = tx.get::<Campaign>(&id)?.ok_or(Error::not_found("campaign"))?;
    cx.check_version(campaign.version)?;
    if campaign.started_at.is_some() {
        return Err(reject::kept(campaign.status));
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
    Ok(note(tx, cx, "campaign.delete", id, (campaign.trace(), Value::Null))?)
}
