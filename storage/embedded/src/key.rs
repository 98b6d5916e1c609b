//! Keys in memory: the space's number, then the key. Short ones lie in place, so that comparing follows no pointer.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use promox_storage::Space;

/// Bytes of the space's number.
pub(crate) const SPACE: usize = 2;
/// The longest key that lies in place.
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

    /// The space, and the key without it.
    pub(crate) fn parts(&self) -> (Space, &[u8]) {
        match self.bytes().split_first_chunk() {
            Some((space, key)) => (Space(u16::from_be_bytes(*space)), key),
            None => (Space(0), &[]),
        }
    }
}

fn join(space: Space, key: &[u8], out: &mut [u8]) {
    let (number, rest) = out.split_at_mut(SPACE);
    number.copy_from_slice(&space.0.to_be_bytes());
    rest.copy_from_slice(key);
}

/// Calls `with` with the bytes of a key, without a trip to the allocator for any key of usual length.
pub(crate) fn probe<R>(space: Space, key: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
    let mut bytes = [0; 128];
    match bytes.get_mut(..SPACE + key.len()) {
        Some(place) => {
            join(space, key, place);
            with(place)
        }
        None => with(&[&space.0.to_be_bytes(), key].concat()),
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for Key {}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (space, key) = self.parts();
        write!(f, "{}:{key:02x?}", space.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_space_then_bytes_whatever_their_length() {
        let long = [7; 60];
        let keys = [(1, &[][..]), (1, &[1]), (1, &[1, 0]), (1, &long), (2, &[]), (2, &long[..28]), (2, &long[..29])];
        let keys: Vec<Key> = keys.iter().map(|(space, key)| Key::new(Space(*space), key)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys[3].parts(), (Space(1), &long[..]));
        assert_eq!(size_of::<Key>(), 32);
        probe(Space(1), &long, |bytes| assert_eq!(bytes, keys[3].bytes()));
        let very_long = [9; 500];
        probe(Space(1), &very_long, |bytes| assert_eq!(bytes, Key::new(Space(1), &very_long).bytes()));
    }
}
