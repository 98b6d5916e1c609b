//! The cache that nodes share.
//!
//! An entry is a string with the lifetime of its value, so the server removes it by itself. It also contains its expiry,
//! which is compared with the caller's clock. Each space has two more keys, its entries by expiry and their sizes, with
//! which a script keeps it within its bounds. If the server evicts them, their entries no longer count, and remain until
//! they expire. The keys of a space have one hash tag.

use std::time::Duration;

use ::redis::{cmd, pipe};
use promox_kernel::Timestamp;
use promox_storage::{CacheEngine, CacheEntry, CacheFuture, CacheSpace, Expected, MAX_CACHE_KEY, MAX_CACHE_VALUE};

use super::connection::Redis;
use super::script::{Script, invoke};

/// The longest time that the server keeps an entry.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 365);

/// A cache in a Redis server. See [`CacheEngine`]. It uses `GET`, `EVALSHA`, `SCRIPT LOAD` and, in a script, commands on
/// strings, hashes and sorted sets.
///
/// A server with `maxmemory` and the policy `volatile-ttl` evicts the entries that expire first.
#[derive(Debug)]
pub struct RedisCache {
    redis: Redis,
    set: Script,
}

impl RedisCache {
    /// Creates a cache in a server.
    pub fn new(redis: Redis) -> Self {
        Self { redis, set: Script::new(&[include_str!("set.lua")]) }
    }

    /// A key of a space.
    fn name(&self, space: CacheSpace, what: &str) -> String {
        format!("{}:cache:{{{}}}:{what}", self.redis.prefix(), space.name)
    }

    /// The beginning of the names of a space's entries.
    fn entries(&self, space: CacheSpace) -> Vec<u8> {
        self.name(space, "of:").into_bytes()
    }

    async fn call_set(
        &self,
        space: CacheSpace,
        key: &[u8],
        now: Timestamp,
        expected: Expected,
        after: Option<CacheEntry>,
    ) -> Option<(u8, Option<Vec<u8>>)> {
        let entries = self.entries(space);
        let (by_expiry, sizes) = (self.name(space, "by expiry"), self.name(space, "sizes"));
        let keys = [[&entries, key].concat(), by_expiry.into_bytes(), sizes.into_bytes()];
        let (expects, value) = match expected {
            Expected::Anything => ("any", Vec::new()),
            Expected::Nothing => ("none", Vec::new()),
            Expected::Value(value) => ("value", value),
        };
        let mut call = self.set.call(&keys);
        call.arg(&entries).arg(key).arg(now.0).arg(expects).arg(value);
        if let Some(CacheEntry { value, until }) = after {
            let entry = [&until.0.to_le_bytes()[..], &value].concat();
            call.arg(space.max_entries).arg(space.max_bytes).arg(until.0).arg(lifetime(until, now)).arg(entry);
        }
        let mut connection = self.redis.manager();
        let prepare = || {
            let mut commands = pipe();
            commands.add_command(self.set.load());
            commands
        };
        self.redis.within(async move { invoke(&mut connection, &call, prepare).await }).await
    }
}

/// The time until an expiry, in milliseconds, rounded up.
fn lifetime(until: Timestamp, now: Timestamp) -> u128 {
    until.since(now).min(MAX_LIFETIME).as_micros().div_ceil(1_000).max(1)
}

/// Whether an entry may be stored.
fn fits(space: CacheSpace, key: &[u8], entry: &CacheEntry, now: Timestamp) -> bool {
    key.len() <= MAX_CACHE_KEY && entry.value.len() <= MAX_CACHE_VALUE.min(space.max_bytes) && entry.until > now
}

impl CacheEngine for RedisCache {
    fn get<'a>(&'a self, space: CacheSpace, key: &'a [u8], now: Timestamp) -> CacheFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut get = cmd("GET");
            get.arg([&self.entries(space), key].concat());
            let mut connection = self.redis.manager();
            let found: Option<Option<Vec<u8>>> =
                self.redis.within(async move { get.query_async(&mut connection).await }).await;
            let mut entry = found.flatten()?;
            let until = Timestamp(i64::from_le_bytes(*entry.first_chunk()?));
            (until > now).then(|| entry.split_off(size_of::<i64>()))
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
            let after = after.filter(|entry| fits(space, key, entry, now));
            match self.call_set(space, key, now, expected, after).await {
                Some((0, found)) => Err(found),
                // A cache that cannot be reached accepts every change.
                Some(_) | None => Ok(()),
            }
        })
    }
}
