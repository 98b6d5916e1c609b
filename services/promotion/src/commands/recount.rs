//! Counts earlier uses for limits that were added to a promotion later.
//!
//! A use is counted by person, address and period only if a limit requires it, so that an order needs few rows. Its hold
//! keeps the identifiers of the buyer: when limits change, the holds of earlier uses are examined again, in batches.

use promox_contract::buyer::Person;
use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Currency, Error};
use promox_storage::{Hold, StoreError, Tx};

use super::uses::{compile, read_count};
use crate::records::{OrderUses, PersonUse, Recount};
use crate::rules::{CountedBuyer, Rule};

/// Holds that one read examines.
const MAX_EXAMINED: usize = 2_000;
/// Promotions whose uses are being counted, at once.
const MAX_RECOUNTS: usize = 100;

/// Holds to be counted next.
#[derive(Debug)]
pub(crate) struct Batch {
    from: Option<OrderId>,
    orders: Vec<OrderId>,
    /// Where the next batch begins; `None` after the last one.
    next: Option<OrderId>,
}

/// Marks the earlier uses of a promotion to be counted for its current limits.
pub(crate) fn begin(tx: &mut Tx<'_>, promotion_id: PromotionId) -> Result<(), StoreError> {
    tx.put(&Recount { promotion_id, next: None })
}

/// The promotions whose earlier uses have yet to be counted.
pub(crate) fn pending(tx: &Tx<'_>) -> Result<Vec<PromotionId>, StoreError> {
    Ok(tx.scan::<Recount>().collect(MAX_RECOUNTS)?.into_iter().map(|row| row.promotion_id).collect())
}

/// The next batch; `None` if all uses are counted.
pub(crate) fn batch(tx: &Tx<'_>, id: PromotionId) -> Result<Option<Batch>, StoreError> {
    let Some(Recount { next: from, .. }) = tx.get::<Recount>(&id)? else { return Ok(None) };
    let holds = tx.scan::<OrderUses>().from(from.unwrap_or(OrderId(0))).collect(MAX_EXAMINED)?;
    let last =
        holds.last().filter(|_| holds.len() == MAX_EXAMINED).map(|hold| OrderId(hold.order_id.0.saturating_add(1)));
    let uses = |hold: &&OrderUses| hold.state.is_live() && hold.uses.iter().any(|held| held.promotion_id == id);
    Ok(Some(Batch { from, orders: holds.iter().filter(uses).map(|hold| hold.order_id).collect(), next: last }))
}

/// Counts a batch, unless the limits have changed since it was read.
pub(crate) fn count(
    tx: &mut Tx<'_>,
    id: PromotionId,
    currency: Currency,
    ignore_plus_tags: bool,
    batch: &Batch,
) -> Result<(), Error> {
    if tx.get::<Recount>(&id)?.is_none_or(|row| row.next != batch.from) {
        return Ok(());
    }
    let rule = compile(tx, id, currency)?;
    for order in &batch.orders {
        if let Some(hold) = tx.get::<OrderUses>(order)?.filter(|hold| hold.state().is_live()) {
            count_hold(tx, &rule, ignore_plus_tags, hold)?;
        }
    }
    match batch.next {
        Some(_) => tx.put(&Recount { promotion_id: id, next: batch.next })?,
        None => {
            tx.delete::<Recount>(&id)?;
        }
    }
    Ok(())
}

fn count_hold(tx: &mut Tx<'_>, rule: &Rule, ignore_plus_tags: bool, mut hold: OrderUses) -> Result<(), StoreError> {
    let person = Person { keys: hold.person.0.clone(), ignore_plus_tags };
    let buyer = CountedBuyer { email: person.email_digest(), address: hold.address.clone(), person };
    let (counting, now) = (rule.counting(&buyer, hold.held_at), tx.now());
    let (order_id, used_at, id) = (hold.order_id, hold.held_at, rule.id());
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
            tx.put(&PersonUse {
                promotion_id: id,
                person: key.name.clone(),
                used_at,
                order_id,
                exact: key.exact.clone().unwrap_or_default(),
                ends_at: counting.person_ends,
            })?;
        }
        changed |= !held.counts_person();
        held.counted_later |= held.person_limits.is_empty();
    }
    if changed { tx.put(&hold) } else { Ok(()) }
}
