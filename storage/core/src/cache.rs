//! Keyed state with a time to live, for data whose loss costs a retry but never money or access, such as login
//! throttles and quotes.
//!
//! A service declares a [`CacheSpace`] and stores serde values in it; the node chooses the engine. Entries that an
//! engine has lost, or that do not decode because another version wrote them, count as absent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The maximum length of a key, in bytes. Entries with a longer key are not stored.
pub const MAX_CACHE_KEY: usize = 512;
/// The maximum length of a value, in bytes. Longer values are not stored.
pub const MAX_CACHE_VALUE: usize = 1 << 20;

/// One kind of cached state and its bounds. When it is full, the entries that expire first are evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSpace {
    /// The name of the space. It must be unique, and stable across versions.
    pub name: &'static str,
    /// The maximum number of entries.
    pub max_entries: usize,
    /// The maximum total size of the values, in bytes.
    pub max_bytes: usize,
}

/// What [`Cache::update`] does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Keep it unchanged.
    Keep,
    /// Set it.
    Put {
        /// The value.
        value: T,
        /// The expiry.
        until: Timestamp,
    },
    /// Remove it.
    Remove,
}

/// A value with its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// The value.
    pub value: Vec<u8>,
    /// The expiry.
    pub until: Timestamp,
}

/// The value that a conditional change expects to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any value, or none.
    Anything,
    /// This value.
    Value(Vec<u8>),
    /// No value, or an expired one.
    Nothing,
}

impl Expected {
    /// Expects exactly what was found before.
    pub fn same(found: Option<Vec<u8>>) -> Self {
        found.map_or(Self::Nothing, Self::Value)
    }

    /// Whether `found` is what was expected.
    pub fn is(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Anything => true,
            Self::Value(value) => found == Some(value.as_slice()),
            Self::Nothing => found.is_none(),
        }
    }
}

/// The reply of a cache engine, which may be on the network.
pub type CacheFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A cache engine. One that cannot be reached or has no space behaves as if it were empty, and accepts every change.
pub trait CacheEngine: fmt::Debug + Send + Sync + 'static {
    /// Returns the value of a key, or `None` if it is absent or expired.
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>>;

    /// Sets or removes a key atomically, if its value is the expected one. Otherwise nothing changes, and the error is
    /// the current value.
    fn set<'a>(
        &'a self,
        space: CacheSpace,
        key: &'a [u8],
        now: Timestamp,
        expected: Expected,
        after: Option<CacheEntry>,
    ) -> CacheFuture<'a, Result<(), Option<Vec<u8>>>>;
}

/// A service's access to the cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache(Arc<dyn CacheEngine>);

impl Cache {
    /// Creates a handle to the cache in an engine.
    pub fn new(engine: Arc<dyn CacheEngine>) -> Self {
        Self(engine)
    }

    /// Creates an empty cache in memory.
    pub fn in_memory() -> Self {
        Self(Arc::new(MemoryCache::default()))
    }

    /// Returns the value of a key, or `None` if it is absent, expired or does not decode.
    pub async fn get<T: DeserializeOwned>(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<T> {
        decode(&self.0.get(space, key, now).await?)
    }

    /// Sets a value that expires at `until`.
    pub async fn put<T: Serialize>(&self, space: CacheSpace, key: &[u8], now: Timestamp, value: &T, until: Timestamp) {
        let entry = encode(value, until);
        let _ = self.0.set(space, key, now, Expected::Anything, entry).await;
    }

    /// Removes a key.
    pub async fn remove(&self, space: CacheSpace, key: &[u8], now: Timestamp) {
        let _ = self.0.set(space, key, now, Expected::Anything, None).await;
    }

    /// Changes a value atomically. `change` receives the current value and returns the change and the result of this
    /// call. It runs again if the value was changed in the meantime, so it must have no side effects.
    pub async fn update<T, A>(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: impl Fn(Option<T>) -> (Change<T>, A) + Send,
    ) -> A
    where
        T: Serialize + DeserializeOwned,
        A: Send,
    {
        let mut before = self.0.get(space, key, now).await;
        loop {
            let (action, result) = change(before.as_deref().and_then(decode));
            let after = match action {
                Change::Keep => return result,
                Change::Put { value, until } => encode(&value, until),
                Change::Remove => None,
            };
            if before.is_none() && after.is_none() {
                return result;
            }
            // Each iteration means that another caller's change succeeded, so the loop ends.
            match self.0.set(space, key, now, Expected::same(before), after).await {
                Ok(()) => return result,
                Err(found) => before = found,
            }
        }
    }
}

fn encode<T: Serialize>(value: &T, until: Timestamp) -> Option<CacheEntry> {
    serde_json::to_vec(value).ok().map(|value| CacheEntry { value, until })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// A cache in memory, for tests and for nodes without a cache on disk.
#[derive(Default)]
pub struct MemoryCache(Mutex<HashMap<&'static str, SpaceEntries>>);

/// The entries of a space.
#[derive(Default)]
struct SpaceEntries {
    entries: BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)>,
    /// Expiry and key of each entry, in the order of eviction.
    by_expiry: BTreeSet<(Timestamp, Vec<u8>)>,
    /// The total size of the values.
    bytes: usize,
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cache in memory")
    }
}

impl CacheEngine for MemoryCache {
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>> {
        let found = self.0.lock().get(space.name).and_then(|entries| entries.get(key, now).map(<[u8]>::to_vec));
        Box::pin(ready(found))
    }

    fn set<'a>(
        &'a self,
        space: CacheSpace,
        key: &'a [u8],
        now: Timestamp,
        expected: Expected,
        after: Option<CacheEntry>,
    ) -> CacheFuture<'a, Result<(), Option<Vec<u8>>>> {
        let mut spaces = self.0.lock();
        let entries = spaces.entry(space.name).or_default();
        let found = entries.get(key, now);
        if !expected.is(found) {
            return Box::pin(ready(Err(found.map(<[u8]>::to_vec))));
        }
        match after {
            Some(CacheEntry { value, until }) => entries.put(space, key, value, until, now),
            None => entries.remove(key),
        }
        Box::pin(ready(Ok(())))
    }
}

impl SpaceEntries {
    fn get(&self, key: &[u8], now: Timestamp) -> Option<&[u8]> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.as_slice())
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((until, value)) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(value.len());
            self.by_expiry.remove(&(until, key.to_vec()));
        }
    }

    fn put(&mut self, space: CacheSpace, key: &[u8], value: Vec<u8>, until: Timestamp, now: Timestamp) {
        self.remove(key);
        if key.len() > MAX_CACHE_KEY || value.len() > MAX_CACHE_VALUE.min(space.max_bytes) {
            return;
        }
        while self.by_expiry.first().is_some_and(|(expiry, _)| self.is_full(space, value.len()) || *expiry <= now) {
            if let Some((_, first)) = self.by_expiry.pop_first()
                && let Some((_, evicted)) = self.entries.remove(&first)
            {
                self.bytes = self.bytes.saturating_sub(evicted.len());
            }
        }
        self.bytes += value.len();
        self.by_expiry.insert((until, key.to_vec()));
        self.entries.insert(key.to_vec(), (until, value));
    }

    fn is_full(&self, space: CacheSpace, more: usize) -> bool {
        self.entries.len() >= space.max_entries || self.bytes + more > space.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_cache_conforms() {
        crate::conformance::check_cache(Arc::new(MemoryCache::default())).await;
    }
}
