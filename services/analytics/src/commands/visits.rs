//! Visits: the events of one session with no longer pause than half an hour. Only the first time that a visit comes to a
//! stage is told; the rest changes nothing.

use std::time::Duration;

use promox_contract::analytics::{VisitAdvanced, VisitStage};
use promox_contract::ids::ProductId;
use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use crate::records::{Visit, VisitBySeen, VisitBySession};

/// A longer pause ends a visit.
const PAUSE: Duration = Duration::from_mins(30);
/// How exactly it is known when a visit was seen last: a write less for each of the events in between.
const COARSE: Duration = Duration::from_mins(1);
/// Visits that one sweep forgets.
const SWEEP: usize = 1_000;

fn bit(stage: VisitStage) -> u32 {
    1 << stage as u32
}

/// Whether an event of a session changes nothing.
pub(crate) fn is_known(tx: &Tx<'_>, session: &[u8], stage: VisitStage, now: Timestamp) -> Result<bool, StoreError> {
    let visit = tx.get_by::<VisitBySession>(session.to_vec())?;
    Ok(visit.is_some_and(|it| it.stages & bit(stage) != 0 && now.since(it.last_seen) < COARSE))
}

/// Notes what a session did, and with which product.
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
    let (first, news) = (visit.stages == 0, visit.stages & bit(stage) == 0);
    visit.stages |= bit(stage);
    visit.last_seen = now;
    tx.put(&visit)?;
    if !news {
        return Ok(());
    }
    tx.emit(visit.id, &VisitAdvanced { visit_id: visit.id, stage, first, product_id })
}

/// Whether a visit is over.
pub(crate) fn any_over(tx: &Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.scan_by::<VisitBySeen>().before(now - PAUSE).first()?.is_some())
}

/// Forgets visits that are over; whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let over = tx.scan_by::<VisitBySeen>().before(tx.now() - PAUSE).collect(SWEEP)?;
    over.iter().try_for_each(|visit| tx.delete::<Visit>(&visit.id).map(drop))?;
    Ok(over.len() == SWEEP)
}
