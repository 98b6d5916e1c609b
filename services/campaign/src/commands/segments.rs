//! Creates, updates and deletes segments. Each change increments the epoch of segments.

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

/// The definition of a segment's members.
#[derive(Clone, Debug)]
pub(crate) enum Membership {
    /// The customers that match this rule.
    Rule(Condition),
    /// These accounts, sorted and without duplicates.
    Listed(Vec<UserId>),
}

impl Membership {
    fn set_on(self, segment: &mut Segment) {
        (segment.rule, segment.user_ids) = match self {
            Self::Rule(rule) => (Some(Json(rule)), None),
            Self::Listed(ids) => (None, Some(Json(ids))),
        };
    }
}

impl Segment {
    /// The members that the audit trail records.
    fn audit_summary(&self) -> Value {
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
    membership: &Membership,
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
    membership.clone().set_on(&mut segment);
    replace_members(tx, segment.id, &BTreeSet::new(), &segment.ids())?;
    tx.insert(&segment)?;
    record_change(tx, cx, "segment.create", segment.id, (Value::Null, segment.audit_summary()))?;
    Ok(segment_view(segment))
}

fn check_name(tx: &Tx<'_>, name: &str, own: Option<SegmentId>) -> Result<(), Error> {
    match tx.get_by::<SegmentByName>((name,))? {
        Some(other) if Some(other.id) != own => Err(reject::name_taken(name.to_owned())),
        _ => Ok(()),
    }
}

/// Updates the name, the membership, or both.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: SegmentId,
    (name, membership): (Option<&str>, Option<&Membership>),
) -> Result<SegmentView, Error> {
    let before = current_version(tx, cx, id)?;
    let mut after = before.clone();
    if let Some(name) = name {
        check_name(tx, name, Some(id))?;
        name.clone_into(&mut after.name);
    }
    if let Some(membership) = membership {
        membership.clone().set_on(&mut after);
    }
    if after != before {
        replace_members(tx, id, &before.ids(), &after.ids())?;
        after.version += 1;
        after.updated_at = tx.now();
        tx.put(&after)?;
        record_change(tx, cx, "segment.update", id, (before.audit_summary(), after.audit_summary()))?;
    }
    Ok(segment_view(after))
}

/// A segment, whose version must be the one that the caller expects.
pub(crate) fn current_version(tx: &Tx<'_>, cx: &Cx, id: SegmentId) -> Result<Segment, Error> {
    let segment = tx.get::<Segment>(&id)?.ok_or(Error::not_found("segment"))?;
    cx.check_version(segment.version)?;
    Ok(segment)
}

/// A segment that can be deleted because it is in no campaign's audience.
pub(crate) fn deletable(tx: &Tx<'_>, cx: &Cx, id: SegmentId) -> Result<Segment, Error> {
    let segment = current_version(tx, cx, id)?;
    for campaign in tx.scan::<Campaign>().backward().rows() {
        let campaign = campaign?;
        if campaign.audience.contains(&id) {
            return Err(reject::segment_in_use(campaign.id));
        }
    }
    Ok(segment)
}

/// Deletes a segment, or refuses if it is in a campaign's audience.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: SegmentId) -> Result<(), Error> {
    let segment = deletable(tx, cx, id)?;
    replace_members(tx, id, &segment.ids(), &BTreeSet::new())?;
    tx.delete::<Segment>(&id)?;
    Ok(record_change(tx, cx, "segment.delete", id, (segment.audit_summary(), Value::Null))?)
}

/// Updates the member rows from one list to another.
fn replace_members(
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

/// Records a change in the audit trail and increments the epoch of segments.
fn record_change(
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
