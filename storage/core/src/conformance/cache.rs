//! The conformance suite of cache engines.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use promox_kernel::Timestamp;

use super::limits::all;
use crate::{Cache, CacheEngine, CacheEntry, CacheSpace, Change, Expected, MAX_CACHE_KEY};

const SMALL: CacheSpace = CacheSpace { name: "small", max_entries: 10, max_bytes: 1 << 10 };
const OTHER: CacheSpace = CacheSpace { name: "other", max_entries: 1_000, max_bytes: 1 << 20 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

/// Runs all cases on an empty cache. Panics if one fails.
pub async fn check(engine: Arc<dyn CacheEngine>) {
    let cache = Cache::new(engine.clone());
    values_expire(&cache).await;
    changes_are_atomic(&cache).await;
    a_change_needs_the_expected_value(&*engine).await;
    a_change_is_retried_after_a_concurrent_one(&cache).await;
    concurrent_changes_are_not_lost(&cache).await;
    a_space_stays_within_its_bounds(&cache).await;
    values_that_do_not_decode_count_as_absent(&cache).await;
}

async fn values_expire(cache: &Cache) {
    cache.put(OTHER, b"a", at(0), &"one", at(10)).await;
    assert_eq!(cache.get(OTHER, b"a", at(9)).await, Some("one".to_owned()));
    assert_eq!(cache.get::<String>(OTHER, b"a", at(10)).await, None);
    assert_eq!(cache.get::<String>(SMALL, b"a", at(0)).await, None, "another space");
    cache.put(OTHER, b"a", at(0), &"two", at(20)).await;
    assert_eq!(cache.get(OTHER, b"a", at(15)).await, Some("two".to_owned()));
    cache.remove(OTHER, b"a", at(0)).await;
    assert_eq!(cache.get::<String>(OTHER, b"a", at(0)).await, None);
}

/// Increments a value, which then expires at second 10.
fn increment(before: Option<u32>) -> (Change<u32>, u32) {
    let value = before.unwrap_or(0) + 1;
    (Change::Put { value, until: at(10) }, value)
}

async fn changes_are_atomic(cache: &Cache) {
    for now in 0..3_u32 {
        assert_eq!(cache.update(OTHER, b"n", at(now.into()), increment).await, now + 1);
    }
    let kept = cache.update(OTHER, b"n", at(3), |before: Option<u32>| (Change::Keep, before)).await;
    assert_eq!((kept, cache.get(OTHER, b"n", at(3)).await), (Some(3), Some(3)));
    assert_eq!(cache.update(OTHER, b"n", at(10), increment).await, 1, "an expired value counts as absent");
    cache.update(OTHER, b"n", at(3), |_: Option<u32>| (Change::Remove, ())).await;
    assert_eq!(cache.get::<u32>(OTHER, b"n", at(3)).await, None);
}

async fn a_change_needs_the_expected_value(engine: &dyn CacheEngine) {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let set = async |now: i64, before: Option<Vec<u8>>, after: Option<&str>| {
        let after = after.map(|text| CacheEntry { value: text.as_bytes().to_vec(), until: at(10) });
        engine.set(OTHER, b"s", at(now), Expected::same(before), after).await
    };
    assert_eq!(set(0, bytes("1"), Some("2")).await, Err(None), "the value is absent");
    assert_eq!(set(0, None, Some("1")).await, Ok(()));
    assert_eq!(set(0, None, Some("2")).await, Err(bytes("1")), "a value exists");
    assert_eq!(set(0, bytes("2"), None).await, Err(bytes("1")), "another value exists");
    assert_eq!(engine.get(OTHER, b"s", at(0)).await, bytes("1"), "none of these calls changed it");
    assert_eq!(set(10, bytes("1"), None).await, Err(None), "the value has expired");
    assert_eq!(set(0, bytes("1"), Some("2")).await, Ok(()));
    assert_eq!(set(0, bytes("2"), None).await, Ok(()));
    assert_eq!(engine.get(OTHER, b"s", at(0)).await, None);
}

async fn a_change_is_retried_after_a_concurrent_one(cache: &Cache) {
    let runs = AtomicU32::new(0);
    let value = cache
        .update(OTHER, b"r", at(0), |before: Option<u32>| {
            if runs.fetch_add(1, Relaxed) == 0 {
                // Another caller changes the value between this one's reading and its writing.
                let other = cache.clone();
                let done = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.unwrap().block_on(other.update(OTHER, b"r", at(0), increment))
                });
                assert_eq!(done.join().unwrap(), 1);
            }
            increment(before)
        })
        .await;
    assert_eq!((value, runs.into_inner(), cache.get(OTHER, b"r", at(0)).await), (2, 2, Some(2)));
}

async fn concurrent_changes_are_not_lost(cache: &Cache) {
    const TASKS: u32 = 24;
    let change = || {
        let cache = cache.clone();
        async move {
            cache.update(OTHER, b"c", at(0), increment).await;
        }
    };
    all((0..TASKS).map(|_| change()).collect()).await;
    assert_eq!(cache.get(OTHER, b"c", at(0)).await, Some(TASKS));
}

async fn a_space_stays_within_its_bounds(cache: &Cache) {
    let stored = async |keys: std::ops::Range<u8>| {
        let mut stored = 0;
        for key in keys {
            stored += usize::from(cache.get::<u8>(SMALL, &[key], at(0)).await.is_some());
        }
        stored
    };
    for key in 0..50_u8 {
        cache.put(SMALL, &[key], at(0), &key, at(100 - i64::from(key))).await;
    }
    assert_eq!(
        (stored(0..9).await, stored(9..49).await, stored(49..50).await),
        (9, 0, 1),
        "the entries that expire first are evicted"
    );
    cache.put(SMALL, &[0], at(0), &7, at(100)).await;
    assert_eq!(stored(0..50).await, 10, "replacing an entry evicts no other");
    cache.put(SMALL, &[7; MAX_CACHE_KEY + 1], at(0), &1, at(100)).await;
    assert_eq!(cache.get::<u8>(SMALL, &[7; MAX_CACHE_KEY + 1], at(0)).await, None, "the key is too long");
    cache.put(SMALL, &[0], at(0), &"x".repeat(1 << 10), at(100)).await;
    assert_eq!(cache.get::<String>(SMALL, &[0], at(0)).await, None, "the value is larger than the space");
    cache.put(SMALL, b"big", at(0), &"x".repeat(1_000), at(200)).await;
    let big = cache.get::<String>(SMALL, b"big", at(0)).await;
    assert_eq!((big.is_some(), stored(0..10).await), (true, 8), "the total size is limited too");
    cache.put(SMALL, b"late", at(150), &1, at(300)).await;
    assert_eq!(stored(0..50).await, 0, "expired entries are removed");
}

async fn values_that_do_not_decode_count_as_absent(cache: &Cache) {
    cache.put(OTHER, b"v", at(0), &"text", at(10)).await;
    assert_eq!(cache.get::<u32>(OTHER, b"v", at(0)).await, None);
    let set = |before: Option<u32>| (Change::Put { value: 7, until: at(10) }, before);
    assert_eq!(cache.update(OTHER, b"v", at(0), set).await, None);
    assert_eq!(cache.get(OTHER, b"v", at(0)).await, Some(7));
}
