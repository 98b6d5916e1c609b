//! Segments: created, updated, deleted; each change increments the epoch of the compiled segments.

use std::collections::BTreeSet;

use promox_contract::audit::Audited;
use promox_contract::condition::Condition;
use promox_kernel::{Currency, Cx, Error, Json, UserId};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use crate::api::SegmentView;
use crate::queries::{MAX_SEGMENTS, SEGMENTS, segment_view};
use crate::records::{Campaign, Epoch, Member, Segment, SegmentByName, SegmentId};
use crate::reject;

/// What defines the members of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Membership {
    /// The customers that match this rule.
    Rule(Condition),
    /// These accounts, sorted and without duplicates.
    Listed(Vec<UserId>),
}

impl Membership {
    fn put(self, segment: &mut Segment) {
        (segment.rule, segment.user_ids) = match self {
            Self::Rule(rule) => (Some(Json(rule)), None),
            Self::Listed(ids) => (None, Some(Json(ids))),
        };
    }
}

impl Segment {
    /// What the audit trail records of it.
    fn trace(&self) -> Value {
        let listed = self.user_ids.as_ref().map(|ids| ids.len());
        json!({ "rule": self.rule.as_ref().map(|rule| &rule.0), "listed": listed })
    }

    fn ids(&self) -> BTreeSet<UserId> {
        self.user_ids.iter().flat_map(|ids| ids.iter().copied()).collect()
    }
}

/// Creates a segment.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    cx: &Cx,
    (name, currency): (&str, Currency),
    who: &Membership,
) -> Result<SegmentView, Error> {
    check_name(tx, name, None)?;
    if tx.scan::<Segment>().collect(MAX_SEGMENTS)?.len() >= MAX_SEGMENTS {
        return Err(reject::too_many_segments(MAX_SEGMENTS));
    }
    let now = tx.now();
    let mut segment = Segment {
        id: SegmentId(tx.next_id::<Segment>()?),
        name: name.to_owned(),
        rule: None,
        user_ids: None,
        currency,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    who.clone().put(&mut segment);
    move_members(tx, segment.id, &BTreeSet::new(), &segment.ids())?;
    tx.insert(&segment)?;
    note(tx, cx, "segment.create", segment.id, (Value::Null, segment.trace()))?;
    Ok(segment_view(segment))
}

fn check_name(tx: &Tx<'_>, name: &str, own: Option<SegmentId>) -> Result<(), Error> {
    match tx.get_by::<SegmentByName>((name,))? {
        Some(other) if Some(other.id) != own => Err(reject::name_taken(name.to_owned())),
        _ => Ok(()),
    }
}

/// Updates the name or the members.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: SegmentId,
    (name, who): (Option<&str>, Option<&Membership>),
) -> Result<SegmentView, Error> {
    let before = known(tx, cx, id)?;
    let mut after = before.clone();
    if let Some(name) = name {
        check_name(tx, name, Some(id))?;
        name.clone_into(&mut after.name);
    }
    if let Some(who) = who {
        who.clone().put(&mut after);
    }
    if after != before {
        move_members(tx, id, &before.ids(), &after.ids())?;
        after.version += 1;
        after.updated_at = tx.now();
        tx.put(&after)?;
        note(tx, cx, "segment.update", id, (before.trace(), after.trace()))?;
    }
    Ok(segment_view(after))
}

/// A segment in the version that the caller knows.
pub(crate) fn known(tx: &Tx<'_>, cx: &Cx, id: SegmentId) -> Result<Segment, Error> {
    let segment = tx.get::<Segment>(&id)?.ok_or(Error::not_found("segment"))?;
    cx.check_version(segment.version)?;
    Ok(segment)
}

/// A segment that is in no campaign's audience.
pub(crate) fn deletable(tx: &Tx<'_>, cx: &Cx, id: SegmentId) -> Result<Segment, Error> {
    let segment = known(tx, cx, id)?;
    for campaign in tx.scan::<Campaign>().backward().rows() {
        let campaign = campaign?;
        if campaign.audience.contains(&id) {
            return Err(reject::segment_in_use(campaign.id));
        }
    }
    Ok(segment)
}

/// Deletes a segment that is in no campaign's audience.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: SegmentId) -> Result<(), Error> {
    let segment = deletable(tx, cx, id)?;
    move_members(tx, id, &segment.ids(), &BTreeSet::new())?;
    tx.delete::<Segment>(&id)?;
    Ok(note(tx, cx, "segment.delete", id, (segment.trace(), Value::Null))?)
}

fn move_members(
    tx: &mut Tx<'_>,
    segment_id: SegmentId,
    before: &BTreeSet<UserId>,
    after: &BTreeSet<UserId>,
) -> Result<(), StoreError> {
    for user_id in before.difference(after) {
        tx.delete::<Member>(&(*user_id, segment_id))?;
    }
    let at = tx.now();
    for user_id in after.difference(before) {
        tx.put(&Member { user_id: *user_id, segment_id, at })?;
    }
    Ok(())
}

/// Writes the audit trail and increments the epoch.
fn note(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: SegmentId,
    (before, after): (Value, Value),
) -> Result<(), StoreError> {
    let name = SEGMENTS.to_owned();
    let epoch = tx.get::<Epoch>(&name)?.map_or(0, |row| row.epoch);
    tx.put(&Epoch { name, epoch: epoch + 1 })?;
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("segment:{id}"), before, after))
}
