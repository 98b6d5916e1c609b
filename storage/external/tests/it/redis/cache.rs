//! The cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_external::redis::RedisCache;
use promox_kernel::Timestamp;
use promox_storage::{Cache, CacheEngine as _, CacheEntry, CacheSpace, Change, Expected, conformance};

use super::server::Server;

const SPACE: CacheSpace = CacheSpace { name: "test", max_entries: 1_000, max_bytes: 1 << 20 };
const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn increment(before: Option<u32>) -> (Change<u32>, u32) {
    let value = before.unwrap_or(0) + 1;
    (Change::Put { value, until: NOW + Duration::from_mins(1) }, value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_in_redis_conforms() {
    let server = Server::start();
    conformance::check_cache(Arc::new(RedisCache::new(server.connect()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_several_nodes_are_not_lost() {
    let server = Server::start();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let cache = Cache::new(Arc::new(RedisCache::new(server.connect())));
        tasks.spawn(async move {
            for _ in 0..50 {
                cache.update(SPACE, b"n", NOW, increment).await;
            }
        });
    }
    tasks.join_all().await;
    let cache = Cache::new(Arc::new(RedisCache::new(server.connect())));
    assert_eq!(cache.get(SPACE, b"n", NOW).await, Some(200));
}

#[tokio::test]
async fn the_server_removes_what_has_expired() {
    let server = Server::start();
    let cache = RedisCache::new(server.connect());
    let put = async |key: &[u8], lifetime: Duration| {
        let entry = CacheEntry { value: b"value".to_vec(), until: NOW + lifetime };
        cache.set(SPACE, key, NOW, Expected::Anything, Some(entry)).await.unwrap();
    };
    put(b"short", Duration::from_millis(100)).await;
    put(b"long", Duration::from_millis(600)).await;
    server.pass(Duration::from_millis(200)).await;
    assert_eq!(cache.get(SPACE, b"short", NOW).await, None);
    assert_eq!(cache.get(SPACE, b"long", NOW).await, Some(b"value".to_vec()));
    server.pass(Duration::from_millis(600)).await;
    let keys: Vec<String> = server.run(::redis::cmd("KEYS").arg("*"));
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn the_bounds_hold_after_the_server_has_evicted_what_counts_the_entries() {
    let server = Server::start();
    let cache = Cache::new(Arc::new(RedisCache::new(server.connect())));
    let small = CacheSpace { name: "small", max_entries: 5, max_bytes: 30 };
    let fill = async |from: u8| {
        for key in from..from + 20 {
            cache.put(small, &[key], NOW, &"text", NOW + Duration::from_secs(u64::from(key) + 1)).await;
        }
    };
    let stored = || server.run::<Vec<Vec<u8>>>(::redis::cmd("KEYS").arg("*:of:*")).len();
    fill(0).await;
    assert_eq!(stored(), 5);
    for lost in ["by expiry", "sizes"] {
        let lost: u32 = server.run(::redis::cmd("DEL").arg(format!("promox:cache:{{small}}:{lost}")));
        assert_eq!(lost, 1);
        fill(20).await;
        assert!(stored() <= 10, "only entries that are no longer counted remain");
        for key in 35..40_u8 {
            let newest = cache.get(small, &[key], NOW).await;
            assert_eq!(newest, Some("text".to_owned()), "there is space for entry {key}");
        }
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_reached_counts_as_empty() {
    let server = Server::start();
    let cache = Cache::new(Arc::new(RedisCache::new(server.connect_within(Duration::from_millis(200)))));
    assert_eq!(cache.update(SPACE, b"n", NOW, increment).await, 1);
    server.signal("STOP");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(cache.update(SPACE, b"n", NOW, increment).await, 1);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    server.signal("CONT");
}
