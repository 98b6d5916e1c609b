//! Generations: the first one, a rebuild beside the one that is shown, its activation, and the removal of the old one.

use std::time::Duration;

use promox_kernel::Timestamp;
use promox_storage::{Record, StoreError, Tx};

use crate::records::{
    BuyerRollup, CampaignRollup, Entry, First, FlashRollup, Generation, GenerationStatus, ProductRollup,
    PromotionRollup, Refunded, Rollup,
};

/// Rows removed by one sweep.
const SWEEP: usize = 1_000;
/// How long a generation stays after it was last shown: running reads can finish.
const LINGER: Duration = Duration::from_secs(60);

/// All generations.
pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Generation>, StoreError> {
    tx.scan::<Generation>().rows().collect()
}

/// The one that is shown.
pub(crate) fn current(tx: &Tx<'_>) -> Result<Option<Generation>, StoreError> {
    Ok(all(tx)?.into_iter().find(|generation| generation.status == GenerationStatus::Current))
}

fn begin(tx: &mut Tx<'_>, status: GenerationStatus) -> Result<Generation, StoreError> {
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

/// Shows the first generation of a new store from the beginning.
pub(crate) fn ensure(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    match current(tx)? {
        Some(_) => Ok(()),
        None => begin(tx, GenerationStatus::Current).map(drop),
    }
}

/// Starts a rebuild, or finds the running one.
pub(crate) fn rebuild(tx: &mut Tx<'_>) -> Result<Generation, StoreError> {
    ensure(tx)?;
    match all(tx)?.into_iter().find(|generation| generation.status == GenerationStatus::Rebuilding) {
        Some(running) => Ok(running),
        None => begin(tx, GenerationStatus::Rebuilding),
    }
}

/// Shows a rebuild that has come as far as the generation that is shown; whether it did.
pub(crate) fn take_over(tx: &mut Tx<'_>, id: u32) -> Result<bool, StoreError> {
    let (Some(mut new), Some(mut old)) = (tx.get::<Generation>(&id)?, current(tx)?) else { return Ok(false) };
    let behind = new.shop_position < old.shop_position || new.promox_position < old.promox_position;
    if behind || new.status != GenerationStatus::Rebuilding {
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

/// The generation whose rows are to be removed.
pub(crate) fn over(tx: &Tx<'_>, now: Timestamp) -> Result<Option<Generation>, StoreError> {
    let over = |it: &Generation| it.retired_at.is_some_and(|at| at + LINGER <= now);
    Ok(all(tx)?.into_iter().find(over))
}

/// Removes a batch of rows of a replaced generation; whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let Some(old) = over(tx, tx.now())? else { return Ok(false) };
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

fn clear<R: Record>(tx: &mut Tx<'_>, generation: u32) -> Result<usize, StoreError> {
    let rows: Vec<R> = tx.scan::<R>().prefix(generation).collect(SWEEP)?;
    rows.iter().try_for_each(|row| tx.delete::<R>(&row.key()).map(drop))?;
    Ok(rows.len())
}
