//! Keyed state with a time to live. Losing it costs a retry, never money or access: login throttles, quotes.
//!
//! A service declares its [`CacheSpace`] and stores serde values in it; the node chooses the engine. Entries that an
//! engine has lost, or that another version wrote in a form that does not decode, count as absent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest key and value; longer ones are not stored.
pub const MAX_CACHE_KEY: usize = 512;
/// See [`MAX_CACHE_KEY`].
pub const MAX_CACHE_VALUE: usize = 1 << 20;

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

/// A value with its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// The value.
    pub value: Vec<u8>,
    /// The expiry.
    pub until: Timestamp,
}

/// What a change expects to find.
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
    /// Exactly what was found before.
    pub fn same(found: Option<Vec<u8>>) -> Self {
        found.map_or(Self::Nothing, Self::Value)
    }

    /// Whether it is what is found now.
    pub fn is(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Anything => true,
            Self::Value(value) => found == Some(value.as_slice()),
            Self::Nothing => found.is_none(),
        }
    }
}

/// What an engine is asked for; it may be on the network.
pub type CacheFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A cache engine. One that cannot be reached, or has no room, holds nothing and accepts every change.
pub trait CacheEngine: fmt::Debug + Send + Sync + 'static {
    /// The value of a key that has not expired.
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>>;

    /// Sets a key, or removes it, in one step. If its value is not the expected one, nothing changes and the error is
    /// the value.
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
    /// The cache in an engine.
    pub fn new(engine: Arc<dyn CacheEngine>) -> Self {
        Self(engine)
    }

    /// A cache in memory.
    pub fn in_memory() -> Self {
        Self(Arc::new(MemoryCache::default()))
    }

    /// The value of a key that has not expired.
    pub async fn get<T: DeserializeOwned>(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<T> {
        decode(&self.0.get(space, key, now).await?)
    }

    /// Sets a value with an expiry.
    pub async fn put<T: Serialize>(&self, space: CacheSpace, key: &[u8], now: Timestamp, value: &T, until: Timestamp) {
        let entry = encode(value, until);
        let _ = self.0.set(space, key, now, Expected::Anything, entry).await;
    }

    /// Removes a key.
    pub async fn remove(&self, space: CacheSpace, key: &[u8], now: Timestamp) {
        let _ = self.0.set(space, key, now, Expected::Anything, None).await;
    }

    /// Changes a value atomically: `change` gets the current value, and returns what to do with it and the result. It
    /// runs again when others have changed the value in the meantime, so it acts only through what it returns.
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
            let (wanted, answer) = change(before.as_deref().and_then(decode));
            let after = match wanted {
                Change::Keep => return answer,
                Change::Put { value, until } => encode(&value, until),
                Change::Remove => None,
            };
            if before.is_none() && after.is_none() {
                return answer;
            }
            // Every turn of the loop means that another caller's change was made, so it ends with their number.
            match self.0.set(space, key, now, Expected::same(before), after).await {
                Ok(()) => return answer,
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
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>> {
        let found = self.0.lock().get(space.name).and_then(|room| room.get(key, now).map(<[u8]>::to_vec));
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
        let mut rooms = self.0.lock();
        let room = rooms.entry(space.name).or_default();
        let found = room.get(key, now);
        if !expected.is(found) {
            return Box::pin(ready(Err(found.map(<[u8]>::to_vec))));
        }
        match after {
            Some(CacheEntry { value, until }) => room.put(space, key, value, until, now),
            None => room.remove(key),
        }
        Box::pin(ready(Ok(())))
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
        if key.len() > MAX_CACHE_KEY || value.len() > MAX_CACHE_VALUE.min(space.most_bytes) {
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

    #[tokio::test]
    async fn the_memory_cache_conforms() {
        crate::conformance::check_cache(Arc::new(MemoryCache::default())).await;
    }
}
