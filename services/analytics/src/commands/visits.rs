//! Visits: the events of one session without a pause of more than half an hour. Only the first event of a visit at a
//! stage is recorded; the others change nothing.

use std::time::Duration;

use promox_contract::analytics::{VisitAdvanced, VisitStage};
use promox_contract::ids::ProductId;
use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use crate::records::{Visit, VisitBySeen, VisitBySession};

/// A longer pause ends a visit.
const PAUSE: Duration = Duration::from_mins(30);
/// The precision of a visit's last activity: it saves a write for each event in between.
const COARSE: Duration = Duration::from_mins(1);
/// Visits removed by one sweep.
const SWEEP: usize = 1_000;

fn bit(stage: VisitStage) -> u32 {
    1 << stage as u32
}

/// Whether an event of a session changes nothing.
pub(crate) fn is_known(tx: &Tx<'_>, session: &[u8], stage: VisitStage, now: Timestamp) -> Result<bool, StoreError> {
    let visit = tx.get_by::<VisitBySession>(session.to_vec())?;
    Ok(visit.is_some_and(|visit| visit.stages & bit(stage) != 0 && now.since(visit.last_seen) < COARSE))
}

/// Records what a session did, and with which product.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    session: &[u8],
    stage: VisitStage,
    product_id: Option<ProductId>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let known = tx.get_by::<VisitBySession>(session.to_vec())?;
    let running = known.as_ref().filter(|visit| now.since(visit.last_seen) <= PAUSE);
    let mut visit = match running {
        Some(visit) => visit.clone(),
        None => Visit { id: tx.next_id::<Visit>()?, session: session.to_vec(), stages: 0, last_seen: now },
    };
    if let Some(over) = known.filter(|over| over.id != visit.id) {
        tx.delete::<Visit>(&over.id)?;
    }
    let (first, is_new) = (visit.stages == 0, visit.stages & bit(stage) == 0);
    visit.stages |= bit(stage);
    visit.last_seen = now;
    tx.put(&visit)?;
    if !is_new {
        return Ok(());
    }
    tx.emit(visit.id, &VisitAdvanced { visit_id: visit.id, stage, first, product_id })
}

/// Whether a visit has ended.
pub(crate) fn any_over(tx: &Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.scan_by::<VisitBySeen>().before(now - PAUSE).first()?.is_some())
}

/// Removes ended visits; whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let over = tx.scan_by::<VisitBySeen>().before(tx.now() - PAUSE).collect(SWEEP)?;
    over.iter().try_for_each(|visit| tx.delete::<Visit>(&visit.id).map(drop))?;
    Ok(over.len() == SWEEP)
}
