//! The entries of a generation while a batch is written: every change of an entry is counted, and at the end the roll-ups,
//! the customers' first orders and the sets of buyers follow.

use std::collections::{BTreeMap, BTreeSet};

use promox_kernel::Timestamp;
use promox_storage::{StoreError, Tx};

use super::deltas::{Bucket, Deltas, Sign};
use crate::records::{BuyerRollup, Entry, EntryByBuyer, EntryByOwner, EntryKind, First};
use crate::rules::cover::Level;
use crate::rules::members;

/// A generation's entries, and what changed in them.
pub(crate) struct Books<'t, 'a> {
    pub(crate) tx: &'t mut Tx<'a>,
    pub(crate) generation: u32,
    deltas: Deltas,
    buyers: BTreeSet<i64>,
    /// Buckets in which a customer's orders changed, and whether an order was put there last.
    places: BTreeMap<(Bucket, i64), bool>,
}

impl<'t, 'a> Books<'t, 'a> {
    /// Opens the books of a generation.
    pub(crate) fn open(tx: &'t mut Tx<'a>, generation: u32) -> Self {
        Self { tx, generation, deltas: Deltas::default(), buyers: BTreeSet::new(), places: BTreeMap::new() }
    }

    /// The entry of an owner of which there is one at most.
    pub(crate) fn one_of(&self, owner: i64, kind: EntryKind) -> Result<Option<Entry>, StoreError> {
        self.tx.scan_by::<EntryByOwner>().prefix((Some(owner), self.generation, kind)).first()
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

    /// Puts `new` in the place of `old`; the same again changes nothing.
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
        self.buyers.insert(buyer);
        for level in Level::ALL {
            self.places.insert(((*level, level.floor(entry.at)), buyer), present);
        }
    }

    /// Brings everything that follows from the entries up to them.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        for buyer in std::mem::take(&mut self.buyers) {
            self.settle_first(buyer)?;
        }
        let places = std::mem::take(&mut self.places);
        self.settle_buyers(places)?;
        self.deltas.flush(self.tx, self.generation)
    }

    /// A customer's first order is marked, and no other.
    fn settle_first(&mut self, buyer: i64) -> Result<(), StoreError> {
        let known = self.tx.get::<First>(&(self.generation, buyer))?;
        let first = self.tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), self.generation)).first()?;
        let marked = match &known {
            Some(known) => self.tx.get::<Entry>(&(self.generation, known.at, EntryKind::Order, known.order_id))?,
            None => None,
        };
        let is_first =
            |entry: &Entry| first.as_ref().is_some_and(|it| (it.at, it.subject) == (entry.at, entry.subject));
        if let Some(old) = marked.filter(|entry| entry.buyer == Some(buyer) && !is_first(entry)) {
            self.set_first(&old, 0)?;
        }
        let Some(first) = first else {
            return self.tx.delete::<First>(&(self.generation, buyer)).map(drop);
        };
        self.set_first(&first, 1)?;
        let now = First { generation: self.generation, buyer, at: first.at, order_id: first.subject };
        if known.as_ref() == Some(&now) { Ok(()) } else { self.tx.put(&now) }
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

    /// The sets of buyers say who has an order in a bucket.
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
