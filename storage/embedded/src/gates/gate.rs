//! One gate: an atomic stock, and what each user has taken in sharded maps.
//!
//! The stock is taken first, in one step that never goes below zero; the user's share is checked under its shard's lock.
//! A taker who is over the limit gives the stock back, so that another may for a moment be told "sold out" who need not
//! have been: a gate may say no.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::sync::{AtomicI64, Mutex, lock};

/// Maps that users are spread over.
const SHARDS: usize = 64;

/// The stock of a sale and its users' shares.
#[derive(Debug)]
pub struct Gate {
    left: AtomicI64,
    taken: Vec<Mutex<HashMap<i64, i64>>>,
}

/// Why a gate says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is not so much left.
    SoldOut {
        /// What was left.
        left: i64,
    },
    /// The user has taken too much.
    OverLimit {
        /// What the user may still take.
        left: i64,
    },
}

/// Leave to commit a hold row: dropped, it gives back what it took; kept, the row holds it.
#[must_use = "a pass that is dropped gives back"]
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    user: i64,
    quantity: i64,
}

impl Gate {
    /// A gate with so much left, and what each user has taken.
    pub fn new(left: i64, taken: impl IntoIterator<Item = (i64, i64)>) -> Self {
        Self::with_shards(SHARDS, left, taken)
    }

    /// The same with so many shards.
    pub(crate) fn with_shards(shards: usize, left: i64, taken: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let taken_by = (0..shards).map(|_| Mutex::new(HashMap::new())).collect();
        let gate = Self { left: AtomicI64::new(left), taken: taken_by };
        for (user, quantity) in taken {
            gate.with_user(user, |taken| *taken += quantity);
        }
        gate
    }

    /// Takes a quantity for a user who may take `limit` in all.
    pub fn take(&self, user: i64, quantity: i64, limit: i64) -> Result<Pass<'_>, Refusal> {
        if quantity <= 0 {
            return Err(Refusal::OverLimit { left: (limit - self.taken_by(user)).max(0) });
        }
        let enough = |left: i64| (left >= quantity).then(|| left - quantity);
        self.left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enough)
            .map_err(|left| Refusal::SoldOut { left: left.max(0) })?;
        let may = self.with_user(user, |taken| {
            let left = (limit - *taken).max(0);
            if quantity > left {
                return Err(Refusal::OverLimit { left });
            }
            *taken += quantity;
            Ok(())
        });
        if let Err(refusal) = may {
            self.left.fetch_add(quantity, Ordering::AcqRel);
            return Err(refusal);
        }
        Ok(Pass { gate: self, user, quantity })
    }

    /// Gives back what a hold that ended had taken.
    pub fn give_back(&self, user: i64, quantity: i64) {
        // The user's share first: who sees the stock again finds the share free too.
        self.with_user(user, |taken| *taken -= quantity);
        self.left.fetch_add(quantity, Ordering::AcqRel);
    }

    /// What is left.
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::Acquire)
    }

    /// What a user has taken.
    pub fn taken_by(&self, user: i64) -> i64 {
        self.with_user(user, |taken| *taken)
    }

    /// Runs `work` on what a user has taken, and forgets users who have taken nothing.
    fn with_user<T>(&self, user: i64, work: impl FnOnce(&mut i64) -> T) -> T {
        let shards = self.taken.len().max(1) as u64;
        let at = usize::try_from(user.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFFFF).unwrap_or(0);
        let Some(shard) = self.taken.get(at % usize::try_from(shards).unwrap_or(1)) else { return work(&mut 0) };
        let mut users = lock(shard);
        let taken = users.entry(user).or_insert(0);
        let result = work(taken);
        if *taken == 0 {
            users.remove(&user);
        }
        result
    }
}

impl Pass<'_> {
    /// The hold row is durable: what was taken stays taken.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.give_back(self.user, self.quantity);
    }
}
