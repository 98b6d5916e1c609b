//! What a node knows of one state of a database: rows and index entries, absent keys, and ranges that were read whole.
//!
//! A state is cheap to clone. Everything in it belongs to one position, the number of the newest commit. It moves to
//! later positions by the writes of the node's own commits, and by forgetting the keys that other nodes have changed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use promox_storage::{Direction, Item, KeyRange, Space, StoreError};

/// The keys that a commit changed.
#[derive(Clone, Debug)]
pub(super) enum Changed {
    /// Unknown, so every key may have changed.
    Anything,
    /// Rows and index entries.
    Keys(Arc<Vec<(Space, Vec<u8>)>>),
}

/// A commit, as other states need to know it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) position: i64,
    /// The position of the newest event.
    pub(super) last_event: i64,
    pub(super) changed: Changed,
}

/// A table or an index.
#[derive(Clone, Default)]
struct Keys {
    /// Values by key; `None` for keys that are known to be absent.
    values: OrdMap<Vec<u8>, Option<Bytes>>,
    /// Ranges of which every key is in `values`, as start and exclusive end. They do not overlap.
    ranges: OrdMap<Vec<u8>, Option<Vec<u8>>>,
}

/// A state of a database, as far as it is known.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) position: i64,
    pub(super) last_event: i64,
    spaces: OrdMap<Space, Keys>,
    /// The approximate memory of all values, in bytes.
    pub(super) bytes: usize,
}

/// The approximate memory of a key beside its value and its bytes.
const KEY_OVERHEAD: usize = 96;

impl State {
    /// Returns a state of which only the position is known.
    pub(super) fn at(position: i64, last_event: i64) -> Self {
        Self { position, last_event, ..Self::default() }
    }

    /// Returns the value of a key, `None` if it is absent. Fails with [`StoreError::Unfetched`] if that is not known.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let keys = self.spaces.get(&space).ok_or(StoreError::Unfetched)?;
        match keys.values.get(key) {
            Some(value) => Ok(value.clone()),
            None if keys.contains(key) => Ok(None),
            None => Err(StoreError::Unfetched),
        }
    }

    /// Returns the items of a range. The first item that is not known is [`StoreError::Unfetched`].
    pub(super) fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        let (start, end) = range.bytes();
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Box::new(std::iter::empty());
        }
        let Some(keys) = self.spaces.get(&range.space) else {
            return Box::new(std::iter::once(Err(StoreError::Unfetched)));
        };
        match direction {
            Direction::Forward => {
                let known = keys.known_after(&start);
                let whole = reaches(known.as_ref(), end.as_ref());
                let Some(until) = known else { return Box::new(std::iter::once(Err(StoreError::Unfetched))) };
                let until = earlier(until, end);
                let items = keys.items(start, until);
                Box::new(items.chain((!whole).then_some(Err(StoreError::Unfetched))))
            }
            Direction::Backward => {
                let Some(known) = keys.known_before(end.as_deref()) else {
                    return Box::new(std::iter::once(Err(StoreError::Unfetched)));
                };
                let whole = known <= start;
                let items = keys.items(start.max(known), end).rev();
                Box::new(items.chain((!whole).then_some(Err(StoreError::Unfetched))))
            }
        }
    }

    /// Returns the range without the part at its beginning that is known, so that the rest can be fetched. The part
    /// ends with a key, so that the rest has a bound that can be decoded.
    pub(super) fn rest_of(&self, range: &KeyRange, direction: Direction) -> KeyRange {
        let mut last = None;
        for item in self.scan(range, direction) {
            match item {
                Ok((key, _)) => last = Some(key),
                Err(_) => break,
            }
        }
        last.map_or_else(|| range.clone(), |key| after_key(range, direction, &key))
    }

    /// Adds a value that was read, or written by a commit of this node.
    pub(super) fn put(&mut self, space: Space, key: Vec<u8>, value: Option<Bytes>) {
        let added = key.len() + value.as_ref().map_or(0, Bytes::len) + KEY_OVERHEAD;
        let removed = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len) + KEY_OVERHEAD;
        let old = self.spaces.entry(space).or_default().values.insert(key, value);
        self.bytes = (self.bytes + added).saturating_sub(old.as_ref().map_or(0, removed));
    }

    /// Notes that all keys of a range are known.
    pub(super) fn add_range(&mut self, space: Space, start: Vec<u8>, end: Option<Vec<u8>>) {
        self.spaces.entry(space).or_default().add_range(start, end);
    }

    /// Moves to the position of another node's commit, and forgets what it changed.
    pub(super) fn follow(&mut self, commit: &Commit) {
        match &commit.changed {
            Changed::Anything => {
                self.spaces = OrdMap::new();
                self.bytes = 0;
            }
            Changed::Keys(keys) => keys.iter().for_each(|(space, key)| self.forget(*space, key)),
        }
        self.position = commit.position;
        self.last_event = commit.last_event;
    }

    /// Forgets a key and the range that contains it.
    fn forget(&mut self, space: Space, key: &[u8]) {
        if let Some(keys) = self.spaces.get_mut(&space) {
            keys.values.remove(key);
            if let Some(start) = keys.range_with(key).map(|(start, _)| start.clone()) {
                keys.ranges.remove(&start);
            }
        }
    }

    /// Adds what another state of the same position knows.
    pub(super) fn merge(&mut self, other: &Self) {
        for (space, keys) in &other.spaces {
            for (key, value) in &keys.values {
                self.put(*space, key.clone(), value.clone());
            }
            for (start, end) in &keys.ranges {
                self.add_range(*space, start.clone(), end.clone());
            }
        }
    }

    /// Forgets the value of a key, and keeps the ranges: for merging what was read into a state that has newer values.
    pub(super) fn forget_value(&mut self, space: Space, key: &[u8]) {
        if let Some(keys) = self.spaces.get_mut(&space) {
            keys.values.remove(key);
        }
    }

    /// Forgets everything but the position.
    pub(super) fn clear(&mut self) {
        *self = Self::at(self.position, self.last_event);
    }
}

impl Keys {
    /// Returns the known range that contains a key.
    fn range_with(&self, key: &[u8]) -> Option<(&Vec<u8>, &Option<Vec<u8>>)> {
        let (start, end) = self.ranges.get_prev(key)?;
        end.as_ref().is_none_or(|end| key < end.as_slice()).then_some((start, end))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.range_with(key).is_some()
    }

    /// Returns the end of the known range that contains `start`: `None` if none does, `Some(None)` if it has no end.
    #[allow(clippy::option_option, reason = "a range without an end and no range differ")]
    fn known_after(&self, start: &[u8]) -> Option<Option<Vec<u8>>> {
        self.range_with(start).map(|(_, end)| end.clone())
    }

    /// Returns the start of the known range that contains the keys just before `end`.
    fn known_before(&self, end: Option<&[u8]>) -> Option<Vec<u8>> {
        match end {
            None => {
                let (start, known_end) = self.ranges.get_max()?;
                known_end.is_none().then(|| start.clone())
            }
            Some(end) => {
                let (start, known_end) = self
                    .ranges
                    .range::<_, [u8]>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(end)))
                    .next_back()?;
                known_end.as_ref().is_none_or(|known| end <= known.as_slice()).then(|| start.clone())
            }
        }
    }

    fn items(
        &self,
        start: Vec<u8>,
        end: Option<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<Item, StoreError>> + '_ {
        use std::ops::Bound;
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        // An inverted range would be a panic.
        let empty = matches!(&end, Bound::Excluded(end) if *end <= start);
        let bounds = if empty {
            (Bound::Included(start.clone()), Bound::Included(start))
        } else {
            (Bound::Included(start), end)
        };
        let items = self.values.range(bounds).filter(move |_| !empty);
        items.filter_map(|(key, value)| value.as_ref().map(|value| Ok((key.clone(), value.clone()))))
    }

    /// Adds a range, and merges it with those that it overlaps or touches.
    fn add_range(&mut self, mut start: Vec<u8>, mut end: Option<Vec<u8>>) {
        while let Some((other, other_end)) = self.ranges.get_prev(&start) {
            let touches = other_end.as_ref().is_none_or(|other_end| start <= *other_end);
            if !touches {
                break;
            }
            let (other, other_end) = (other.clone(), other_end.clone());
            self.ranges.remove(&other);
            end = later(end, other_end);
            start = other;
        }
        while let Some((other, other_end)) = self.ranges.get_next(&start) {
            if end.as_ref().is_some_and(|end| end < other) {
                break;
            }
            let (other, other_end) = (other.clone(), other_end.clone());
            self.ranges.remove(&other);
            end = later(end, other_end);
        }
        self.ranges.insert(start, end);
    }
}

/// Returns the rest of a range after one of its keys.
pub(super) fn after_key(range: &KeyRange, direction: Direction, key: &[u8]) -> KeyRange {
    let parts = key.get(range.prefix.len()..).unwrap_or_default().to_vec();
    match direction {
        Direction::Forward => KeyRange { from: Some(promox_storage::Edge { parts, after: true }), ..range.clone() },
        Direction::Backward => KeyRange { until: Some(parts), ..range.clone() },
    }
}

/// Whether a known range without an end, or with this end, reaches the end of a scan.
fn reaches(known: Option<&Option<Vec<u8>>>, end: Option<&Vec<u8>>) -> bool {
    match (known, end) {
        (Some(None), _) => true,
        (Some(Some(known)), Some(end)) => known >= end,
        (None, _) | (Some(Some(_)), None) => false,
    }
}

/// Returns the earlier of two ends; `None` is no end.
fn earlier(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns the later of two ends; `None` is no end.
fn later(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> Option<Vec<u8>> {
    Some(one?.max(other?))
}

/// The newest commits, so that what was read at an earlier position can follow to a later one.
#[derive(Default)]
pub(super) struct CommitLog {
    commits: VecDeque<Commit>,
    /// The number of keys that they have changed.
    keys: usize,
}

/// The number of changed keys that the log keeps, beside the newest commit.
const LOGGED_KEYS: usize = 65_536;

impl Changed {
    fn len(&self) -> usize {
        match self {
            Self::Anything => 1,
            Self::Keys(keys) => keys.len(),
        }
    }
}

impl CommitLog {
    pub(super) fn push(&mut self, commit: Commit) {
        self.keys += commit.changed.len();
        self.commits.push_back(commit);
        while self.keys > LOGGED_KEYS
            && self.commits.len() > 1
            && let Some(oldest) = self.commits.pop_front()
        {
            self.keys -= oldest.changed.len();
        }
    }

    /// Moves a state to the position of the newest commit. What is too old to follow forgets everything.
    pub(super) fn bring(&self, state: &mut State) {
        let Some(newest) = self.commits.back() else { return };
        let oldest = self.commits.front().map_or(i64::MAX, |commit| commit.position);
        if state.position + 1 < oldest {
            state.clear();
            (state.position, state.last_event) = (newest.position, newest.last_event);
            return;
        }
        let newer = self.commits.iter().rev().take_while(|commit| commit.position > state.position).count();
        for commit in self.commits.iter().skip(self.commits.len() - newer) {
            state.follow(commit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SPACE: Space = Space(7);

    fn key(byte: u8) -> Vec<u8> {
        vec![byte]
    }

    fn scanned(state: &State, from: u8, until: u8, direction: Direction) -> Result<Vec<u8>, StoreError> {
        let range = KeyRange {
            from: Some(promox_storage::Edge { parts: key(from), after: false }),
            until: Some(key(until)),
            ..KeyRange::all(SPACE)
        };
        state.scan(&range, direction).map(|item| item.map(|(key, _)| key.first().copied().unwrap_or(0))).collect()
    }

    proptest! {
        /// A state never answers differently from the whole table, whatever part of it was fetched, and answers all
        /// that was fetched.
        #[test]
        fn a_state_answers_as_the_table_does(
            table in proptest::collection::btree_set(0_u8..32, 0..20),
            fetched in proptest::collection::vec((0_u8..32, 0_u8..32), 0..6),
            single in proptest::collection::vec(0_u8..32, 0..6),
            changed in proptest::collection::vec(0_u8..32, 0..3),
            scans in proptest::collection::vec((0_u8..32, 0_u8..32), 0..8),
        ) {
            let mut table: BTreeMap<u8, bool> = table.into_iter().map(|it| (it, true)).collect();
            let mut state = State::default();
            for (from, until) in &fetched {
                if from < until {
                    for found in table.range(*from..*until) {
                        state.put(SPACE, key(*found.0), Some(Bytes::new()));
                    }
                    state.add_range(SPACE, key(*from), Some(key(*until)));
                    prop_assert!(scanned(&state, *from, *until, Direction::Forward).is_ok());
                    prop_assert!(scanned(&state, *from, *until, Direction::Backward).is_ok());
                }
            }
            for it in single {
                state.put(SPACE, key(it), table.contains_key(&it).then(Bytes::new));
            }
            for it in changed {
                if table.remove(&it).is_none() {
                    table.insert(it, true);
                }
                let keys = Arc::new(vec![(SPACE, key(it))]);
                state.follow(&Commit { position: 1, last_event: 0, changed: Changed::Keys(keys) });
            }
            for (from, until) in scans {
                let expected: Vec<u8> = if from < until { table.range(from..until).map(|it| *it.0).collect() } else { Vec::new() };
                if let Ok(found) = scanned(&state, from, until, Direction::Forward) {
                    prop_assert_eq!(&found, &expected);
                }
                if let Ok(mut found) = scanned(&state, from, until, Direction::Backward) {
                    found.reverse();
                    prop_assert_eq!(found, expected);
                }
            }
            for it in 0..32 {
                if let Ok(found) = state.get(SPACE, &key(it)) {
                    prop_assert_eq!(found.is_some(), table.contains_key(&it));
                }
            }
        }
    }
}
