//! Gates and the cache in Redis. What Redis loses is loaded again from the rows, or costs a retry.
//!
//! A slow or unreachable Redis never stops the shop. Each call has a short deadline. After a failure, calls fail at once
//! for a growing pause, and then a single one tries again. In the meantime the rows decide alone, and the cache counts
//! as empty.
//!
//! Redis 7 or later is required, as one server or behind the address of its primary; nodes do not speak the protocol of
//! Redis Cluster. All keys begin with the prefix of [`RedisOptions`]. The user needs `~prefix:* +@all -@dangerous
//! +info`, or at least the commands that [`RedisGates`] and [`RedisCache`] use.

mod cache;
mod circuit;
mod connection;
mod gates;
mod health;
mod options;
mod script;

pub use cache::RedisCache;
pub use connection::Redis;
pub use gates::RedisGates;
pub use health::RedisHealth;
pub use options::{RedisOptions, RedisProblem};
