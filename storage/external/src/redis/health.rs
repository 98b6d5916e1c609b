//! The state of a Redis server, for the health page of a node.

use std::time::Duration;

use ::redis::cmd;
use tokio::time::Instant;

use super::connection::Redis;
use super::options::RedisProblem;

/// The deadline of a health check. It is longer than that of other calls, so that a slow server can be told from one
/// that is down.
const DEADLINE: Duration = Duration::from_secs(2);
/// The first version with all commands that are used. Older versions also copy loaded scripts to their replicas.
const MIN_VERSION: u32 = 7;

/// The state of a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHealth {
    /// The time of a round trip.
    pub latency: Duration,
    /// The server's version.
    pub version: String,
    /// The server's `maxmemory`, in bytes. 0 if it is unlimited.
    pub max_memory: u64,
    /// The server's `maxmemory-policy`.
    pub eviction_policy: String,
    /// What has to be changed at the server, as sentences for its administrator. Empty if it is in order.
    pub problems: Vec<String>,
}

impl RedisHealth {
    /// Whether a full server could evict any key, and with it a record of unsettled units. A policy of `noeviction` or
    /// `volatile-*` prevents that.
    pub fn may_evict_gates(&self) -> bool {
        self.max_memory > 0 && self.eviction_policy.starts_with("allkeys")
    }

    fn parse(latency: Duration, info: &str) -> Self {
        let value = |name: &str| {
            let line = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
            info.lines().find_map(line).unwrap_or_default()
        };
        let mut health = Self {
            latency,
            version: value("redis_version"),
            max_memory: value("maxmemory").parse().unwrap_or(0),
            eviction_policy: value("maxmemory_policy"),
            problems: Vec::new(),
        };
        let major = health.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
        let mut note = |is_problem: bool, problem: String| {
            if is_problem {
                health.problems.push(problem);
            }
        };
        note(
            major < MIN_VERSION,
            format!("Redis {MIN_VERSION} or later is required; the server has {:?}.", health.version),
        );
        note(value("redis_mode") == "cluster", "Redis Cluster is not supported: name a single server.".to_owned());
        note(value("role") == "slave", "The server is a replica: name the primary.".to_owned());
        if health.may_evict_gates() {
            let policy = &health.eviction_policy;
            health.problems.push(format!(
                "With maxmemory-policy {policy} a full server may drop unsettled units: set it to volatile-ttl."
            ));
        }
        health
    }
}

impl Redis {
    /// Measures a round trip and reads the server's version and settings. It also tries while the server is considered
    /// down, and takes two seconds at most.
    pub async fn health(&self) -> Result<RedisHealth, RedisProblem> {
        let mut manager = self.manager();
        let check = async {
            cmd("PING").query_async::<()>(&mut manager).await?;
            let start = Instant::now();
            cmd("PING").query_async::<()>(&mut manager).await?;
            let latency = start.elapsed();
            let info: String = cmd("INFO").arg(&["server", "memory", "replication"]).query_async(&mut manager).await?;
            Ok(RedisHealth::parse(latency, &info))
        };
        self.check(DEADLINE, check).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_a_server_are_found() {
        let problems = |version: &str, mode: &str, role: &str, max_memory: u64, policy: &str| {
            let info = format!(
                "# Server\r\nredis_version:{version}\r\nredis_mode:{mode}\r\nmaxmemory:{max_memory}\r\n\
                 maxmemory_human:1G\r\nmaxmemory_policy:{policy}\r\nrole:{role}\r\n"
            );
            RedisHealth::parse(Duration::ZERO, &info).problems.len()
        };
        assert_eq!(problems("7.0.15", "standalone", "master", 0, "noeviction"), 0);
        assert_eq!(problems("8.2.1", "standalone", "master", 1 << 30, "volatile-ttl"), 0);
        assert_eq!(problems("7.0.15", "standalone", "master", 0, "allkeys-lru"), 0, "no limit, no eviction");
        assert_eq!(problems("7.0.15", "standalone", "master", 1 << 30, "allkeys-lru"), 1);
        assert_eq!(problems("6.2.7", "cluster", "slave", 1 << 30, "allkeys-random"), 4);
    }
}
