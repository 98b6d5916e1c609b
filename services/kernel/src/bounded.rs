//! A map with a maximum number of entries. It drops the least recently used ones, half of the map at a time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A map of two generations: an entry that is used moves to the young one, and when that is full, the old one is
/// dropped.
#[derive(Debug)]
pub struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq, V: Clone> Bounded<K, V> {
    /// An empty map of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// The value of a key, which counts as used; `None` if the map does not hold it.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Stores a value under a key.
    pub fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Removes a key.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_never_exceeds_its_capacity_and_keeps_used_entries() {
        let mut map = Bounded::new(100);
        map.put(0, 0);
        for key in 1..10_000 {
            map.put(key, key);
            assert_eq!(map.get(&0), Some(0), "it is used in every round");
            assert!(map.young.len() + map.old.len() <= 100);
        }
        assert_eq!((map.get(&1), map.get(&9_999)), (None, Some(9_999)));
        map.remove(&9_999);
        assert_eq!(map.get(&9_999), None);
    }
}
