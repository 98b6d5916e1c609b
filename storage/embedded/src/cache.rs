//! The cache on a local disk: sled. It panics on damaged files, so every call is guarded.
//!
//! On any failure the cache is wiped and starts empty. If even that fails, it returns nothing and stores nothing. It is
//! opened on first use, so a shop that does not need it pays for no threads or buffers. Writes are not synced: a power
//! cut may lose the last second.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use promox_storage::{CacheEngine, CacheSpace, Change, MOST_CACHE_KEY, MOST_CACHE_VALUE};
use sled::{Config, Db, Mode, Tree};

use crate::base::catch_quietly;

/// Expired entries removed by one call at most.
const SWEPT: usize = 64;
/// The size of sled's write buffers; it has a few of them.
const SEGMENT: usize = 128 << 10;
/// How often, and with which pause, opening is retried while another holder has the lock.
const LOCK_TRIES: u32 = 100;
/// See [`LOCK_TRIES`].
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Keyed state with a time to live, in a directory of its own.
pub struct SledCache {
    dir: PathBuf,
    memory: u64,
    state: Mutex<State>,
}

enum State {
    /// Not used yet.
    Closed,
    Open(Open),
    /// It cannot be opened.
    Gone,
}

impl fmt::Debug for SledCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cache in {}", self.dir.display())
    }
}

struct Open {
    db: Db,
    spaces: HashMap<&'static str, Space>,
}

/// The entries of one space.
#[derive(Clone)]
struct Space {
    /// Key → expiry, checksum, value.
    entries: Tree,
    /// Expiry, key → nothing: the sweep order.
    ends: Tree,
    count: usize,
    /// Total size of the values.
    bytes: usize,
}

impl SledCache {
    /// The cache in `dir`; sled may use `memory` bytes.
    pub fn new(dir: impl Into<PathBuf>, memory: usize) -> Self {
        Self { dir: dir.into(), memory: memory as u64, state: Mutex::new(State::Closed) }
    }

    /// Runs sled calls; on an error or a panic the cache is wiped and starts empty.
    fn guard<T>(&self, work: impl FnOnce(&mut Open) -> sled::Result<T>) -> Option<T> {
        let mut state = self.state.lock();
        if matches!(*state, State::Closed) {
            *state = self.opened();
        }
        let State::Open(open) = &mut *state else { return None };
        let why = match catch_quietly(|| work(open)) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        let broken = std::mem::replace(&mut *state, State::Gone);
        let _ = catch_quietly(|| drop(broken));
        wipe(&self.dir, &why);
        *state = self.opened();
        None
    }

    fn opened(&self) -> State {
        let opened = self.unlocked().or_else(|why| {
            if is_lock(&why) {
                return Err(why);
            }
            wipe(&self.dir, &why);
            Open::guarded(&self.dir, self.memory)
        });
        let opened = opened.inspect_err(|why| tracing::warn!(why, "the cache cannot be opened; continuing without it"));
        opened.map_or(State::Gone, State::Open)
    }

    /// Opens sled, waiting briefly while threads of the previous instance still hold its lock.
    fn unlocked(&self) -> Result<Open, String> {
        let mut opened = Open::guarded(&self.dir, self.memory);
        for _ in 0..LOCK_TRIES {
            if !opened.as_ref().is_err_and(|why| is_lock(why)) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            opened = Open::guarded(&self.dir, self.memory);
        }
        opened
    }
}

/// Whether opening failed because another holder has the lock; sled only says so in its message.
fn is_lock(why: &str) -> bool {
    why.contains("could not acquire lock")
}

impl CacheEngine for SledCache {
    fn get(&self, space: CacheSpace, key: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        self.guard(|open| open.space(space)?.get(key, now)).flatten()
    }

    fn update(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: &mut dyn FnMut(Option<&[u8]>) -> Change<Vec<u8>>,
    ) {
        self.guard(|open| open.space(space)?.update(space, key, now, change));
    }
}

fn wipe(dir: &Path, why: &str) {
    tracing::warn!(why, dir = %dir.display(), "the cache is damaged: starting with an empty one");
    // If it cannot be removed it cannot be opened either; the node runs without a cache.
    let _ = fs::remove_dir_all(dir);
}

impl Open {
    fn guarded(dir: &Path, memory: u64) -> Result<Self, String> {
        match catch_quietly(|| Self::at(dir, memory)) {
            Ok(Ok(open)) => Ok(open),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic),
        }
    }

    fn at(dir: &Path, memory: u64) -> sled::Result<Self> {
        let config = Config::new().path(dir).mode(Mode::HighThroughput).flush_every_ms(Some(1_000));
        let db = config.cache_capacity(memory).segment_size(SEGMENT).open()?;
        Ok(Self { db, spaces: HashMap::new() })
    }

    fn space(&mut self, space: CacheSpace) -> sled::Result<&mut Space> {
        if !self.spaces.contains_key(space.name) {
            let opened = Space::open(&self.db, space.name)?;
            self.spaces.insert(space.name, opened);
        }
        self.spaces.get_mut(space.name).ok_or_else(|| sled::Error::ReportableBug("a space is gone".to_owned()))
    }
}

impl Space {
    fn open(db: &Db, name: &str) -> sled::Result<Self> {
        let (entries, ends) = (db.open_tree(name)?, db.open_tree(format!("{name} by end"))?);
        let (mut count, mut bytes) = (0, 0);
        for entry in &entries {
            count += 1;
            bytes += entry?.1.len().saturating_sub(HEADER);
        }
        Ok(Self { entries, ends, count, bytes })
    }

    fn get(&self, key: &[u8], now: Timestamp) -> sled::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(key)? else { return Ok(None) };
        let (until, value) = decode(key, &entry)?;
        Ok((until > now).then(|| value.to_vec()))
    }

    fn update(
        &mut self,
        bounds: CacheSpace,
        key: &[u8],
        now: Timestamp,
        change: &mut dyn FnMut(Option<&[u8]>) -> Change<Vec<u8>>,
    ) -> sled::Result<()> {
        match change(self.get(key, now)?.as_deref()) {
            Change::Keep => Ok(()),
            Change::Remove => self.remove(key),
            Change::Put { value, until } => self.put(bounds, key, &value, until, now),
        }
    }

    fn put(
        &mut self,
        bounds: CacheSpace,
        key: &[u8],
        value: &[u8],
        until: Timestamp,
        now: Timestamp,
    ) -> sled::Result<()> {
        self.sweep(now)?;
        self.remove(key)?;
        if key.len() > MOST_CACHE_KEY || value.len() > MOST_CACHE_VALUE.min(bounds.most_bytes) {
            return Ok(());
        }
        while self.count >= bounds.most || self.bytes + value.len() > bounds.most_bytes {
            let Some((end, _)) = self.ends.pop_min()? else { break };
            self.forget(&end)?;
        }
        self.bytes += value.len();
        self.entries.insert(key, encode(key, until, value))?;
        self.ends.insert(end_key(until, key), &[])?;
        self.count += 1;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> sled::Result<()> {
        let Some(entry) = self.entries.remove(key)? else { return Ok(()) };
        self.less(entry.len());
        let (until, _) = decode(key, &entry)?;
        self.ends.remove(end_key(until, key)).map(drop)
    }

    /// Removes some expired entries.
    fn sweep(&mut self, now: Timestamp) -> sled::Result<()> {
        for _ in 0..SWEPT {
            let Some((end, _)) = self.ends.first()? else { break };
            if end.get(..8).unwrap_or_default() > &sortable(now)[..] {
                break;
            }
            self.ends.remove(&end)?;
            self.forget(&end)?;
        }
        Ok(())
    }

    fn forget(&mut self, end: &[u8]) -> sled::Result<()> {
        if let Some(entry) = self.entries.remove(end.get(8..).unwrap_or_default())? {
            self.less(entry.len());
        }
        Ok(())
    }

    fn less(&mut self, entry: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.saturating_sub(HEADER));
    }
}

/// Bytes of an entry before its value.
const HEADER: usize = 12;

fn sortable(time: Timestamp) -> [u8; 8] {
    (time.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn end_key(until: Timestamp, key: &[u8]) -> Vec<u8> {
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
    use promox_storage::conformance;
    use std::sync::Arc;

    const SPACE: CacheSpace = CacheSpace { name: "test", most: 10_000, most_bytes: 1 << 20 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    fn put(cache: &SledCache, key: &[u8], value: &[u8]) {
        cache.update(SPACE, key, at(0), &mut |_| Change::Put { value: value.to_vec(), until: at(100) });
    }

    #[test]
    fn it_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conformance::check_cache(Arc::new(SledCache::new(dir.path().join("cache"), 1 << 20)));
    }

    #[test]
    fn bounds_count_what_was_there_before_the_start() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let cache = SledCache::new(dir.path().join("cache"), 1 << 20);
            for number in 0..200_u8 {
                put(&cache, &[round, number], &[7; 2 << 10]);
            }
            let left = (0..3).flat_map(|round| (0..200).map(move |number| [round, number]));
            let left = left.filter(|key| cache.get(SPACE, key, at(0)).is_some()).count();
            assert_eq!(left, [200, 400, 512][usize::from(round)]);
        }
    }

    #[test]
    fn it_survives_reopening_and_any_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let fill = || {
            let cache = SledCache::new(&path, 1 << 20);
            (0..500_u32).for_each(|number| put(&cache, &number.to_be_bytes(), &[7; 100]));
        };
        let found = |cache: &SledCache| {
            let values = (0..500_u32).map(|number| cache.get(SPACE, &number.to_be_bytes(), at(0)));
            values.flatten().inspect(|value| assert_eq!(*value, [7; 100])).count()
        };
        fill();
        assert_eq!(found(&SledCache::new(&path, 1 << 20)), 500);
        for file in ["db", "conf"] {
            for place in [0, 17, 4_000, 40_000] {
                fill();
                let mut bytes = fs::read(path.join(file)).unwrap();
                let end = bytes.len().min(place + 64);
                bytes[place.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
                fs::write(path.join(file), bytes).unwrap();
                let cache = SledCache::new(&path, 1 << 20);
                found(&cache);
                put(&cache, b"new", b"1");
                assert_eq!(cache.get(SPACE, b"new", at(0)), Some(b"1".to_vec()));
            }
        }
    }

    #[test]
    fn without_a_place_it_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "not a directory").unwrap();
        let cache = SledCache::new(path.join("cache"), 1 << 20);
        put(&cache, b"a", b"1");
        assert_eq!(cache.get(SPACE, b"a", at(0)), None);
    }
}
