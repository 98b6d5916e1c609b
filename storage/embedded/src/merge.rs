//! The scan that merges the layers of a state: the newest word on a key counts, and one that says "gone" hides it.

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;
use promox_storage::{Direction, Item, KeyRange, StoreError};

use crate::key::{Key, SPACE};
use crate::table::Rows;
use crate::view::Layers;

/// A key without its space, and what a layer says of it.
type Head = (Vec<u8>, Option<Bytes>);

/// What a layer has in a range, in one direction.
pub(crate) type Source<'a> = Box<dyn Iterator<Item = Result<Head, StoreError>> + 'a>;

struct Layer<'a> {
    source: Source<'a>,
    head: Option<Head>,
}

/// Merges layers, newest first.
pub(crate) struct MergeScan<'a> {
    layers: Vec<Layer<'a>>,
    direction: Direction,
    failed: Option<StoreError>,
}

/// A range of keys with their space.
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn bounds(range: &KeyRange) -> Bounds {
    let space = range.space.0.to_be_bytes();
    let start = [&space[..], &range.start].concat();
    let end = match (&range.end, range.space.0.checked_add(1)) {
        (Some(end), _) => Bound::Excluded([&space[..], end].concat()),
        (None, Some(next)) => Bound::Excluded(next.to_be_bytes().to_vec()),
        (None, None) => Bound::Unbounded,
    };
    (Bound::Included(start), end)
}

fn rows_source<'a>(rows: &'a Rows, bounds: &Bounds, direction: Direction) -> Source<'a> {
    let borrowed = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    let found = rows.range::<_, [u8]>(borrowed).map(|(key, value): (&Key, &Option<Bytes>)| {
        Ok((key.bytes().get(SPACE..).unwrap_or_default().to_vec(), value.clone()))
    });
    match direction {
        Direction::Forward => Box::new(found),
        Direction::Backward => Box::new(found.rev()),
    }
}

impl<'a> MergeScan<'a> {
    /// The items of a range of a state.
    pub(crate) fn boxed(
        layers: &Layers<'a>,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let bounds = bounds(range);
        let tables = [Some(layers.memory), layers.frozen];
        let tables = tables.into_iter().flatten().filter(|rows| !rows.is_empty());
        let above = tables.map(|rows| rows_source(rows, &bounds, direction));
        let below = layers.base.source(range.space, &range.start, range.end.as_deref(), direction);
        Box::new(Self::new(above.chain(std::iter::once(below)), direction))
    }

    /// Merges sources, newest first.
    pub(crate) fn new(sources: impl Iterator<Item = Source<'a>>, direction: Direction) -> Self {
        let mut scan = Self { layers: Vec::with_capacity(3), direction, failed: None };
        for source in sources {
            let mut layer = Layer { source, head: None };
            scan.failed = layer.pull().err().or(scan.failed);
            if layer.head.is_some() {
                scan.layers.push(layer);
            }
        }
        scan
    }

    /// Takes the next key of all layers and the newest word on it.
    fn take(&mut self) -> Result<Option<Head>, StoreError> {
        let mut best: Option<usize> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            let ahead = best
                .and_then(|best| self.layers.get(best))
                .is_none_or(|best| compare(layer.head.as_ref(), best.head.as_ref(), self.direction) == Ordering::Less);
            if ahead {
                best = Some(at);
            }
        }
        let Some(newest) = best.and_then(|best| self.layers.get_mut(best)) else { return Ok(None) };
        let found = newest.head.take();
        newest.pull()?;
        let older = self.layers.iter_mut().skip(best.unwrap_or(0) + 1);
        for layer in older {
            if layer.head.as_ref().map(|head| &head.0) == found.as_ref().map(|head| &head.0) {
                layer.pull()?;
            }
        }
        self.layers.retain(|layer| layer.head.is_some());
        Ok(found)
    }
}

impl Layer<'_> {
    fn pull(&mut self) -> Result<(), StoreError> {
        self.head = self.source.next().transpose()?;
        Ok(())
    }
}

fn compare(one: Option<&Head>, other: Option<&Head>, direction: Direction) -> Ordering {
    let order = one.map(|head| &head.0).cmp(&other.map(|head| &head.0));
    if direction == Direction::Forward { order } else { order.reverse() }
}

impl Iterator for MergeScan<'_> {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.layers.clear();
            return Some(Err(error));
        }
        loop {
            match self.take() {
                Ok(None) => return None,
                Ok(Some((_, None))) => {}
                Ok(Some((key, Some(value)))) => return Some(Ok((key, value))),
                Err(error) => {
                    self.layers.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Words = BTreeMap<u8, Option<u8>>;

    fn source(words: &Words, direction: Direction) -> Source<'static> {
        let heads = words.iter().map(|(key, value)| (vec![*key], value.map(|value| Bytes::from(vec![value]))));
        let mut heads: Vec<Head> = heads.collect();
        if direction == Direction::Backward {
            heads.reverse();
        }
        Box::new(heads.into_iter().map(Ok))
    }

    fn plain(layers: &[Words]) -> Vec<(u8, u8)> {
        let mut map = Words::new();
        layers.iter().rev().for_each(|layer| map.extend(layer));
        map.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn words() -> impl Strategy<Value = Words> {
        prop::collection::btree_map(0u8..24, prop::option::of(any::<u8>()), 0..16)
    }

    proptest! {
        #[test]
        fn layers_merge_as_one_plain_map_would(layers in prop::collection::vec(words(), 0..4)) {
            for direction in [Direction::Forward, Direction::Backward] {
                let scan = MergeScan::new(layers.iter().map(|layer| source(layer, direction)), direction);
                let found: Vec<(u8, u8)> = scan.map(|item| item.map(|(key, value)| (key[0], value[0])).unwrap()).collect();
                let mut want = plain(&layers);
                if direction == Direction::Backward {
                    want.reverse();
                }
                prop_assert_eq!(found, want);
            }
        }
    }

    #[test]
    fn an_error_ends_the_scan() {
        let broken: Source<'_> =
            Box::new([Ok((vec![1], Some(Bytes::new()))), Err(StoreError::Busy), Ok((vec![2], None))].into_iter());
        let found: Vec<_> = MergeScan::new([broken].into_iter(), Direction::Forward).collect();
        assert_eq!(found.len(), 1, "the layer was to be read on before its first item could be given");
        assert_eq!(found[0], Err(StoreError::Busy));
    }
}
