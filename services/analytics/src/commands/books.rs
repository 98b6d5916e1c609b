//! The entries of a generation while a batch is written: every change of an entry is counted, and at the end the
//! roll-ups, the customers' first orders and the sets of buyers are updated.

use std::collections::BTreeMap;

use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use super::deltas::{Deltas, Sign};
use super::rollups::Bucket;
use crate::records::{BuyerRollup, Entry, EntryByBuyer, EntryByOwner, EntryKind, First};
use crate::rules::cover::Level;
use crate::rules::members;

/// Changes to a customer's orders.
#[derive(Clone, Copy, Debug)]
struct Touched {
    /// The first order added, as its time and number.
    first: (Timestamp, i64),
    /// Whether an order was removed.
    removed: bool,
}

/// The time and number of no order.
const NEVER: (Timestamp, i64) = (Timestamp(i64::MAX), i64::MAX);

/// A generation's entries and their changes.
pub(crate) struct Books<'t, 'a> {
    pub(crate) tx: &'t mut Tx<'a>,
    pub(crate) generation: u32,
    deltas: Deltas,
    buyers: BTreeMap<i64, Touched>,
    /// Buckets in which a customer's orders changed, and whether an order was added last.
    places: BTreeMap<(Bucket, i64), bool>,
}

impl<'t, 'a> Books<'t, 'a> {
    /// Opens the books of a generation.
    pub(crate) fn open(tx: &'t mut Tx<'a>, generation: u32) -> Self {
        Self { tx, generation, deltas: Deltas::default(), buyers: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// The entry of an owner that has at most one.
    pub(crate) fn one_of(&self, owner: i64, kind: EntryKind) -> Result<Option<Entry>, StoreError> {
        self.tx.get_by::<EntryByOwner>((Some(owner), self.generation, kind))
    }

    /// Writes an entry that was not there.
    pub(crate) fn put(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.deltas.count(entry, Sign::Plus);
        self.mark(entry, true);
        self.tx.put(entry)
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.deltas.count(entry, Sign::Minus);
        self.mark(entry, false);
        self.tx.delete::<Entry>(&(entry.generation, entry.at, entry.kind, entry.subject)).map(drop)
    }

    /// Replaces `old` with `new`; without a difference nothing changes.
    pub(crate) fn replace(&mut self, old: Option<&Entry>, new: Option<&Entry>) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            self.remove(old)?;
        }
        new.map_or(Ok(()), |new| self.put(new))
    }

    fn mark(&mut self, entry: &Entry, present: bool) {
        let Some(buyer) = entry.buyer else { return };
        let touched = self.buyers.entry(buyer).or_insert(Touched { first: NEVER, removed: false });
        if present {
            touched.first = touched.first.min((entry.at, entry.subject));
        } else {
            touched.removed = true;
        }
        for level in Level::ALL {
            self.places.insert(((*level, level.floor(entry.at)), buyer), present);
        }
    }

    /// Updates everything that is derived from the entries.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        for (buyer, touched) in std::mem::take(&mut self.buyers) {
            self.settle_first(buyer, touched)?;
        }
        let places = std::mem::take(&mut self.places);
        self.settle_buyers(places)?;
        self.deltas.flush(self.tx, self.generation)
    }

    /// Marks a customer's first order, and no other.
    fn settle_first(&mut self, buyer: i64, touched: Touched) -> Result<(), StoreError> {
        let known = self.tx.get::<First>(&(self.generation, buyer))?;
        let before = known.map_or(NEVER, |row| (row.at, row.order_id));
        let first = if touched.removed { self.first_of(buyer)? } else { touched.first.min(before) };
        if before != first && before != NEVER {
            self.mark_first(buyer, before, 0)?;
        }
        if first == NEVER {
            return self.tx.delete::<First>(&(self.generation, buyer)).map(drop);
        }
        self.mark_first(buyer, first, 1)?;
        if before == first {
            return Ok(());
        }
        self.tx.put(&First { generation: self.generation, buyer, at: first.0, order_id: first.1 })
    }

    fn first_of(&self, buyer: i64) -> Result<(Timestamp, i64), StoreError> {
        let first = self.tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), self.generation)).first()?;
        Ok(first.map_or(NEVER, |entry| (entry.at, entry.subject)))
    }

    /// Marks an order, if it still exists and is the customer's.
    fn mark_first(&mut self, buyer: i64, order: (Timestamp, i64), mark: i64) -> Result<(), StoreError> {
        let entry = self.tx.get::<Entry>(&(self.generation, order.0, EntryKind::Order, order.1))?;
        entry.filter(|entry| entry.buyer == Some(buyer)).map_or(Ok(()), |entry| self.set_first(&entry, mark))
    }

    fn set_first(&mut self, entry: &Entry, new_customers: i64) -> Result<(), StoreError> {
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
    fn settle_buyers(&mut self, places: BTreeMap<(Bucket, i64), bool>) -> Result<(), StoreError> {
        let mut chunks = BTreeMap::<(Bucket, i64), Vec<(u16, bool)>>::new();
        for ((bucket, buyer), put) in places {
            let present = put || self.has_order(buyer, bucket)?;
            let (chunk, place) = members::place(buyer);
            chunks.entry((bucket, chunk)).or_default().push((place, present));
        }
        for (((level, start), chunk), marks) in chunks {
            self.mark_members((self.generation, level, start, chunk), &marks)?;
        }
        Ok(())
    }

    fn has_order(&self, buyer: i64, (level, start): (Level, Timestamp)) -> Result<bool, StoreError> {
        let scan = self.tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), self.generation));
        Ok(scan.from(start).before(level.next(start)).first()?.is_some())
    }

    fn mark_members(&mut self, key: (u32, Level, Timestamp, i64), marks: &[(u16, bool)]) -> Result<(), StoreError> {
        let old = self.tx.get::<BuyerRollup>(&key)?.map_or_else(Default::default, |row| row.members);
        let mut members = old.clone();
        marks.iter().for_each(|(place, present)| members.mark(*place, *present));
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
