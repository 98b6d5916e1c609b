//! Counts earlier uses for limits that a promotion gets later.
//!
//! A use is counted by person, address and period only if a limit requires it, so that an order needs few rows. Its hold
//! keeps the identifiers of the buyer. New limits are published in three steps, so that they count every use from the
//! moment they can refuse one:
//!
//! 1. [`begin`] announces them. From its commit on, new uses count for them too, but they refuse none.
//! 2. [`count`] examines the holds of earlier uses, in batches.
//! 3. When all are counted, the promotion is updated, if the limits are still those that were announced.

use promox_contract::buyer::Person;
use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Json, Timestamp};
use promox_storage::{Hold, StoreError, Tx};

use super::uses::read_count;
use crate::queries::uses_and_spent;
use crate::records::{OrderUses, PersonUse, Promotion, Recount};
use crate::rules::{CountedBuyer, CountedBy, later};

/// Holds that one read examines.
pub(crate) const MAX_EXAMINED: usize = 2_000;
/// Promotions whose uses are being counted, at once.
const MAX_RECOUNTS: usize = 100;

/// Holds to be counted next.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The state of the count that it continues.
    after: Recount,
    orders: Vec<OrderId>,
    /// Where the next batch begins; `None` after the last one.
    next: Option<OrderId>,
}

#[cfg(test)]
impl Batch {
    pub(crate) fn orders(&self) -> &[OrderId] {
        &self.orders
    }
}

/// A count of earlier uses that a request starts.
#[derive(Clone, Debug)]
pub(crate) struct NewCount {
    /// Distinguishes it from other counts.
    pub(crate) token: String,
    /// When it is given up unless the limits are published.
    pub(crate) until: Timestamp,
}

/// Announces what new limits of a promotion count. A count that is already under way for the same is continued.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    promotion_id: PromotionId,
    counted: CountedBy,
    count: &NewCount,
) -> Result<(), StoreError> {
    let until = Some(count.until);
    if let Some(row) = tx.get::<Recount>(&promotion_id)?
        && row.counted.as_deref() == Some(&counted)
    {
        return tx.put(&Recount { until, ..row });
    }
    let (counted, token) = (Some(Json(counted)), Some(count.token.clone()));
    // Without earlier uses there is nothing to count.
    let complete_at = (uses_and_spent(tx, promotion_id)?.0 == 0).then(|| tx.now());
    tx.put(&Recount { promotion_id, next: None, counted, token, complete_at, until })
}

/// Whether all uses of a promotion count for what its new limits count.
pub(crate) fn is_complete(tx: &Tx<'_>, id: PromotionId, counted: &CountedBy) -> Result<bool, StoreError> {
    let row = tx.get::<Recount>(&id)?;
    Ok(row.is_some_and(|row| row.complete_at.is_some() && row.counted.as_deref() == Some(counted)))
}

/// Ends the announcement of limits that are now published.
pub(crate) fn end(tx: &mut Tx<'_>, id: PromotionId) -> Result<(), StoreError> {
    tx.delete::<Recount>(&id).map(drop)
}

/// The promotions whose earlier uses have yet to be counted.
pub(crate) fn pending(tx: &Tx<'_>) -> Result<Vec<PromotionId>, StoreError> {
    let rows = tx.scan::<Recount>().collect(MAX_RECOUNTS)?;
    Ok(rows.into_iter().filter(|row| row.complete_at.is_none()).map(|row| row.promotion_id).collect())
}

/// Removes announcements that no request has published in time. What was counted for them stays counted.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for row in tx.scan::<Recount>().collect(MAX_RECOUNTS)? {
        let published = row.counted.is_none() && row.complete_at.is_some();
        if published || row.until.is_some_and(|until| until <= tx.now()) {
            end(tx, row.promotion_id)?;
        }
    }
    Ok(())
}

/// The next batch of at most `most` holds; `None` if all uses are counted.
pub(crate) fn batch(tx: &Tx<'_>, id: PromotionId, most: usize) -> Result<Option<Batch>, StoreError> {
    let Some(after) = tx.get::<Recount>(&id)?.filter(|row| row.complete_at.is_none()) else { return Ok(None) };
    let holds = tx.scan::<OrderUses>().from(after.next.unwrap_or(OrderId(0))).collect(most)?;
    let next = holds.last().filter(|_| holds.len() == most).map(|hold| OrderId(hold.order_id.0.saturating_add(1)));
    let uses = |hold: &&OrderUses| hold.state.is_live() && hold.uses.iter().any(|held| held.promotion_id == id);
    Ok(Some(Batch { after, orders: holds.iter().filter(uses).map(|hold| hold.order_id).collect(), next }))
}

/// Counts a batch, unless another one was counted since it was read.
pub(crate) fn count(tx: &mut Tx<'_>, id: PromotionId, ignore_plus_tags: bool, batch: &Batch) -> Result<(), StoreError> {
    let continues = |row: &Recount| {
        (row.next, &row.token, row.complete_at) == (batch.after.next, &batch.after.token, batch.after.complete_at)
    };
    let Some(row) = tx.get::<Recount>(&id)?.filter(continues) else { return Ok(()) };
    let counted = match &row.counted {
        Some(counted) => Some(counted.0.clone()),
        None => tx.get::<Promotion>(&id)?.map(|promotion| CountedBy::of(&promotion.document)),
    };
    for order in &batch.orders {
        if let Some(hold) = tx.get::<OrderUses>(order)?.filter(|hold| hold.state().is_live())
            && let Some(counted) = &counted
        {
            count_hold(tx, id, counted, ignore_plus_tags, hold)?;
        }
    }
    let complete_at = batch.next.is_none().then(|| tx.now());
    tx.put(&Recount { next: batch.next, complete_at, ..row })
}

fn count_hold(
    tx: &mut Tx<'_>,
    id: PromotionId,
    counted: &CountedBy,
    ignore_plus_tags: bool,
    mut hold: OrderUses,
) -> Result<(), StoreError> {
    let person = Person { keys: hold.person.0.clone(), ignore_plus_tags };
    let buyer = CountedBuyer { email: person.email_digest(), address: hold.address.clone(), person };
    let (counting, now) = (counted.counting(&buyer, hold.held_at), tx.now());
    let (order_id, used_at) = (hold.order_id, hold.held_at);
    let Some(held) = hold.uses.iter_mut().find(|held| held.promotion_id == id) else { return Ok(()) };
    let mut changed = false;
    for new in counting.counters.iter().filter(|new| new.ends.is_none_or(|ends| ends > now)) {
        if !held.counters.contains(&new.name) {
            let mut count = read_count(tx, id, new)?;
            count.uses += 1;
            tx.put(&count)?;
            held.counters.push(new.name.clone());
            changed = true;
        }
    }
    if !counting.person.is_empty() && counting.person_ends.is_none_or(|ends| ends > now) {
        for key in &buyer.person.keys {
            let (person, exact) = (key.name.clone(), key.exact.clone().unwrap_or_default());
            let known = tx.get::<PersonUse>(&(id, person.clone(), used_at, order_id, exact.clone()))?;
            // Limits that are published may count the use for longer.
            let ends_at = known.map_or(counting.person_ends, |known| later(known.ends_at, counting.person_ends));
            tx.put(&PersonUse { promotion_id: id, person, used_at, order_id, exact, ends_at })?;
        }
        changed |= !held.counts_person();
        held.counted_later |= held.person_limits.is_empty();
    }
    if changed { tx.put(&hold) } else { Ok(()) }
}
