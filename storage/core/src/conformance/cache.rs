//! What holds for every cache.

use std::sync::Arc;

use promox_kernel::Timestamp;

use crate::{Cache, CacheEngine, CacheSpace, Change, MOST_CACHE_KEY};

const SMALL: CacheSpace = CacheSpace { name: "small", most: 10, most_bytes: 1 << 10 };
const OTHER: CacheSpace = CacheSpace { name: "other", most: 1_000, most_bytes: 1 << 20 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

/// Checks an empty cache; panics when something does not hold.
pub fn check(engine: Arc<dyn CacheEngine>) {
    let cache = Cache::new(engine);
    values_last_until_their_time(&cache);
    a_change_is_one_step(&cache);
    a_space_keeps_to_its_bounds(&cache);
    what_does_not_decode_was_never_there(&cache);
}

fn values_last_until_their_time(cache: &Cache) {
    cache.put(OTHER, b"a", at(0), &"one", at(10));
    assert_eq!(cache.get(OTHER, b"a", at(9)), Some("one".to_owned()));
    assert_eq!(cache.get::<String>(OTHER, b"a", at(10)), None);
    assert_eq!(cache.get::<String>(SMALL, b"a", at(0)), None, "another space");
    cache.put(OTHER, b"a", at(0), &"two", at(20));
    assert_eq!(cache.get(OTHER, b"a", at(15)), Some("two".to_owned()));
    cache.remove(OTHER, b"a", at(0));
    assert_eq!(cache.get::<String>(OTHER, b"a", at(0)), None);
}

fn a_change_is_one_step(cache: &Cache) {
    let count = |now: i64| {
        cache.update(OTHER, b"n", at(now), |before: Option<u32>| {
            let value = before.unwrap_or(0) + 1;
            (Change::Put { value, until: at(10) }, value)
        })
    };
    assert_eq!((count(0), count(1), count(2)), (1, 2, 3));
    let kept = cache.update(OTHER, b"n", at(3), |before: Option<u32>| (Change::Keep, before));
    assert_eq!((kept, cache.get(OTHER, b"n", at(3))), (Some(3), Some(3)));
    assert_eq!(count(10), 1, "over, so it begins anew");
    cache.update(OTHER, b"n", at(3), |_: Option<u32>| (Change::Remove, ()));
    assert_eq!(cache.get::<u32>(OTHER, b"n", at(3)), None);
}

fn a_space_keeps_to_its_bounds(cache: &Cache) {
    let there = |keys: std::ops::Range<u8>| keys.filter(|key| cache.get::<u8>(SMALL, &[*key], at(0)).is_some()).count();
    for key in 0..50_u8 {
        cache.put(SMALL, &[key], at(0), &key, at(100 - i64::from(key)));
    }
    assert_eq!((there(0..9), there(9..49), there(49..50)), (9, 0, 1), "what ends first makes room");
    cache.put(SMALL, &[7; MOST_CACHE_KEY + 1], at(0), &1, at(100));
    assert_eq!(cache.get::<u8>(SMALL, &[7; MOST_CACHE_KEY + 1], at(0)), None, "too long a key");
    cache.put(SMALL, &[0], at(0), &"x".repeat(1 << 10), at(100));
    assert_eq!(cache.get::<String>(SMALL, &[0], at(0)), None, "more than the space holds");
    cache.put(SMALL, b"big", at(0), &"x".repeat(1_000), at(200));
    assert_eq!((cache.get::<String>(SMALL, b"big", at(0)).is_some(), there(0..10)), (true, 8), "bytes are bounded too");
    cache.put(SMALL, b"late", at(150), &1, at(300));
    assert_eq!(there(0..50), 0, "what is over is swept");
}

fn what_does_not_decode_was_never_there(cache: &Cache) {
    cache.put(OTHER, b"v", at(0), &"text", at(10));
    assert_eq!(cache.get::<u32>(OTHER, b"v", at(0)), None);
    let value =
        cache.update(OTHER, b"v", at(0), |before: Option<u32>| (Change::Put { value: 7, until: at(10) }, before));
    assert_eq!((value, cache.get(OTHER, b"v", at(0))), (None, Some(7)));
}
