//! The memory table: the rows committed since the last checkpoint, in key order, with snapshots in O(1).
//!
//! The tree holds keys and the places of values, and no pointers. After a snapshot a change copies the nodes on its path,
//! and a node without pointers is copied without counting references.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::key::{Key, Probe};

/// The approximate memory of a key, its node and the place of its value, in bytes.
const OVERHEAD: usize = 80;

/// Where a value is. Without a length it is a tombstone, which hides a row in a lower layer.
#[derive(Clone, Copy, Debug)]
struct Place {
    slab: u32,
    start: u32,
    /// The length plus one; 0 for a tombstone.
    length: u32,
}

/// A memory table. Clones are snapshots.
#[derive(Clone, Default)]
pub(crate) struct Table {
    rows: OrdMap<Key, Place>,
    /// The bytes that values are in, one slab for each transaction. Snapshots share them, and they are only added.
    slabs: Arc<boxcar::Vec<Bytes>>,
    /// The approximate size in bytes. Replaced values count, because their slabs remain.
    pub(crate) bytes: usize,
}

/// What a table has for a key: a value, or none for a tombstone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) Option<Bytes>);

/// A slab that was added to a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slab(u32);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a memory table of {} rows", self.rows.len())
    }
}

impl Table {
    /// Adds the bytes in which the next values are.
    pub(crate) fn add_slab(&mut self, bytes: Bytes) -> Slab {
        self.bytes += bytes.len();
        Slab(size(self.slabs.push(bytes)))
    }

    /// Sets the value of a key: `length` bytes of a slab from `start`, or a tombstone.
    pub(crate) fn insert(&mut self, key: Key, slab: Slab, value: Option<(usize, usize)>) {
        let (start, length) = value.map_or((0, 0), |(start, length)| (size(start), size(length) + 1));
        if self.rows.insert(key, Place { slab: slab.0, start, length }).is_none() {
            self.bytes += OVERHEAD;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of keys, with tombstones.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the entry of a key, if there is one.
    pub(crate) fn get(&self, probe: &Probe) -> Option<Entry> {
        let place = match probe {
            Probe::Short(key) => self.rows.get(key),
            Probe::Middle(length, bytes) => self.rows.get(bytes.get(..*length).unwrap_or_default()),
            Probe::Long(bytes) => self.rows.get(bytes.as_slice()),
        };
        place.map(|place| Entry(self.value(*place)))
    }

    /// Returns all keys in order, with their values or tombstones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, Option<Bytes>)> {
        self.rows.iter().map(|(key, place)| (key, self.value(*place)))
    }

    /// Returns the keys within bounds in order, with their values or tombstones.
    pub(crate) fn range<'a>(
        &'a self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl DoubleEndedIterator<Item = (&'a Key, Option<Bytes>)> + use<'a> {
        self.rows.range::<_, [u8]>(bounds).map(|(key, place)| (key, self.value(*place)))
    }

    fn value(&self, place: Place) -> Option<Bytes> {
        let start = place.start as usize;
        let end = start + place.length.checked_sub(1)? as usize;
        self.slabs.get(place.slab as usize).map(|slab| slab.slice(start..end))
    }
}

/// A number of slabs or bytes, which journal and memory limit to far less than 4 GiB.
fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use promox_storage::Space;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        // Some keys are too long to be stored inline.
        Key::new(Space(1), &vec![number; if number.is_multiple_of(3) { 60 } else { 4 }])
    }

    proptest! {
        /// A table equals a map, and a snapshot stays as it was, also when its table continues from it twice.
        #[test]
        fn a_table_equals_a_map(
            groups in prop::collection::vec(
                (prop::collection::vec((0_u8..20, prop::option::of(0_usize..9)), 1..8), any::<bool>()),
                0..20,
            ),
        ) {
            let (mut table, mut expected) = (Table::default(), BTreeMap::new());
            for (changes, dropped) in groups {
                let (snapshot, before) = (table.clone(), expected.clone());
                let bytes: Vec<u8> = (0..200).collect();
                let slab = table.add_slab(Bytes::from(bytes.clone()));
                for (at, (number, length)) in changes.iter().enumerate() {
                    table.insert(key(*number), slab, length.map(|length| (at, length)));
                    let value = length.map(|length| Bytes::copy_from_slice(&bytes[at..at + length]));
                    expected.insert(key(*number), value);
                }
                prop_assert!(table.iter().map(|(key, value)| (key.clone(), value)).eq(expected.clone()));
                prop_assert!(snapshot.iter().map(|(key, value)| (key.clone(), value)).eq(before.clone()));
                if dropped {
                    (table, expected) = (snapshot, before);
                }
            }
            for number in 0..20 {
                let probe = Probe::new(Space(1), key(number).parts().1);
                prop_assert_eq!(table.get(&probe), expected.get(&key(number)).cloned().map(Entry));
            }
            prop_assert!(table.bytes >= table.len() * OVERHEAD);
        }
    }

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<(Key, Place)>(), 48);
    }
}
