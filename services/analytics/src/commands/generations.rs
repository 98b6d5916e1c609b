//! Generations of the projections: the first one, rebuilds, their activation, and the removal of old ones.

use std::time::Duration;

use promox_kernel::Timestamp;
use promox_storage::{Record, StoreError, Tx};

use crate::records::{
    BuyerRollup, CampaignRollup, Entry, First, FlashRollup, Generation, GenerationStatus, ProductRollup,
    PromotionRollup, Refunded, Rollup,
};

/// The maximum number of rows removed by one sweep.
const SWEEP_ROWS: usize = 1_000;
/// How long a retired generation is kept, so that running reads can finish.
const RETENTION: Duration = Duration::from_secs(60);

/// All generations.
pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Generation>, StoreError> {
    tx.scan::<Generation>().rows().collect()
}

/// The current generation, which is shown.
pub(crate) fn current(tx: &Tx<'_>) -> Result<Option<Generation>, StoreError> {
    Ok(all(tx)?.into_iter().find(|generation| generation.status == GenerationStatus::Current))
}

/// Creates an empty generation at the start of both logs.
fn create(tx: &mut Tx<'_>, status: GenerationStatus) -> Result<Generation, StoreError> {
    let next = tx.next_id::<Generation>()?;
    let row = Generation {
        id: u32::try_from(next).unwrap_or(u32::MAX),
        status,
        shop_position: 0,
        promox_position: 0,
        started_at: tx.now(),
        shown_at: (status == GenerationStatus::Current).then_some(tx.now()),
        retired_at: None,
    };
    tx.insert(&row)?;
    Ok(row)
}

/// Creates the current generation of a new store.
pub(crate) fn ensure_current(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    match current(tx)? {
        Some(_) => Ok(()),
        None => create(tx, GenerationStatus::Current).map(drop),
    }
}

/// Starts a rebuild, unless one is running, and returns its generation.
pub(crate) fn rebuild(tx: &mut Tx<'_>) -> Result<Generation, StoreError> {
    ensure_current(tx)?;
    match all(tx)?.into_iter().find(|generation| generation.status == GenerationStatus::Rebuilding) {
        Some(running) => Ok(running),
        None => create(tx, GenerationStatus::Rebuilding),
    }
}

/// Activates a rebuild, unless it is behind the current generation in a log, and retires the current one. Returns
/// whether it was activated.
pub(crate) fn activate(tx: &mut Tx<'_>, id: u32) -> Result<bool, StoreError> {
    let (Some(mut new), Some(mut old)) = (tx.get::<Generation>(&id)?, current(tx)?) else { return Ok(false) };
    let is_behind = new.shop_position < old.shop_position || new.promox_position < old.promox_position;
    if is_behind || new.status != GenerationStatus::Rebuilding {
        return Ok(false);
    }
    new.status = GenerationStatus::Current;
    new.shown_at = Some(tx.now());
    old.status = GenerationStatus::Retired;
    old.retired_at = Some(tx.now());
    tx.put(&new)?;
    tx.put(&old)?;
    Ok(true)
}

/// A retired generation whose rows can be removed.
pub(crate) fn removable(tx: &Tx<'_>, now: Timestamp) -> Result<Option<Generation>, StoreError> {
    let is_removable = |it: &Generation| it.retired_at.is_some_and(|at| at + RETENTION <= now);
    Ok(all(tx)?.into_iter().find(is_removable))
}

/// Removes a batch of rows of a retired generation. Returns whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let Some(old) = removable(tx, tx.now())? else { return Ok(false) };
    let tables = [
        clear::<Entry>,
        clear::<Refunded>,
        clear::<First>,
        clear::<Rollup>,
        clear::<ProductRollup>,
        clear::<BuyerRollup>,
        clear::<PromotionRollup>,
        clear::<CampaignRollup>,
        clear::<FlashRollup>,
    ];
    for clear in tables {
        if clear(tx, old.id)? > 0 {
            return Ok(true);
        }
    }
    tx.delete::<Generation>(&old.id)
}

/// Removes a batch of rows of a table and returns their number.
fn clear<R: Record>(tx: &mut Tx<'_>, generation: u32) -> Result<usize, StoreError> {
    let rows: Vec<R> = tx.scan::<R>().prefix(generation).collect(SWEEP_ROWS)?;
    rows.iter().try_for_each(|row| tx.delete::<R>(&row.key()).map(drop))?;
    Ok(rows.len())
}
