//! Visits: the events of one session without a pause of more than half an hour. Only the first event of each stage in a
//! visit is recorded; later ones change nothing.

use std::time::Duration;

use promox_contract::analytics::{VisitAdvanced, VisitStage};
use promox_contract::ids::ProductId;
use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use crate::records::{Visit, VisitBySeen, VisitBySession};

/// The longest pause in a visit. A longer one ends it.
const MAX_PAUSE: Duration = Duration::from_mins(30);
/// The precision of a visit's last activity. Repeated events within this time are not written.
const PRECISION: Duration = Duration::from_mins(1);
/// The maximum number of visits removed by one sweep.
const SWEEP_ROWS: usize = 1_000;

/// The bit of a stage in a visit's set of stages.
fn bit(stage: VisitStage) -> u32 {
    1 << stage as u32
}

/// Whether an event of a session is already recorded, so that nothing needs to be written.
pub(crate) fn is_recorded(tx: &Tx<'_>, session: &[u8], stage: VisitStage, now: Timestamp) -> Result<bool, StoreError> {
    let visit = tx.get_by::<VisitBySession>(session.to_vec())?;
    Ok(visit.is_some_and(|visit| visit.stages & bit(stage) != 0 && now.since(visit.last_seen) < PRECISION))
}

/// Records that a session reached a stage, with a product.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    session: &[u8],
    stage: VisitStage,
    product_id: Option<ProductId>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let known = tx.get_by::<VisitBySession>(session.to_vec())?;
    let running = known.as_ref().filter(|visit| now.since(visit.last_seen) <= MAX_PAUSE);
    let mut visit = match running {
        Some(visit) => visit.clone(),
        None => Visit { id: tx.next_id::<Visit>()?, session: session.to_vec(), stages: 0, last_seen: now },
    };
    if let Some(ended) = known.filter(|known| known.id != visit.id) {
        tx.delete::<Visit>(&ended.id)?;
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

/// Whether any visit has ended.
pub(crate) fn any_ended(tx: &Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.scan_by::<VisitBySeen>().before(now - MAX_PAUSE).first()?.is_some())
}

/// Removes a batch of ended visits. Returns whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let ended = tx.scan_by::<VisitBySeen>().before(tx.now() - MAX_PAUSE).collect(SWEEP_ROWS)?;
    ended.iter().try_for_each(|visit| tx.delete::<Visit>(&visit.id).map(drop))?;
    Ok(ended.len() == SWEEP_ROWS)
}
