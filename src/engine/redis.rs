//! The cache and the counters of gates in Redis, configured by the settings, with the server's health.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use promox_external::redis::{Redis, RedisCache, RedisGates, RedisHealth, RedisOptions, RedisProblem};
use promox_kernel::Entropy;
use promox_storage::Cache;
use serde_json::{Value, json};

use super::Volatile;
use crate::config::Settings;
use crate::exit::Exit;
use crate::http::Server;

/// Connects to the configured server. It need not answer yet.
pub(super) fn open(settings: &Settings, entropy: &Entropy) -> Result<Volatile, Exit> {
    let redis = &settings.redis;
    let options = RedisOptions {
        ca_file: Some(redis.roots.clone()).filter(|file| !file.as_os_str().is_empty()),
        timeout: Duration::from_millis(redis.timeout_ms),
        prefix: redis.prefix.clone(),
        ..RedisOptions::new(&redis.url)
    };
    let connect = || Redis::connect(&options).map_err(|why| Exit::config(format_args!("redis: {why}")));
    // Large values of the cache do not delay the gates, which have a connection of their own.
    let (for_cache, for_gates) = (connect()?, connect()?);
    Ok(Volatile {
        cache: Cache::new(Arc::new(RedisCache::new(for_cache))),
        gates: Arc::new(RedisGates::new(for_gates.clone(), entropy.clone())),
        redis: Some(for_gates),
    })
}

/// Adds the Redis server's health to the node's. The first check opens the connection.
pub(super) async fn observe(redis: &Redis, server: &Server) {
    if let Err(problem) = redis.health().await {
        tracing::warn!(%problem, "Redis cannot be used: rows decide alone, and the cache counts as empty");
    }
    let redis = redis.clone();
    let check = move || -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> {
        let redis = redis.clone();
        Box::pin(async move { describe(redis.health().await) })
    };
    server.health().add_async("redis", Box::new(check));
}

fn describe(health: Result<RedisHealth, RedisProblem>) -> Result<Value, String> {
    let health = health.map_err(|problem| problem.to_string())?;
    if let Some(problem) = health.problems.first() {
        return Err(problem.clone());
    }
    Ok(json!({
        "version": health.version,
        "latencySeconds": health.latency.as_secs_f64(),
        "maxMemory": health.max_memory,
        "evictionPolicy": health.eviction_policy,
    }))
}
