//! Queries: campaigns, their history, segments, and which of them apply to a customer.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::campaign::CampaignState;
use promox_contract::condition::{Condition, CustomerFacts, Subject, Test};
use promox_contract::ids::CampaignId;
use promox_contract::promotion::Customer;
use promox_kernel::{Currency, Error, Page, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::api::{CampaignView, ListCampaigns, ListHistory, ListSegments, MoveView, SegmentView};
use crate::records::{
    Campaign, CampaignByCreated, CampaignByStatus, Epoch, Member, Move, Segment, SegmentByName, SegmentId,
};

/// Maximum segments.
pub(crate) const MAX_SEGMENTS: usize = 500;
/// The epoch of segments.
pub(crate) const SEGMENTS: &str = "segments";

/// A compiled segment; one with a list has no test.
#[derive(Debug)]
struct Compiled {
    id: SegmentId,
    name: String,
    /// The currency of the amounts in its rule.
    currency: Currency,
    test: Option<Test<()>>,
}

/// Compiled segments, at an epoch.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache(RwLock<(i64, Arc<Segments>)>);

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Segments(Vec<Compiled>);

impl SegmentCache {
    /// The segments as a transaction sees them.
    pub(crate) fn at(&self, tx: &Tx<'_>) -> Result<Arc<Segments>, StoreError> {
        let epoch = tx.get::<Epoch>(&SEGMENTS.to_owned())?.map_or(0, |row| row.epoch);
        let known = self.0.read().clone();
        if known.0 == epoch {
            return Ok(known.1);
        }
        let rows = tx.scan_by::<SegmentByName>().collect(MAX_SEGMENTS)?;
        let segments = Arc::new(Segments(rows.into_iter().map(compile).collect()));
        let mut kept = self.0.write();
        if kept.0 < epoch {
            *kept = (epoch, segments.clone());
        }
        Ok(segments)
    }
}

/// A rule was validated when it was saved, so it parses again; one that did not would match nobody.
fn compile(row: Segment) -> Compiled {
    let read =
        |rule: &Condition| Test::read(rule, "", Subject::Customer, row.currency).unwrap_or(Test::Any(Vec::new()));
    let currency = row.currency;
    Compiled { id: row.id, currency, test: row.rule.as_ref().map(|rule| read(&rule.0)), name: row.name }
}

impl Segments {
    /// The segments that a customer is in.
    fn of(&self, tx: &Tx<'_>, customer: &Customer) -> Result<Vec<&Compiled>, StoreError> {
        let listed: BTreeSet<SegmentId> = match customer.id {
            Some(id) => {
                let rows = tx.scan::<Member>().prefix(id).collect(MAX_SEGMENTS)?;
                rows.into_iter().map(|row| row.segment_id).collect()
            }
            None => BTreeSet::new(),
        };
        let within = |segment: &&Compiled| match &segment.test {
            Some(test) => test.holds(&CustomerFacts { customer, currency: segment.currency }),
            None => listed.contains(&segment.id),
        };
        Ok(self.0.iter().filter(within).collect())
    }

    /// Whether a rule defines its members.
    fn is_ruled(&self, id: SegmentId) -> bool {
        self.0.iter().any(|segment| segment.id == id && segment.test.is_some())
    }

    /// Whether a customer is in the audience of a campaign: in any of its segments, by evaluation or as the caller
    /// states.
    fn reach(&self, tx: &Tx<'_>, audience: &[SegmentId], customer: &Customer) -> Result<bool, StoreError> {
        let named = |segment: &&Compiled| audience.contains(&segment.id) && customer.segments.contains(&segment.name);
        if self.0.iter().any(|segment| named(&segment)) {
            return Ok(true);
        }
        Ok(self.of(tx, customer)?.into_iter().any(|segment| audience.contains(&segment.id)))
    }

    /// Their names.
    pub(crate) fn names_of(&self, tx: &Tx<'_>, customer: &Customer) -> Result<Vec<String>, StoreError> {
        Ok(self.of(tx, customer)?.into_iter().map(|segment| segment.name.clone()).collect())
    }
}

/// Whether any of these campaigns has an audience with a rule.
pub(crate) fn audience_by_rule(tx: &Tx<'_>, segments: &Segments, ids: &[CampaignId]) -> Result<bool, StoreError> {
    for id in ids {
        let campaign = tx.get::<Campaign>(id)?;
        if campaign.is_some_and(|campaign| campaign.audience.iter().any(|id| segments.is_ruled(*id))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The current status of campaigns; unknown ones are left out.
pub(crate) fn states(
    tx: &Tx<'_>,
    segments: &Segments,
    ids: &[CampaignId],
    customer: Option<&Customer>,
    now: Timestamp,
) -> Result<Vec<CampaignState>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(campaign) = tx.get::<Campaign>(id)? else { continue };
        let in_audience = match customer {
            Some(customer) if !campaign.audience.is_empty() => segments.reach(tx, &campaign.audience, customer)?,
            _ => true,
        };
        let reason = campaign.reason(now);
        found.push(CampaignState { id: *id, running: reason.is_none(), reason, in_audience, left: campaign.left() });
    }
    Ok(found)
}

/// The view of a campaign.
pub(crate) fn campaign_view(tx: &Tx<'_>, campaign: Campaign) -> Result<CampaignView, StoreError> {
    let mut names = Vec::with_capacity(campaign.audience.len());
    for id in campaign.audience.iter() {
        names.extend(tx.get::<Segment>(id)?.map(|segment| segment.name));
    }
    Ok(CampaignView {
        audience: (!campaign.audience.is_empty()).then_some(names),
        id: campaign.id,
        name: campaign.name,
        description: campaign.description,
        status: campaign.status,
        starts_at: campaign.starts_at,
        ends_at: campaign.ends_at,
        timezone: campaign.timezone,
        schedule: campaign.schedule.map(|schedule| schedule.0),
        budget: campaign.budget,
        spent: campaign.spent,
        held: campaign.held,
        currency: campaign.currency,
        version: campaign.version,
        created_at: campaign.created_at,
        updated_at: campaign.updated_at,
    })
}

/// One campaign.
pub(crate) fn campaign(tx: &Tx<'_>, id: CampaignId) -> Result<CampaignView, Error> {
    let found = tx.get::<Campaign>(&id)?.ok_or_else(|| Error::not_found("campaign"))?;
    Ok(campaign_view(tx, found)?)
}

/// A page of campaigns, newest first.
pub(crate) fn list(tx: &Tx<'_>, asked: ListCampaigns) -> Result<Page<CampaignView>, Error> {
    let page = match asked.status {
        Some(status) => tx.scan_by::<CampaignByStatus>().prefix(status).backward().page(asked.limit, asked.cursor)?,
        None => tx.scan_by::<CampaignByCreated>().backward().page(asked.limit, asked.cursor)?,
    };
    page.try_map(|campaign| campaign_view(tx, campaign))
}

/// A page of a campaign's status history, oldest first.
pub(crate) fn history(tx: &Tx<'_>, asked: ListHistory) -> Result<Page<MoveView>, Error> {
    if tx.get::<Campaign>(&asked.id)?.is_none() {
        return Err(Error::not_found("campaign"));
    }
    let page = tx.scan::<Move>().prefix(asked.id).page(asked.limit, asked.cursor)?;
    Ok(page.map(|Move { from, to, reason, by, due_at, at, .. }| MoveView { from, to, reason, by, due_at, at }))
}

/// The view of a segment.
pub(crate) fn segment_view(segment: Segment) -> SegmentView {
    let Segment { id, name, rule, user_ids, version, created_at, updated_at, .. } = segment;
    let (rule, user_ids) = (rule.map(|rule| rule.0), user_ids.map(|ids| ids.0));
    SegmentView { id, name, rule, user_ids, version, created_at, updated_at }
}

/// One segment.
pub(crate) fn segment(tx: &Tx<'_>, id: SegmentId) -> Result<SegmentView, Error> {
    tx.get::<Segment>(&id)?.map(segment_view).ok_or_else(|| Error::not_found("segment"))
}

/// A page of segments, by name.
pub(crate) fn segments(tx: &Tx<'_>, asked: ListSegments) -> Result<Page<SegmentView>, Error> {
    Ok(tx.scan_by::<SegmentByName>().page(asked.limit, asked.cursor)?.map(segment_view))
}
