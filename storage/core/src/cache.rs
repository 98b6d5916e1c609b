//! Keyed state with a time to live. Losing it costs a retry, never money or access: login throttles, quotes.
//!
//! A service declares its [`CacheSpace`] and stores serde values in it; the node chooses the engine. Entries that an
//! engine has lost, or that another version wrote in a form that does not decode, count as absent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest key and value; longer ones are not stored.
pub const MOST_CACHE_KEY: usize = 512;
/// See [`MOST_CACHE_KEY`].
pub const MOST_CACHE_VALUE: usize = 1 << 20;

/// One kind of cached state and its bounds. When it is full, the entries that expire first are evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSpace {
    /// Its name, stable across versions.
    pub name: &'static str,
    /// The maximum number of entries.
    pub most: usize,
    /// The maximum total size of the values, in bytes.
    pub most_bytes: usize,
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Keep it unchanged.
    Keep,
    /// Set it, with an expiry.
    Put {
        /// The value.
        value: T,
        /// The expiry.
        until: Timestamp,
    },
    /// Remove it.
    Remove,
}

/// A cache engine.
pub trait CacheEngine: fmt::Debug + Send + Sync + 'static {
    /// The value of a key that has not expired.
    fn get(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<Vec<u8>>;

    /// Changes a value atomically; `change` is called once, or never when there is nowhere to store the value.
    fn update(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: &mut dyn FnMut(Option<&[u8]>) -> Change<Vec<u8>>,
    );
}

/// A service's access to the cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache(Arc<dyn CacheEngine>);

impl Cache {
    /// The cache in an engine.
    pub fn new(engine: Arc<dyn CacheEngine>) -> Self {
        Self(engine)
    }

    /// A cache in memory.
    pub fn in_memory() -> Self {
        Self(Arc::new(MemoryCache::default()))
    }

    /// The value of a key that has not expired.
    pub fn get<T: DeserializeOwned>(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<T> {
        decode(&self.0.get(space, key, now)?)
    }

    /// Sets a value with an expiry.
    pub fn put<T: Serialize>(&self, space: CacheSpace, key: &[u8], now: Timestamp, value: &T, until: Timestamp) {
        self.0.update(space, key, now, &mut |_| encode(value, until));
    }

    /// Removes a key.
    pub fn remove(&self, space: CacheSpace, key: &[u8], now: Timestamp) {
        self.0.update(space, key, now, &mut |_| Change::Remove);
    }

    /// Changes a value atomically: `change` gets the current value, and returns what to do with it and the result. It
    /// may run again, so it acts only through what it returns.
    pub fn update<T, A>(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: impl Fn(Option<T>) -> (Change<T>, A),
    ) -> A
    where
        T: Serialize + DeserializeOwned,
    {
        let mut answer = None;
        self.0.update(space, key, now, &mut |before| {
            let (after, said) = change(before.and_then(decode));
            answer = Some(said);
            match after {
                Change::Keep => Change::Keep,
                Change::Put { value, until } => encode(&value, until),
                Change::Remove => Change::Remove,
            }
        });
        // Without a cache the entry counts as absent.
        answer.unwrap_or_else(|| change(None).1)
    }
}

fn encode<T: Serialize>(value: &T, until: Timestamp) -> Change<Vec<u8>> {
    serde_json::to_vec(value).map_or(Change::Remove, |value| Change::Put { value, until })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// A cache in memory, within the same bounds: for tests, and for nodes without one on disk.
#[derive(Default)]
pub struct MemoryCache(Mutex<HashMap<&'static str, Room>>);

/// The entries of a space.
#[derive(Default)]
struct Room {
    entries: BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)>,
    ends: BTreeSet<(Timestamp, Vec<u8>)>,
    bytes: usize,
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cache in memory")
    }
}

impl CacheEngine for MemoryCache {
    fn get(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        self.0.lock().get(space.name)?.get(key, now).map(<[u8]>::to_vec)
    }

    fn update(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: &mut dyn FnMut(Option<&[u8]>) -> Change<Vec<u8>>,
    ) {
        let mut rooms = self.0.lock();
        let room = rooms.entry(space.name).or_default();
        match change(room.get(key, now)) {
            Change::Keep => {}
            Change::Remove => room.remove(key),
            Change::Put { value, until } => room.put(space, key, value, until, now),
        }
    }
}

impl Room {
    fn get(&self, key: &[u8], now: Timestamp) -> Option<&[u8]> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.as_slice())
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((until, value)) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(value.len());
            self.ends.remove(&(until, key.to_vec()));
        }
    }

    fn put(&mut self, space: CacheSpace, key: &[u8], value: Vec<u8>, until: Timestamp, now: Timestamp) {
        self.remove(key);
        if key.len() > MOST_CACHE_KEY || value.len() > MOST_CACHE_VALUE.min(space.most_bytes) {
            return;
        }
        while self.ends.first().is_some_and(|(end, _)| self.is_full(space, value.len()) || *end <= now) {
            if let Some((_, first)) = self.ends.pop_first()
                && let Some((_, gone)) = self.entries.remove(&first)
            {
                self.bytes = self.bytes.saturating_sub(gone.len());
            }
        }
        self.bytes += value.len();
        self.ends.insert((until, key.to_vec()));
        self.entries.insert(key.to_vec(), (until, value));
    }

    fn is_full(&self, space: CacheSpace, more: usize) -> bool {
        self.entries.len() >= space.most || self.bytes + more > space.most_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_cache_conforms() {
        crate::conformance::check_cache(Arc::new(MemoryCache::default()));
    }
}
