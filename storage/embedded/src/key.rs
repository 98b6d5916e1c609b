//! Keys in memory: the number of the space, followed by the key. Short keys are stored inline, so that comparing them
//! needs no pointer.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use promox_storage::Space;

/// The length of a space's number, in bytes.
pub(crate) const SPACE: usize = 2;
/// The maximum length of an inline key, including the space's number, in bytes.
const SHORT: usize = 30;

/// A key with its space.
#[derive(Clone)]
pub(crate) enum Key {
    Short(u8, [u8; SHORT]),
    Long(Arc<[u8]>),
}

impl Key {
    pub(crate) fn new(space: Space, key: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..SPACE + key.len()) {
            Some(place) => {
                join(space, key, place);
                Self::Short(u8::try_from(SPACE + key.len()).unwrap_or(u8::MAX), bytes)
            }
            None => Self::Long([&space.0.to_be_bytes(), key].concat().into()),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }

    /// Returns the space, and the key without it.
    pub(crate) fn parts(&self) -> (Space, &[u8]) {
        match self.bytes().split_first_chunk() {
            Some((space, key)) => (Space(u16::from_be_bytes(*space)), key),
            None => (Space(0), &[]),
        }
    }
}

/// Writes the number of a space and a key to `out`, which must have their length.
fn join(space: Space, key: &[u8], out: &mut [u8]) {
    let (number, rest) = out.split_at_mut(SPACE);
    number.copy_from_slice(&space.0.to_be_bytes());
    rest.copy_from_slice(key);
}

/// A key for lookups. It is built without an allocation if it is not unusually long.
pub(crate) enum Probe {
    Short(Key),
    Middle(usize, [u8; MIDDLE]),
    Long(Vec<u8>),
}

/// The maximum length of a lookup key that is built without an allocation, in bytes.
const MIDDLE: usize = 128;

impl Probe {
    pub(crate) fn new(space: Space, key: &[u8]) -> Self {
        let len = SPACE + key.len();
        if len <= SHORT {
            return Self::Short(Key::new(space, key));
        }
        let mut bytes = [0; MIDDLE];
        match bytes.get_mut(..len) {
            Some(place) => {
                join(space, key, place);
                Self::Middle(len, bytes)
            }
            None => Self::Long([&space.0.to_be_bytes(), key].concat()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Key {}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Key {
    /// Compares keys by their bytes. Short keys are compared word by word: the bytes after their end are zero, so the
    /// length is compared last.
    fn cmp(&self, other: &Self) -> Ordering {
        let (Self::Short(own, one), Self::Short(others, two)) = (self, other) else {
            return self.bytes().cmp(other.bytes());
        };
        let words = [0, 8, 16, SHORT - 8].into_iter();
        let differs = words.map(|at| word(one, at).cmp(&word(two, at))).find(|order| order.is_ne());
        differs.unwrap_or_else(|| own.cmp(others))
    }
}

/// Reads eight bytes as a big-endian number.
#[inline]
fn word(bytes: &[u8; SHORT], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_be_bytes)
}
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (space, key) = self.parts();
        write!(f, "{}:{key:02x?}", space.0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::table::Table;

    #[test]
    fn keys_of_any_length_sort_by_space_and_bytes() {
        let long = [7; 60];
        let tail = [[7; 27].as_slice(), &[8]].concat();
        let keys: [(u16, &[u8]); 10] = [
            (1, &[]),
            (1, &[0]),
            (1, &[0, 0]),
            (1, &[1]),
            (1, &[1, 0]),
            (1, &long),
            (2, &[]),
            (2, &long[..28]),
            (2, &long[..29]),
            (2, &tail),
        ];
        let keys: Vec<Key> = keys.iter().map(|(space, key)| Key::new(Space(*space), key)).collect();
        for (one, two) in keys.iter().flat_map(|one| keys.iter().map(move |two| (one, two))) {
            assert_eq!(one.cmp(two), one.bytes().cmp(two.bytes()), "{one:?} {two:?}");
        }
        assert!(keys.is_sorted());
        assert_eq!(keys[5].parts(), (Space(1), &long[..]));
        assert_eq!(size_of::<Key>(), 32);
    }

    #[test]
    fn keys_of_any_length_are_found() {
        for len in 0..300 {
            let mut table = Table::default();
            let slab = table.add_slab(Bytes::new());
            table.insert(Key::new(Space(1), &vec![7; len]), slab, None);
            assert!(table.get(&Probe::new(Space(1), &vec![7; len])).is_some());
            assert!(table.get(&Probe::new(Space(1), &vec![7; len + 1])).is_none());
            assert!(table.get(&Probe::new(Space(2), &vec![7; len])).is_none());
        }
    }
}
