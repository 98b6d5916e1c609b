//! Keyed state with a time to live, whose loss costs a retry and never money or access: login throttles, quotes.
//!
//! It lies in sled, which panics on damaged files: every call is guarded, and on any failure the whole cache is wiped and
//! begins empty. When not even that works it answers nothing and forgets what it is told.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use sled::{Config, Db, Mode, Tree};

use crate::base::catch_quietly;

/// Entries that one call removes at most because their time is over.
const SWEPT: usize = 64;
/// The longest key and value.
const MOST_KEY: usize = 512;
const MOST_VALUE: usize = 64 << 10;

/// Keyed state with a time to live.
pub struct Cache {
    dir: PathBuf,
    memory: u64,
    most: usize,
    open: Mutex<Option<Open>>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cache in {}", self.dir.display())
    }
}

struct Open {
    /// Key → end of its time, checksum, value.
    entries: Tree,
    /// End of its time, key → nothing: what ends first is swept first.
    ends: Tree,
    count: usize,
    _db: Db,
}

impl Cache {
    /// Opens the cache in a directory of its own. `memory` bytes are sled's; of `most` entries the one whose time ends
    /// first makes room for another.
    pub fn open(dir: impl Into<PathBuf>, memory: usize, most: usize) -> Self {
        let (dir, memory) = (dir.into(), memory as u64);
        let opened = Open::guarded(&dir, memory).or_else(|why| {
            wipe(&dir, &why);
            Open::guarded(&dir, memory)
        });
        let open = opened.inspect_err(|why| tracing::warn!(why, "there is no cache; it is done without")).ok();
        Self { dir, memory, most: most.max(1), open: Mutex::new(open) }
    }

    /// The value of a key whose time is not over.
    pub fn get(&self, key: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        self.guard(|open| open.get(key, now)).flatten()
    }

    /// Sets a value until its time is over.
    pub fn put(&self, key: &[u8], value: &[u8], until: Timestamp, now: Timestamp) {
        self.update(key, until, now, |_| Some(value.to_vec()));
    }

    /// Changes a value in one step: `change` is given what is there and says what is to be there, or nothing.
    pub fn update(
        &self,
        key: &[u8],
        until: Timestamp,
        now: Timestamp,
        change: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if key.len() > MOST_KEY {
            return None;
        }
        let most = self.most;
        self.guard(|open| open.update(key, until, now, most, change)).flatten()
    }

    /// Forgets a key.
    pub fn remove(&self, key: &[u8]) {
        self.guard(|open| open.remove(key));
    }

    /// How many entries there are, those among them whose time is over and that have not been swept.
    pub fn len(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a call of sled's; on an error or a panic the cache is wiped and begins empty.
    fn guard<T>(&self, work: impl FnOnce(&mut Open) -> sled::Result<T>) -> Option<T> {
        let mut open = self.open.lock();
        let current = open.as_mut()?;
        let why = match catch_quietly(|| work(current)) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        let broken = open.take();
        let _ = catch_quietly(|| drop(broken));
        wipe(&self.dir, &why);
        *open = Open::guarded(&self.dir, self.memory).ok();
        None
    }
}

fn wipe(dir: &Path, why: &str) {
    tracing::warn!(why, dir = %dir.display(), "the cache is broken: it is wiped and begins empty");
    // If it cannot be removed it will not open either, and is done without.
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
        let db = config.cache_capacity(memory).open()?;
        let (entries, ends) = (db.open_tree("entries")?, db.open_tree("ends")?);
        let count = entries.len();
        Ok(Self { entries, ends, count, _db: db })
    }

    fn get(&self, key: &[u8], now: Timestamp) -> sled::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(key)? else { return Ok(None) };
        let (until, value) = decode(key, &entry)?;
        Ok((until > now).then(|| value.to_vec()))
    }

    fn update(
        &mut self,
        key: &[u8],
        until: Timestamp,
        now: Timestamp,
        most: usize,
        change: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> sled::Result<Option<Vec<u8>>> {
        self.sweep(now)?;
        let before = self.get(key, now)?;
        let after = change(before.as_deref()).filter(|value| value.len() <= MOST_VALUE);
        self.remove(key)?;
        let Some(value) = &after else { return Ok(None) };
        while self.count >= most {
            let Some((end, _)) = self.ends.pop_min()? else { break };
            self.forget(&end)?;
        }
        self.entries.insert(key, encode(key, until, value))?;
        self.ends.insert(end_key(until, key), &[])?;
        self.count += 1;
        Ok(after)
    }

    fn remove(&mut self, key: &[u8]) -> sled::Result<()> {
        let Some(entry) = self.entries.remove(key)? else { return Ok(()) };
        self.count = self.count.saturating_sub(1);
        let (until, _) = decode(key, &entry)?;
        self.ends.remove(end_key(until, key)).map(drop)
    }

    /// Removes some of what is over.
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
        if self.entries.remove(end.get(8..).unwrap_or_default())?.is_some() {
            self.count = self.count.saturating_sub(1);
        }
        Ok(())
    }
}

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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn values_last_until_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache"), 1 << 20, 100);
        cache.put(b"a", b"1", at(10), at(0));
        assert_eq!(cache.get(b"a", at(9)), Some(b"1".to_vec()));
        assert_eq!(cache.get(b"a", at(10)), None);
        let counted = |value: Option<&[u8]>| Some(vec![value.map_or(0, |value| value[0]) + 1]);
        assert_eq!(cache.update(b"n", at(10), at(0), counted), Some(vec![1]));
        assert_eq!(cache.update(b"n", at(10), at(1), counted), Some(vec![2]));
        assert_eq!(cache.update(b"n", at(30), at(10), counted), Some(vec![1]), "over, so it begins anew");
        cache.remove(b"n");
        assert_eq!((cache.get(b"n", at(10)), cache.len()), (None, 0));
    }

    #[test]
    fn it_holds_so_many_and_drops_what_ends_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache"), 1 << 20, 10);
        for number in 0..50_u8 {
            cache.put(&[number], b"x", at(100 - i64::from(number)), at(0));
        }
        assert_eq!(cache.len(), 10);
        assert!(cache.get(&[0], at(0)).is_some() && cache.get(&[30], at(0)).is_none());
        cache.put(&[200], &vec![0; MOST_VALUE + 1], at(100), at(0));
        cache.put(&[7; MOST_KEY + 1], b"x", at(100), at(0));
        assert_eq!((cache.get(&[200], at(0)), cache.get(&[7; MOST_KEY + 1], at(0))), (None, None), "too long");
    }

    #[test]
    fn it_survives_reopening_and_any_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let fill = || {
            let cache = Cache::open(&path, 1 << 20, 10_000);
            (0..500_u32).for_each(|number| cache.put(&number.to_be_bytes(), &[7; 100], at(100), at(0)));
        };
        fill();
        assert_eq!(Cache::open(&path, 1 << 20, 10_000).len(), 500);
        for file in ["db", "conf"] {
            for place in [0, 17, 4_000, 40_000] {
                fill();
                let mut bytes = fs::read(path.join(file)).unwrap();
                let end = bytes.len().min(place + 64);
                bytes[place.min(end)..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
                fs::write(path.join(file), bytes).unwrap();
                let cache = Cache::open(&path, 1 << 20, 10_000);
                for number in 0..500_u32 {
                    let found = cache.get(&number.to_be_bytes(), at(0));
                    assert!(found.is_none_or(|found| found == [7; 100]));
                }
                cache.put(b"new", b"1", at(9), at(0));
                assert_eq!(cache.get(b"new", at(0)), Some(b"1".to_vec()));
            }
        }
    }
}
