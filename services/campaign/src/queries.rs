//! Queries: campaigns, their history and state for a customer, and segments.

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
/// The name of the segments' epoch.
pub(crate) const SEGMENTS: &str = "segments";

/// A compiled segment. A segment with a list has no test.
#[derive(Debug)]
struct Compiled {
    id: SegmentId,
    name: String,
    /// The currency of the amounts in its rule.
    currency: Currency,
    test: Option<Test<()>>,
}

/// The compiled segments of one epoch.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache(RwLock<(i64, Arc<Segments>)>);

/// All segments, compiled.
#[derive(Debug, Default)]
pub(crate) struct Segments(Vec<Compiled>);

impl SegmentCache {
    /// The segments as of a transaction.
    pub(crate) fn at(&self, tx: &Tx<'_>) -> Result<Arc<Segments>, StoreError> {
        let epoch = tx.get::<Epoch>(&SEGMENTS.to_owned())?.map_or(0, |row| row.epoch);
        let known = self.0.read().clone();
        if known.0 == epoch {
            return Ok(known.1);
        }
        let rows = tx.scan_by::<SegmentByName>().collect(MAX_SEGMENTS)?;
        let segments = Arc::new(Segments(rows.into_iter().map(compile).collect()));
        let mut cached = self.0.write();
        if cached.0 < epoch {
            *cached = (epoch, segments.clone());
        }
        Ok(segments)
    }
}

/// Compiles a segment. Its rule was validated when it was saved; if it does not parse any more, it matches nobody.
fn compile(row: Segment) -> Compiled {
    let parse =
        |rule: &Condition| Test::read(rule, "", Subject::Customer, row.currency).unwrap_or(Test::Any(Vec::new()));
    let currency = row.currency;
    Compiled { id: row.id, currency, test: row.rule.as_ref().map(|rule| parse(&rule.0)), name: row.name }
}

impl Segments {
    /// The segments that a customer is in.
    fn matching(&self, tx: &Tx<'_>, customer: &Customer) -> Result<Vec<&Compiled>, StoreError> {
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

    /// Whether the segment is defined by a rule.
    fn has_rule(&self, id: SegmentId) -> bool {
        self.0.iter().any(|segment| segment.id == id && segment.test.is_some())
    }

    /// Whether a customer is in any of the segments of an audience, either by evaluation or because the caller says so.
    fn is_in_audience(&self, tx: &Tx<'_>, audience: &[SegmentId], customer: &Customer) -> Result<bool, StoreError> {
        let named = |segment: &&Compiled| audience.contains(&segment.id) && customer.segments.contains(&segment.name);
        if self.0.iter().any(|segment| named(&segment)) {
            return Ok(true);
        }
        Ok(self.matching(tx, customer)?.into_iter().any(|segment| audience.contains(&segment.id)))
    }

    /// The names of the segments that a customer is in.
    pub(crate) fn names_of(&self, tx: &Tx<'_>, customer: &Customer) -> Result<Vec<String>, StoreError> {
        Ok(self.matching(tx, customer)?.into_iter().map(|segment| segment.name.clone()).collect())
    }
}

/// Returns whether the audience of any of these campaigns has a segment with a rule.
pub(crate) fn has_audience_with_rule(tx: &Tx<'_>, segments: &Segments, ids: &[CampaignId]) -> Result<bool, StoreError> {
    for id in ids {
        let campaign = tx.get::<Campaign>(id)?;
        if campaign.is_some_and(|campaign| campaign.audience.iter().any(|id| segments.has_rule(*id))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The current states of campaigns for a customer. Unknown campaigns are left out.
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
            Some(customer) if !campaign.audience.is_empty() => {
                segments.is_in_audience(tx, &campaign.audience, customer)?
            }
            _ => true,
        };
        let reason = campaign.reject_reason(now);
        found.push(CampaignState { id: *id, running: reason.is_none(), reason, in_audience, left: campaign.left() });
    }
    Ok(found)
}

/// Builds the view of a campaign.
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

/// The view of one campaign.
pub(crate) fn campaign(tx: &Tx<'_>, id: CampaignId) -> Result<CampaignView, Error> {
    let found = tx.get::<Campaign>(&id)?.ok_or_else(|| Error::not_found("campaign"))?;
    Ok(campaign_view(tx, found)?)
}

/// A page of campaigns, newest first.
pub(crate) fn list(tx: &Tx<'_>, op: ListCampaigns) -> Result<Page<CampaignView>, Error> {
    let page = match op.status {
        Some(status) => tx.scan_by::<CampaignByStatus>().prefix(status).backward().page(op.limit, op.cursor)?,
        None => tx.scan_by::<CampaignByCreated>().backward().page(op.limit, op.cursor)?,
    };
    page.try_map(|campaign| campaign_view(tx, campaign))
}

/// A page of a campaign's status history, oldest first.
pub(crate) fn history(tx: &Tx<'_>, op: ListHistory) -> Result<Page<MoveView>, Error> {
    if tx.get::<Campaign>(&op.id)?.is_none() {
        return Err(Error::not_found("campaign"));
    }
    let page = tx.scan::<Move>().prefix(op.id).page(op.limit, op.cursor)?;
    Ok(page.map(|Move { from, to, reason, by, due_at, at, .. }| MoveView { from, to, reason, by, due_at, at }))
}

/// Converts a segment to its view.
pub(crate) fn segment_view(segment: Segment) -> SegmentView {
    let Segment { id, name, rule, user_ids, version, created_at, updated_at, .. } = segment;
    let (rule, user_ids) = (rule.map(|rule| rule.0), user_ids.map(|ids| ids.0));
    SegmentView { id, name, rule, user_ids, version, created_at, updated_at }
}

/// The view of one segment.
pub(crate) fn segment(tx: &Tx<'_>, id: SegmentId) -> Result<SegmentView, Error> {
    tx.get::<Segment>(&id)?.map(segment_view).ok_or_else(|| Error::not_found("segment"))
}

/// A page of segments, by name.
pub(crate) fn segments(tx: &Tx<'_>, op: ListSegments) -> Result<Page<SegmentView>, Error> {
    Ok(tx.scan_by::<SegmentByName>().page(op.limit, op.cursor)?.map(segment_view))
}
