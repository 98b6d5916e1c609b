//! Token buckets per client: a burst of requests, refilled at a steady rate.
//!
//! A bucket is one number, the time at which it will be full again (the generic cell rate algorithm). The table is
//! bounded: when a shard is full, full buckets are dropped, and if all are in use the shard is cleared, which errs on
//! the side of letting requests in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use promox_contract::codes;
use promox_kernel::{Error, Principal};

const SHARDS: usize = 16;
const SECOND: u64 = 1_000_000;

/// How fast a bucket refills and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Operations of the same class share buckets.
    class: usize,
    burst: u32,
    /// Microseconds per token.
    interval: u64,
    /// The tokens that a request takes.
    cost: u32,
}

impl Rate {
    /// Buckets of `burst` tokens, refilled by `count` tokens every `seconds`.
    pub(crate) fn new(class: usize, burst: u32, count: u32, seconds: u32) -> Self {
        let interval = (u64::from(seconds) * SECOND / u64::from(count.max(1))).max(1);
        Self { class, burst, interval, cost: 1 }
    }

    /// The rate at which a request takes `cost` tokens, but never more than a bucket holds.
    pub(crate) fn costing(self, cost: u32) -> Self {
        Self { cost: cost.clamp(1, self.burst.max(1)), ..self }
    }

    /// The microseconds in which the tokens of a request come back.
    fn price(&self) -> u64 {
        u64::from(self.cost) * self.interval
    }

    fn span(&self) -> u64 {
        u64::from(self.burst) * self.interval
    }
}

/// The state of a client's bucket after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateState {
    /// The capacity.
    pub(crate) limit: u32,
    /// The tokens left.
    pub(crate) remaining: u32,
    /// Seconds until the bucket is full again.
    pub(crate) reset: u64,
}

/// The owner of a bucket: a user or an API key, else an address (for IPv6 the network of one customer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    User(i64),
    Key(i64),
    Address(u128),
}

/// All buckets.
pub(crate) struct Buckets {
    started: Instant,
    hasher: RandomState,
    max_per_shard: usize,
    shards: [Mutex<HashMap<(usize, Client), u64>>; SHARDS],
}

impl Buckets {
    /// Buckets for at most `clients` clients.
    pub(crate) fn new(clients: usize) -> Self {
        let max_per_shard = (clients / SHARDS).max(1);
        Self { started: Instant::now(), hasher: RandomState::new(), max_per_shard, shards: Default::default() }
    }

    /// Takes the tokens of a request that arrived at `now` from the client's bucket. The error says when the next one is
    /// available.
    pub(crate) fn take(
        &self,
        now: Instant,
        rate: Rate,
        principal: &Principal,
        address: IpAddr,
    ) -> (RateState, Result<(), Error>) {
        let micros = now.saturating_duration_since(self.started).as_micros();
        self.take_at(u64::try_from(micros).unwrap_or(u64::MAX), rate, principal, address)
    }

    fn take_at(&self, now: u64, rate: Rate, principal: &Principal, address: IpAddr) -> (RateState, Result<(), Error>) {
        let key = (rate.class, client(principal, address));
        let shard = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % SHARDS;
        let Some(shard) = self.shards.get(shard) else { return (rate_state(rate, 0), Ok(())) };
        let mut buckets = shard.lock();
        if buckets.len() >= self.max_per_shard && !buckets.contains_key(&key) {
            buckets.retain(|_, full| *full > now);
            if buckets.len() >= self.max_per_shard {
                buckets.clear();
            }
        }
        let full = buckets.entry(key).or_insert(now);
        let debt = full.saturating_sub(now) + rate.price();
        if debt > rate.span() {
            let wait = (debt - rate.span()).div_ceil(SECOND);
            return (rate_state(rate, debt - rate.price()), Err(throttled(wait)));
        }
        *full = now + debt;
        (rate_state(rate, debt), Ok(()))
    }
}

fn rate_state(rate: Rate, debt: u64) -> RateState {
    let left = rate.span().saturating_sub(debt) / rate.interval;
    let remaining = u32::try_from(left).unwrap_or(u32::MAX);
    RateState { limit: rate.burst, remaining, reset: debt.div_ceil(SECOND) }
}

fn throttled(seconds: u64) -> Error {
    let seconds = seconds.max(1);
    let message = format!("Too many requests: try again in {seconds} s.");
    Error::throttled(codes::TOO_MANY_REQUESTS, message, Duration::from_secs(seconds))
}

fn client(principal: &Principal, address: IpAddr) -> Client {
    match (principal, address) {
        (Principal::User { id, .. }, _) => Client::User(id.0),
        (Principal::Key { id, .. }, _) => Client::Key(*id),
        (_, IpAddr::V4(address)) => Client::Address(address.to_bits().into()),
        (_, IpAddr::V6(address)) => Client::Address(address.to_bits() >> 64 << 64),
    }
}

#[cfg(test)]
mod tests {
    use promox_kernel::Kind;

    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let buckets = Buckets::new(64);
        let (rate, nobody) = (Rate::new(0, 3, 60, 60), Principal::Anonymous);
        let address = IpAddr::from([10, 0, 0, 1]);
        let left: Vec<u32> = (0..3).map(|_| buckets.take_at(SECOND, rate, &nobody, address).0.remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = buckets.take_at(SECOND, rate, &nobody, address).1.unwrap_err();
        assert_eq!((refused.kind(), refused.retry_after_seconds()), (Kind::Throttled, Some(1)));
        assert!(
            buckets.take_at(SECOND, rate, &nobody, [10, 0, 0, 2].into()).1.is_ok(),
            "other clients have buckets of their own"
        );
        assert!(
            buckets.take_at(SECOND, Rate::new(1, 1, 1, 1), &nobody, address).1.is_ok(),
            "other classes have buckets of their own"
        );
        let later = buckets.take_at(2 * SECOND, rate, &nobody, address);
        assert!(later.1.is_ok());
        assert_eq!(later.0, RateState { limit: 3, remaining: 0, reset: 3 });
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let buckets = Buckets::new(SHARDS * 4);
        let rate = Rate::new(0, 10, 10, 1);
        for host in 0..=255 {
            for net in 0..16 {
                assert!(buckets.take_at(0, rate, &Principal::Anonymous, [10, 0, net, host].into()).1.is_ok());
            }
        }
        let held: usize = buckets.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(held <= SHARDS * 4, "{held}");
    }
}
