//! A gate counts the remaining units of something, and the units that each user has taken.
//!
//! When it may differ from the rows (while it is loaded from them, or after a caller was cancelled), it errs on the
//! side of admitting, and the rows then refuse. `tests/gate.rs` checks every interleaving of two threads, with
//! instrumented atomics and locks in place of the module `sync`.

use std::collections::HashMap;
use std::sync::PoisonError;

use promox_kernel::UserId;

use super::sync::{AtomicI64, Mutex, Ordering};

/// Why a gate refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateRefusal {
    /// Fewer units are left than requested.
    SoldOut {
        /// The units left.
        left: i64,
    },
    /// The request would exceed the user's limit.
    LimitReached {
        /// The maximum units of one user.
        limit: u32,
    },
}

/// The number of shards of the users' counts, which reduces contention between threads.
const SHARDS: usize = 16;

/// The remaining units of something, and the units that each user has taken.
#[derive(Debug)]
pub struct Gate {
    left: AtomicI64,
    limit: Option<u32>,
    users: Vec<Mutex<HashMap<UserId, i64>>>,
}

impl Gate {
    /// Creates a gate with `left` remaining units. Users are counted only if there is a limit.
    pub fn new(left: i64, limit: Option<u32>, users: impl IntoIterator<Item = (UserId, i64)>) -> Self {
        let shards = if limit.is_some() { SHARDS } else { 0 };
        let mut counts: Vec<HashMap<UserId, i64>> = (0..shards).map(|_| HashMap::new()).collect();
        for (user, taken) in users {
            if let Some(shard) = counts.get_mut(shard_of(user)) {
                shard.insert(user, taken);
            }
        }
        Self { left: AtomicI64::new(left), limit, users: counts.into_iter().map(Mutex::new).collect() }
    }

    /// Takes units for a user, or returns why the gate refuses.
    pub fn take(&self, user: UserId, quantity: u32) -> Result<(), GateRefusal> {
        let Some((limit, shard)) = self.limit.zip(self.users.get(shard_of(user))) else {
            return self.take_units(quantity);
        };
        let mut counts = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&user).copied().unwrap_or(0) + i64::from(quantity);
        if count > i64::from(limit) {
            return Err(GateRefusal::LimitReached { limit });
        }
        self.take_units(quantity)?;
        counts.insert(user, count);
        Ok(())
    }

    fn take_units(&self, quantity: u32) -> Result<(), GateRefusal> {
        let requested = i64::from(quantity);
        let taken = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| (left >= requested).then_some(left - requested));
        taken.map(drop).map_err(|left| GateRefusal::SoldOut { left })
    }

    /// Releases units of a user.
    pub fn release(&self, user: UserId, quantity: u32) {
        if let Some(shard) = self.users.get(shard_of(user)) {
            let mut counts = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.get(&user).copied().unwrap_or(0) - i64::from(quantity);
            if count > 0 {
                counts.insert(user, count);
            } else {
                counts.remove(&user);
            }
        }
        self.left.fetch_add(i64::from(quantity), Ordering::AcqRel);
    }

    /// Returns the remaining units, and the units of each user in the order of their ids.
    pub fn state(&self) -> (i64, Vec<(UserId, i64)>) {
        let count = |shard: &Mutex<HashMap<UserId, i64>>| shard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut users: Vec<_> = self.users.iter().flat_map(count).collect();
        users.sort_unstable();
        (self.left.load(Ordering::Acquire), users)
    }
}

/// The shard of a user. Ids come in blocks of consecutive numbers, so users are spread over the shards.
fn shard_of(user: UserId) -> usize {
    usize::try_from(user.0.unsigned_abs() % SHARDS as u64).unwrap_or(0)
}
