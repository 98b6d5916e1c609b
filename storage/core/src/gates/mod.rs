//! Gates are counters with which a flash sale can refuse a request at once. They never accept one.
//!
//! A request is accepted by a hold row, which an ordinary transaction commits while the caller has a [`GatePass`]. The
//! counters are not stored with the rows. They are loaded from them before the node is ready, and again when they may
//! be wrong. A [`GateEngine`] keeps them, in memory ([`MemoryGates`]) or in one place for all nodes.
//!
//! Only rows decide whether the hold row is written, so its transaction reads no gate. A load of counters that missed
//! the row is detected afterwards, when the pass is settled: it differs from the load that the units were taken from.

mod engine;
mod gate;
mod memory;
mod sync;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;
use promox_kernel::{Error, UserId};

use crate::StoreError;

pub use engine::{DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateUnits, TakeResult};
pub use gate::{Gate, GateRefusal};
pub use memory::MemoryGates;

/// Maximum attempts to load counters while units are returned concurrently. After them the rows decide alone.
const MAX_LOADS: usize = 4;

/// The counters of a group and facts about it, loaded from the rows.
#[derive(Clone, Debug)]
pub struct LoadedGates<M> {
    /// Facts about the group. They must not change while the group has gates.
    pub about: M,
    /// The counters of its gates, in order.
    pub gates: Vec<GateCounts>,
}

/// Units that the rows have returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnedUnits<K> {
    /// The group.
    pub group: K,
    /// The number of the gate in the group, counted from 0.
    pub gate: u32,
    /// The user.
    pub user: UserId,
    /// The number of units.
    pub quantity: u32,
}

/// Gates in groups. `K` is the key of a group, and `M` the type of the facts about it.
pub struct Gates<K, M> {
    engine: Arc<dyn GateEngine>,
    kind: &'static str,
    known: RwLock<HashMap<K, Arc<M>>>,
}

impl<K, M> fmt::Debug for Gates<K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gates of each {} in {:?}", self.kind, self.engine)
    }
}

impl<K: Copy + Eq + Hash + Into<i64>, M> Gates<K, M> {
    /// Creates gates whose counters `engine` keeps. `kind` distinguishes them from other gates in the same engine.
    pub fn new(engine: Arc<dyn GateEngine>, kind: &'static str) -> Self {
        Self { engine, kind, known: RwLock::default() }
    }

    /// Returns the key of a group in the engine.
    pub fn key(&self, group: K) -> GateKey {
        GateKey { kind: self.kind, id: group.into() }
    }

    /// Returns the facts about a group, which is loaded if this node does not know it.
    pub async fn open<E, F>(&self, group: K, load: impl Fn() -> F) -> Result<Arc<M>, E>
    where
        F: Future<Output = Result<LoadedGates<M>, E>>,
    {
        let known = self.known.read().get(&group).cloned();
        match known {
            Some(about) => Ok(about),
            None => self.load(group, load).await,
        }
    }

    async fn load<E, F>(&self, group: K, load: impl Fn() -> F) -> Result<Arc<M>, E>
    where
        F: Future<Output = Result<LoadedGates<M>, E>>,
    {
        let mut loads = 0;
        loop {
            let mark = self.engine.mark().await;
            let LoadedGates { about, gates } = load().await?;
            loads += 1;
            if self.engine.install(self.key(group), gates, mark).await || loads == MAX_LOADS {
                let about = Arc::new(about);
                self.known.write().insert(group, about.clone());
                return Ok(about);
            }
        }
    }

    /// Takes units, or returns why the gate refuses. Loads the counters first if the engine does not have them; the
    /// outer error is an error of that load.
    pub async fn take<E, F>(
        &self,
        (group, gate): (K, u32),
        user: UserId,
        quantity: u32,
        load: impl Fn() -> F,
    ) -> Result<Result<GatePass, GateRefusal>, E>
    where
        F: Future<Output = Result<LoadedGates<M>, E>>,
    {
        let units = GateUnits { group: self.key(group), gate, user, quantity };
        let mut result = self.engine.take(units).await;
        if result == TakeResult::Absent {
            self.load(group, load).await?;
            result = self.engine.take(units).await;
        }
        let from = match result {
            TakeResult::Taken(from) => Some(from),
            TakeResult::Refused(refusal) => return Ok(Err(refusal)),
            TakeResult::Absent | TakeResult::Unreachable => None,
        };
        Ok(Ok(GatePass { engine: self.engine.clone(), units, from, open: true }))
    }

    /// Drops a group. It is loaded from the rows when it is needed again.
    pub async fn forget(&self, group: K) {
        self.known.write().remove(&group);
        self.engine.forget(self.key(group)).await;
    }

    /// Must be called before a transaction that may return units, and settled with the result of the transaction.
    pub async fn doubt(&self) -> GateDoubt<'_, K, M> {
        GateDoubt { gates: self, open: Some(self.engine.doubt().await) }
    }
}

/// Units that were taken from a gate, or admitted without counters. It must be settled with [`GatePass::keep`] or
/// [`GatePass::release`]. If it is dropped because its caller was cancelled, the units are released in the background.
#[derive(Debug)]
#[must_use = "a pass that is dropped releases its units"]
pub struct GatePass {
    engine: Arc<dyn GateEngine>,
    units: GateUnits,
    from: Option<GateLoad>,
    open: bool,
}

impl GatePass {
    /// Settles the pass after the hold row has become durable. The units stay taken.
    pub async fn keep(mut self) {
        self.open = false;
        self.engine.keep(self.units, self.from).await;
    }

    /// Settles the pass when there is no hold row. The units are released.
    pub async fn release(mut self) {
        self.open = false;
        if let Some(from) = self.from {
            self.engine.release(self.units, from).await;
        }
    }
}

impl Drop for GatePass {
    fn drop(&mut self) {
        if let (true, Some(from)) = (self.open, self.from) {
            self.engine.abandon(self.units, from);
        }
    }
}

/// An in-doubt transaction, which may return units. If it is dropped unsettled, because its caller was cancelled, all
/// counters are dropped and loaded again.
#[derive(Debug)]
#[must_use = "an in-doubt transaction that is dropped drops all counters"]
pub struct GateDoubt<'a, K, M> {
    gates: &'a Gates<K, M>,
    open: Option<DoubtId>,
}

impl<K: Copy + Eq + Hash + Into<i64>, M> GateDoubt<'_, K, M> {
    /// Settles the transaction with the units that it has returned in the rows. If it is unknown whether it was
    /// committed, all counters are dropped.
    pub async fn settle(mut self, freed: &Result<Vec<ReturnedUnits<K>>, Error>) {
        let units = |returned: &ReturnedUnits<K>| GateUnits {
            group: self.gates.key(returned.group),
            gate: returned.gate,
            user: returned.user,
            quantity: returned.quantity,
        };
        let freed = match freed {
            Ok(freed) => freed.iter().map(units).collect(),
            Err(error) if StoreError::is_unknown(error) => return,
            Err(_) => Vec::new(),
        };
        if let Some(doubt) = self.open.take() {
            self.gates.engine.settle(doubt, freed).await;
        }
    }
}

impl<K, M> Drop for GateDoubt<'_, K, M> {
    fn drop(&mut self) {
        if let Some(doubt) = self.open.take() {
            self.gates.engine.abandon_doubt(doubt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gates_in_memory_conform() {
        let gates = Arc::new(MemoryGates::default());
        crate::conformance::check_gates([gates.clone(), gates]).await;
    }

    #[tokio::test]
    async fn remote_gates_conform() {
        let remote = crate::conformance::RemoteGates::default();
        crate::conformance::check_gates([remote.node(), remote.node()]).await;
    }

    #[test]
    fn concurrent_callers_never_take_more_than_there_is() {
        let gate = Gate::new(1_000, Some(2), []);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for user in 0..400 {
                        let _ = gate.take(UserId(user), 1);
                    }
                });
            }
        });
        let (left, users) = gate.state();
        assert_eq!((left, users.iter().map(|(_, taken)| taken).sum::<i64>()), (200, 800), "400 users, 2 each");
    }
}
