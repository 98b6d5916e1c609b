//! Writes the entries of a generation. Every change of an entry is counted, and at the end of the batch the roll-ups,
//! the customers' first orders and the sets of buyers are updated.

use std::collections::BTreeMap;

use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use super::deltas::Deltas;
use super::rollups::Bucket;
use crate::records::{BuyerRollup, Entry, EntryByBuyer, EntryByOwner, EntryKind, First};
use crate::rules::cover::Level;
use crate::rules::members;
use crate::rules::sum::Sign;

/// The changes to one customer's orders.
#[derive(Clone, Copy, Debug)]
struct OrderChanges {
    /// The time and id of the first order that was added.
    first: (Timestamp, i64),
    /// Whether an order was removed.
    removed: bool,
}

/// Stands for no order. It is later than the time and id of every order.
const NO_ORDER: (Timestamp, i64) = (Timestamp(i64::MAX), i64::MAX);

/// Writes the entries of a generation and collects the changes to everything derived from them.
pub(crate) struct EntryWriter<'t, 'a> {
    pub(crate) tx: &'t mut Tx<'a>,
    pub(crate) generation: u32,
    deltas: Deltas,
    buyers: BTreeMap<i64, OrderChanges>,
    /// The buckets in which a customer's orders changed, and whether the last change added an order.
    buckets: BTreeMap<(Bucket, i64), bool>,
}

impl<'t, 'a> EntryWriter<'t, 'a> {
    /// A writer for a generation.
    pub(crate) fn new(tx: &'t mut Tx<'a>, generation: u32) -> Self {
        Self { tx, generation, deltas: Deltas::default(), buyers: BTreeMap::new(), buckets: BTreeMap::new() }
    }

    /// The entry of an owner; each owner has at most one of a kind.
    pub(crate) fn entry_of(&self, owner: i64, kind: EntryKind) -> Result<Option<Entry>, StoreError> {
        self.tx.get_by::<EntryByOwner>((Some(owner), self.generation, kind))
    }

    /// Writes a new entry.
    pub(crate) fn put(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.deltas.count(entry, Sign::Plus);
        self.record_order(entry, true);
        self.tx.put(entry)
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.deltas.count(entry, Sign::Minus);
        self.record_order(entry, false);
        self.tx.delete::<Entry>(&(entry.generation, entry.at, entry.kind, entry.subject)).map(drop)
    }

    /// Replaces `old` with `new`. Nothing is written if they are equal.
    pub(crate) fn replace(&mut self, old: Option<&Entry>, new: Option<&Entry>) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            self.remove(old)?;
        }
        new.map_or(Ok(()), |new| self.put(new))
    }

    /// Records that an order of a known customer was added or removed.
    fn record_order(&mut self, entry: &Entry, present: bool) {
        let Some(buyer) = entry.buyer else { return };
        let changes = self.buyers.entry(buyer).or_insert(OrderChanges { first: NO_ORDER, removed: false });
        if present {
            changes.first = changes.first.min((entry.at, entry.subject));
        } else {
            changes.removed = true;
        }
        for level in Level::ALL {
            self.buckets.insert(((*level, level.floor(entry.at)), buyer), present);
        }
    }

    /// Updates everything that is derived from the entries.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        for (buyer, changes) in std::mem::take(&mut self.buyers) {
            self.update_first(buyer, changes)?;
        }
        let buckets = std::mem::take(&mut self.buckets);
        self.update_buyers(buckets)?;
        self.deltas.flush(self.tx, self.generation)
    }

    /// Marks a customer's first order and unmarks the previous one.
    fn update_first(&mut self, buyer: i64, changes: OrderChanges) -> Result<(), StoreError> {
        let stored = self.tx.get::<First>(&(self.generation, buyer))?;
        let before = stored.map_or(NO_ORDER, |row| (row.at, row.order_id));
        let first = if changes.removed { self.find_first(buyer)? } else { changes.first.min(before) };
        if before != first && before != NO_ORDER {
            self.mark_first(buyer, before, 0)?;
        }
        if first == NO_ORDER {
            return self.tx.delete::<First>(&(self.generation, buyer)).map(drop);
        }
        self.mark_first(buyer, first, 1)?;
        if before == first {
            return Ok(());
        }
        self.tx.put(&First { generation: self.generation, buyer, at: first.0, order_id: first.1 })
    }

    /// Finds a customer's first order among the entries.
    fn find_first(&self, buyer: i64) -> Result<(Timestamp, i64), StoreError> {
        let first = self.tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), self.generation)).first()?;
        Ok(first.map_or(NO_ORDER, |entry| (entry.at, entry.subject)))
    }

    /// Marks or unmarks an order as the first, if it still exists and belongs to the customer.
    fn mark_first(&mut self, buyer: i64, order: (Timestamp, i64), mark: i64) -> Result<(), StoreError> {
        let entry = self.tx.get::<Entry>(&(self.generation, order.0, EntryKind::Order, order.1))?;
        entry.filter(|entry| entry.buyer == Some(buyer)).map_or(Ok(()), |entry| self.set_new_customers(&entry, mark))
    }

    fn set_new_customers(&mut self, entry: &Entry, new_customers: i64) -> Result<(), StoreError> {
        if entry.measures.new_customers == new_customers {
            return Ok(());
        }
        let mut changed = entry.clone();
        changed.measures.new_customers = new_customers;
        self.deltas.count(entry, Sign::Minus);
        self.deltas.count(&changed, Sign::Plus);
        self.tx.put(&changed)
    }

    /// Updates the sets of buyers of the changed buckets.
    fn update_buyers(&mut self, buckets: BTreeMap<(Bucket, i64), bool>) -> Result<(), StoreError> {
        let mut chunks = BTreeMap::<(Bucket, i64), Vec<(u16, bool)>>::new();
        for ((bucket, buyer), was_added) in buckets {
            let present = was_added || self.has_order(buyer, bucket)?;
            let (chunk, offset) = members::chunk_and_offset(buyer);
            chunks.entry((bucket, chunk)).or_default().push((offset, present));
        }
        for (((level, start), chunk), marks) in chunks {
            self.mark_members((self.generation, level, start, chunk), &marks)?;
        }
        Ok(())
    }

    /// Whether a customer has an order in a bucket.
    fn has_order(&self, buyer: i64, (level, start): (Level, Timestamp)) -> Result<bool, StoreError> {
        let scan = self.tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), self.generation));
        Ok(scan.from(start).before(level.next(start)).first()?.is_some())
    }

    /// Adds customers to the set of a chunk, or removes them from it.
    fn mark_members(&mut self, key: (u32, Level, Timestamp, i64), marks: &[(u16, bool)]) -> Result<(), StoreError> {
        let old = self.tx.get::<BuyerRollup>(&key)?.map_or_else(Default::default, |row| row.members);
        let mut members = old.clone();
        marks.iter().for_each(|(offset, present)| members.mark(*offset, *present));
        if members == old {
            return Ok(());
        }
        if members.count() == 0 {
            return self.tx.delete::<BuyerRollup>(&key).map(drop);
        }
        let (generation, level, start, chunk) = key;
        self.tx.put(&BuyerRollup { generation, level, start, chunk, members })
    }
}
