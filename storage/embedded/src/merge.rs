//! A scan that merges the layers of a state. The newest entry of a key counts, and a tombstone hides older ones.

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;
use promox_storage::{Direction, Item, Space, StoreError};

use crate::key::SPACE;
use crate::table::Table;

/// A key without its space, and its entry in a layer.
type Head = (Vec<u8>, Option<Bytes>);

/// The entries of a layer within a range, in the direction of the scan.
pub(crate) type Source<'a> = Box<dyn Iterator<Item = Result<Head, StoreError>> + 'a>;

struct Layer<'a> {
    source: Source<'a>,
    head: Option<Result<Head, StoreError>>,
}

/// A scan that merges layers, newest first.
pub(crate) struct MergeScan<'a> {
    layers: Vec<Layer<'a>>,
    direction: Direction,
}

/// A range of keys that include their space.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Returns the range of the keys of a space from `start` up to, but not including, `end`.
pub(crate) fn bounds(space: Space, start: &[u8], end: Option<&[u8]>) -> Bounds {
    let prefix = space.0.to_be_bytes();
    let start = [&prefix[..], start].concat();
    let end = match (end, space.0.checked_add(1)) {
        (Some(end), _) => Bound::Excluded([&prefix[..], end].concat()),
        (None, Some(next)) => Bound::Excluded(next.to_be_bytes().to_vec()),
        (None, None) => Bound::Unbounded,
    };
    (Bound::Included(start), end)
}

/// Returns the entries of a memory table within bounds.
pub(crate) fn table_source<'a>(table: &'a Table, bounds: &Bounds, direction: Direction) -> Source<'a> {
    let borrowed = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    let found = table.range(borrowed);
    let found = found.map(|(key, value)| Ok((key.bytes().get(SPACE..).unwrap_or_default().to_vec(), value)));
    match direction {
        Direction::Forward => Box::new(found),
        Direction::Backward => Box::new(found.rev()),
    }
}

impl<'a> MergeScan<'a> {
    /// Merges sources, newest first.
    pub(crate) fn new(sources: impl Iterator<Item = Source<'a>>, direction: Direction) -> Self {
        let layers = sources.map(|mut source| Layer { head: source.next(), source });
        let layers = layers.filter(|layer| layer.head.is_some()).collect();
        Self { layers, direction }
    }

    /// Takes the error of a layer, if there is one. It has no key, so it comes before the next keys of other layers.
    fn take_error(&mut self) -> Option<StoreError> {
        let failed = |layer: &&mut Layer<'_>| matches!(layer.head, Some(Err(_)));
        let layer = self.layers.iter_mut().find(failed)?;
        let error = layer.head.take()?.err()?;
        layer.pull();
        Some(error)
    }

    /// Takes the next key of all layers, with its newest entry.
    fn take(&mut self) -> Option<Head> {
        let mut best: Option<usize> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            let ahead = best
                .and_then(|best| self.layers.get(best))
                .is_none_or(|best| compare(layer, best, self.direction) == Ordering::Less);
            if ahead {
                best = Some(at);
            }
        }
        let newest = self.layers.get_mut(best?)?;
        let found = newest.head.take()?.ok()?;
        newest.pull();
        for layer in self.layers.iter_mut().skip(best? + 1) {
            if layer.key() == Some(&found.0) {
                layer.pull();
            }
        }
        self.layers.retain(|layer| layer.head.is_some());
        Some(found)
    }
}

impl Layer<'_> {
    fn pull(&mut self) {
        self.head = self.source.next();
    }

    fn key(&self) -> Option<&Vec<u8>> {
        self.head.as_ref()?.as_ref().ok().map(|head| &head.0)
    }
}

fn compare(one: &Layer<'_>, other: &Layer<'_>, direction: Direction) -> Ordering {
    let order = one.key().cmp(&other.key());
    if direction == Direction::Forward { order } else { order.reverse() }
}

impl Iterator for MergeScan<'_> {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.take_error() {
                // Other rows may follow a damaged row, but nothing can be read after other errors.
                if !matches!(error, StoreError::DamagedRow { .. }) {
                    self.layers.clear();
                }
                return Some(Err(error));
            }
            if let (key, Some(value)) = self.take()? {
                return Some(Ok((key, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type TestLayer = BTreeMap<u8, Option<u8>>;

    fn source(entries: &TestLayer, direction: Direction) -> Source<'static> {
        let heads = entries.iter().map(|(key, value)| (vec![*key], value.map(|value| Bytes::from(vec![value]))));
        let mut heads: Vec<Head> = heads.collect();
        if direction == Direction::Backward {
            heads.reverse();
        }
        Box::new(heads.into_iter().map(Ok))
    }

    fn merged(layers: &[TestLayer]) -> Vec<(u8, u8)> {
        let mut map = TestLayer::new();
        layers.iter().rev().for_each(|layer| map.extend(layer));
        map.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn test_layer() -> impl Strategy<Value = TestLayer> {
        prop::collection::btree_map(0u8..24, prop::option::of(any::<u8>()), 0..16)
    }

    proptest! {
        #[test]
        fn merged_layers_equal_one_map(layers in prop::collection::vec(test_layer(), 0..4)) {
            for direction in [Direction::Forward, Direction::Backward] {
                let scan = MergeScan::new(layers.iter().map(|layer| source(layer, direction)), direction);
                let found: Vec<(u8, u8)> = scan.map(|item| item.map(|(key, value)| (key[0], value[0])).unwrap()).collect();
                let mut expected = merged(&layers);
                if direction == Direction::Backward {
                    expected.reverse();
                }
                prop_assert_eq!(found, expected);
            }
        }
    }

    /// Scans a layer with an error between two entries, and a newer intact layer.
    fn around(error: &StoreError) -> Vec<Result<u8, StoreError>> {
        let item = |key: u8| Ok((vec![key], Some(Bytes::new())));
        let broken: Source<'_> = Box::new([item(1), Err(error.clone()), item(3)].into_iter());
        let newer: Source<'_> = Box::new([item(2), item(3), item(4)].into_iter());
        let scan = MergeScan::new([newer, broken].into_iter(), Direction::Forward);
        scan.map(|item| item.map(|(key, _)| key[0])).collect()
    }

    #[test]
    fn an_error_ends_the_scan_unless_it_is_a_damaged_row() {
        assert_eq!(around(&StoreError::Busy), [Ok(1), Err(StoreError::Busy)]);
        let damaged = StoreError::DamagedRow { table: "t".to_owned(), place: "p".to_owned() };
        assert_eq!(around(&damaged), [Ok(1), Err(damaged), Ok(2), Ok(3), Ok(4)]);
    }
}
