//! The cache on a local disk, in sled. sled panics on damaged files, so every call catches panics.
//!
//! After any failure the cache is wiped and starts empty. If even that fails, it returns nothing and stores nothing. It
//! is opened on first use, so that a shop that does not need it has no additional threads or buffers. Writes are not
//! synced, so a power cut may lose the last second.
//!
//! A value of an open space is read immediately, without waiting for writes. Opening a space, which reads all of it,
//! writing and repairing may block, so they run on a thread for blocking work.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use promox_kernel::Timestamp;
use promox_storage::{CacheEngine, CacheEntry, CacheFuture, CacheSpace, Expected, MAX_CACHE_KEY, MAX_CACHE_VALUE};
use sled::{Config, Db, Mode, Tree};

use crate::base::catch_quietly;

/// Maximum expired entries removed by one call.
const MAX_SWEPT: usize = 64;
/// The size of each of sled's write buffers, in bytes.
const SEGMENT: usize = 128 << 10;
/// Maximum retries of opening the cache while another holder has its lock.
const LOCK_TRIES: u32 = 100;
/// The pause between these retries.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A cache in a directory of its own.
#[derive(Debug)]
pub struct SledCache(Arc<CacheDir>);

/// The directory of a cache, with the open cache.
struct CacheDir {
    dir: PathBuf,
    /// The memory that sled may use, in bytes.
    memory: u64,
    state: RwLock<State>,
}

enum State {
    /// It was not used yet.
    Closed,
    Open(OpenCache),
    /// It cannot be opened.
    Unusable,
}

impl fmt::Debug for CacheDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cache in {}", self.dir.display())
    }
}

struct OpenCache {
    db: Db,
    /// The number of times that the cache was opened before.
    number: u64,
    spaces: RwLock<HashMap<&'static str, Arc<Space>>>,
}

/// The entries of one space.
struct Space {
    /// Maps a key to expiry, checksum and value.
    entries: Tree,
    /// Expiry and key of each entry, in the order of eviction. The values are empty.
    by_expiry: Tree,
    /// The size of the space. It is locked while an entry is written.
    size: Mutex<Size>,
}

/// The size of a space.
#[derive(Default)]
struct Size {
    /// The number of entries.
    count: usize,
    /// The total size of the values.
    bytes: usize,
}

impl SledCache {
    /// Creates a handle to the cache in `dir`, for which sled may use `memory` bytes.
    pub fn new(dir: impl Into<PathBuf>, memory: usize) -> Self {
        let state = RwLock::new(State::Closed);
        Self(Arc::new(CacheDir { dir: dir.into(), memory: memory as u64, state }))
    }

    /// Runs work that may block on the disk on a separate thread. Returns `None` if it failed.
    async fn blocking<T: Send + 'static>(
        &self,
        space: CacheSpace,
        work: impl FnOnce(&Space) -> sled::Result<T> + Send + 'static,
    ) -> Option<T> {
        let cache_dir = self.0.clone();
        tokio::task::spawn_blocking(move || cache_dir.guard(|open| work(&*open.space(space)?))).await.ok()?
    }
}

impl CacheDir {
    /// Reads a key without blocking. Returns `None` if its space is not open or the read fails, and `Some(None)` if the
    /// key is absent.
    #[allow(clippy::option_option, reason = "an unknown value and an absent one differ")]
    fn get_if_open(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<Option<Vec<u8>>> {
        let state = self.state.try_read()?;
        let State::Open(open) = &*state else { return matches!(*state, State::Unusable).then_some(None) };
        let space = open.spaces.try_read()?.get(space.name)?.clone();
        catch_quietly(|| space.get(key, now)).ok()?.ok()
    }

    /// Runs sled calls. Returns `None` after an error or a panic, for which the cache is wiped and starts empty.
    fn guard<T>(&self, work: impl FnOnce(&OpenCache) -> sled::Result<T>) -> Option<T> {
        self.open();
        let state = self.state.read();
        let State::Open(open) = &*state else { return None };
        let number = open.number;
        let why = match catch_quietly(|| work(open)) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        drop(state);
        self.replace(number, &why);
        None
    }

    fn open(&self) {
        if matches!(*self.state.read(), State::Closed) {
            let mut state = self.state.write();
            if matches!(*state, State::Closed) {
                *state = self.open_or_wipe(0);
            }
        }
    }

    /// Wipes the cache and starts empty, unless another caller has already replaced the instance with this number.
    fn replace(&self, number: u64, why: &str) {
        let mut state = self.state.write();
        if matches!(&*state, State::Open(open) if open.number == number) {
            let broken = std::mem::replace(&mut *state, State::Unusable);
            let _ = catch_quietly(|| drop(broken));
            wipe(&self.dir, why);
            *state = self.open_or_wipe(number + 1);
        }
    }

    /// Opens the cache. If it is damaged, wipes it and starts empty.
    fn open_or_wipe(&self, number: u64) -> State {
        let opened = self.open_when_unlocked(number).or_else(|why| {
            if is_lock_error(&why) {
                return Err(why);
            }
            wipe(&self.dir, &why);
            OpenCache::guarded(&self.dir, self.memory, number)
        });
        let opened = opened.inspect_err(|why| tracing::warn!(why, "the cache cannot be opened; continuing without it"));
        opened.map_or(State::Unusable, State::Open)
    }

    /// Opens sled. Waits briefly if threads of a previous instance still hold its lock.
    fn open_when_unlocked(&self, number: u64) -> Result<OpenCache, String> {
        let mut opened = OpenCache::guarded(&self.dir, self.memory, number);
        for _ in 0..LOCK_TRIES {
            if !opened.as_ref().is_err_and(|why| is_lock_error(why)) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            opened = OpenCache::guarded(&self.dir, self.memory, number);
        }
        opened
    }
}

/// Whether opening failed because another holder has the lock, which only sled's message shows.
fn is_lock_error(why: &str) -> bool {
    why.contains("could not acquire lock")
}

impl CacheEngine for SledCache {
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            if let Some(found) = self.0.get_if_open(space, key, now) {
                return found;
            }
            let key = key.to_vec();
            self.blocking(space, move |space| space.get(&key, now)).await.flatten()
        })
    }

    fn set<'a>(
        &'a self,
        space: CacheSpace,
        key: &'a [u8],
        now: Timestamp,
        expected: Expected,
        after: Option<CacheEntry>,
    ) -> CacheFuture<'a, Result<(), Option<Vec<u8>>>> {
        Box::pin(async move {
            let key = key.to_vec();
            let done = self.blocking(space, move |within| within.set(space, &key, now, &expected, after)).await;
            done.unwrap_or(Ok(()))
        })
    }
}

/// Removes a damaged cache.
fn wipe(dir: &Path, why: &str) {
    tracing::warn!(why, dir = %dir.display(), "the cache is damaged: starting with an empty one");
    // If it cannot be removed, it cannot be opened either, and the node runs without a cache.
    let _ = fs::remove_dir_all(dir);
}

impl OpenCache {
    /// Opens sled, and catches its panics.
    fn guarded(dir: &Path, memory: u64, number: u64) -> Result<Self, String> {
        match catch_quietly(|| Self::at(dir, memory, number)) {
            Ok(Ok(open)) => Ok(open),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic),
        }
    }

    fn at(dir: &Path, memory: u64, number: u64) -> sled::Result<Self> {
        let config = Config::new().path(dir).mode(Mode::HighThroughput).flush_every_ms(Some(1_000));
        let db = config.cache_capacity(memory).segment_size(SEGMENT).open()?;
        Ok(Self { db, number, spaces: RwLock::default() })
    }

    /// Returns a space, which is opened on first use.
    fn space(&self, space: CacheSpace) -> sled::Result<Arc<Space>> {
        if let Some(open) = self.spaces.read().get(space.name) {
            return Ok(open.clone());
        }
        let mut spaces = self.spaces.write();
        if let Some(open) = spaces.get(space.name) {
            return Ok(open.clone());
        }
        let opened = Arc::new(Space::open(&self.db, space.name)?);
        spaces.insert(space.name, opened.clone());
        Ok(opened)
    }
}

impl Space {
    fn open(db: &Db, name: &str) -> sled::Result<Self> {
        let (entries, by_expiry) = (db.open_tree(name)?, db.open_tree(format!("{name} by end"))?);
        let mut size = Size::default();
        for entry in &entries {
            size.count += 1;
            size.bytes += entry?.1.len().saturating_sub(HEADER);
        }
        Ok(Self { entries, by_expiry, size: Mutex::new(size) })
    }

    fn get(&self, key: &[u8], now: Timestamp) -> sled::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(key)? else { return Ok(None) };
        let (until, value) = decode(key, &entry)?;
        Ok((until > now).then(|| value.to_vec()))
    }

    fn set(
        &self,
        bounds: CacheSpace,
        key: &[u8],
        now: Timestamp,
        expected: &Expected,
        after: Option<CacheEntry>,
    ) -> sled::Result<Result<(), Option<Vec<u8>>>> {
        let mut size = self.size.lock();
        if *expected != Expected::Anything {
            let found = self.get(key, now)?;
            if !expected.is(found.as_deref()) {
                return Ok(Err(found));
            }
        }
        let fits = |entry: &CacheEntry| {
            key.len() <= MAX_CACHE_KEY && entry.value.len() <= MAX_CACHE_VALUE.min(bounds.max_bytes)
        };
        match after {
            Some(entry) if fits(&entry) => self.put(&mut size, bounds, key, &entry, now)?,
            Some(_) | None => self.remove(&mut size, key)?,
        }
        Ok(Ok(()))
    }

    fn put(
        &self,
        size: &mut Size,
        bounds: CacheSpace,
        key: &[u8],
        entry: &CacheEntry,
        now: Timestamp,
    ) -> sled::Result<()> {
        self.sweep(size, now)?;
        // The old value is not removed first, so that concurrent readers always find one of the two.
        if let Some(old) = self.entries.get(key)? {
            self.by_expiry.remove(expiry_key(decode(key, &old)?.0, key))?;
            size.subtract(&old);
        }
        while size.count >= bounds.max_entries || size.bytes + entry.value.len() > bounds.max_bytes {
            let Some((first, _)) = self.by_expiry.pop_min()? else { break };
            self.forget(size, &first)?;
        }
        self.entries.insert(key, encode(key, entry.until, &entry.value))?;
        self.by_expiry.insert(expiry_key(entry.until, key), &[])?;
        size.count += 1;
        size.bytes += entry.value.len();
        Ok(())
    }

    fn remove(&self, size: &mut Size, key: &[u8]) -> sled::Result<()> {
        let Some(entry) = self.entries.remove(key)? else { return Ok(()) };
        size.subtract(&entry);
        let (until, _) = decode(key, &entry)?;
        self.by_expiry.remove(expiry_key(until, key)).map(drop)
    }

    /// Removes some expired entries.
    fn sweep(&self, size: &mut Size, now: Timestamp) -> sled::Result<()> {
        for _ in 0..MAX_SWEPT {
            let Some((first, _)) = self.by_expiry.first()? else { break };
            if first.get(..8).unwrap_or_default() > &sortable(now)[..] {
                break;
            }
            self.by_expiry.remove(&first)?;
            self.forget(size, &first)?;
        }
        Ok(())
    }

    /// Removes the entry that a key of `by_expiry` points to.
    fn forget(&self, size: &mut Size, expiry_key: &[u8]) -> sled::Result<()> {
        if let Some(entry) = self.entries.remove(expiry_key.get(8..).unwrap_or_default())? {
            size.subtract(&entry);
        }
        Ok(())
    }
}

impl Size {
    /// Subtracts a removed entry.
    fn subtract(&mut self, entry: &[u8]) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.len().saturating_sub(HEADER));
    }
}

/// The length of an entry's expiry and checksum, in bytes.
const HEADER: usize = 12;

/// Encodes a time so that its bytes sort like the time.
fn sortable(time: Timestamp) -> [u8; 8] {
    (time.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The key of an entry in `by_expiry`.
fn expiry_key(until: Timestamp, key: &[u8]) -> Vec<u8> {
    [&sortable(until)[..], key].concat()
}

fn checksum(key: &[u8], until: &[u8], value: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), until), value).to_le_bytes()
}

fn encode(key: &[u8], until: Timestamp, value: &[u8]) -> Vec<u8> {
    let until = until.0.to_le_bytes();
    [&until[..], &checksum(key, &until, value), value].concat()
}

fn decode<'a>(key: &[u8], entry: &'a [u8]) -> sled::Result<(Timestamp, &'a [u8])> {
    let broken = || sled::Error::Corruption { at: None, bt: () };
    let (until, rest) = entry.split_first_chunk::<8>().ok_or_else(broken)?;
    let (crc, value) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
    if *crc != checksum(key, until, value) {
        return Err(broken());
    }
    Ok((Timestamp(i64::from_le_bytes(*until)), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    use promox_storage::conformance;

    const SPACE: CacheSpace = CacheSpace { name: "test", max_entries: 10_000, max_bytes: 1 << 20 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    async fn put(cache: &SledCache, key: &[u8], value: &[u8]) {
        let entry = CacheEntry { value: value.to_vec(), until: at(100) };
        cache.set(SPACE, key, at(0), Expected::Anything, Some(entry)).await.unwrap();
    }

    async fn found(cache: &SledCache, keys: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for key in keys {
            found.extend(cache.get(SPACE, &key, at(0)).await);
        }
        found
    }

    #[tokio::test]
    async fn the_sled_cache_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conformance::check_cache(Arc::new(SledCache::new(dir.path().join("cache"), 1 << 20))).await;
    }

    #[tokio::test]
    async fn entries_from_before_a_restart_count_towards_the_bounds() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let cache = SledCache::new(dir.path().join("cache"), 1 << 20);
            for number in 0..200_u8 {
                put(&cache, &[round, number], &[7; 2 << 10]).await;
            }
            let keys = (0..3).flat_map(|round| (0..200).map(move |number| vec![round, number]));
            assert_eq!(found(&cache, keys).await.len(), [200, 400, 512][usize::from(round)]);
        }
    }

    #[tokio::test]
    async fn the_cache_survives_reopening_and_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let keys = || (0..500_u32).map(|number| number.to_be_bytes().to_vec());
        let fill = async || {
            let cache = SledCache::new(&path, 1 << 20);
            for key in keys() {
                put(&cache, &key, &[7; 100]).await;
            }
        };
        fill().await;
        assert_eq!(found(&SledCache::new(&path, 1 << 20), keys()).await.len(), 500);
        for file in ["db", "conf"] {
            for place in [0, 17, 4_000, 40_000] {
                fill().await;
                let mut bytes = fs::read(path.join(file)).unwrap();
                let end = bytes.len().min(place + 64);
                bytes[place.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
                fs::write(path.join(file), bytes).unwrap();
                let cache = SledCache::new(&path, 1 << 20);
                assert!(found(&cache, keys()).await.iter().all(|value| *value == [7; 100]));
                put(&cache, b"new", b"1").await;
                assert_eq!(cache.get(SPACE, b"new", at(0)).await, Some(b"1".to_vec()));
            }
        }
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_opened_stores_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "not a directory").unwrap();
        let cache = SledCache::new(path.join("cache"), 1 << 20);
        put(&cache, b"a", b"1").await;
        assert_eq!(cache.get(SPACE, b"a", at(0)).await, None);
        assert_eq!(cache.set(SPACE, b"a", at(0), Expected::Value(Vec::new()), None).await, Ok(()));
    }

    /// Polls a future once.
    fn poll_once<T>(mut future: CacheFuture<'_, T>) -> Poll<T> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn reads_never_wait_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SledCache::new(dir.path().join("cache"), 1 << 20);
        assert!(poll_once(cache.get(SPACE, b"a", at(0))).is_pending(), "the cache is opened on another thread");
        put(&cache, b"a", b"1").await;
        let space = cache.0.guard(|open| open.space(SPACE)).unwrap();
        {
            let _writing = space.size.lock();
            assert_eq!(
                poll_once(cache.get(SPACE, b"a", at(0))),
                Poll::Ready(Some(b"1".to_vec())),
                "a write does not block reads"
            );
        }
        let _repairing = cache.0.state.write();
        assert!(poll_once(cache.get(SPACE, b"a", at(0))).is_pending());
    }
}
