//! Gates: counters that let a flash sale refuse at once, but never accept.
//!
//! Accepting takes a hold row, committed by an ordinary transaction while its [`GatePass`] is held. The counters are not
//! stored with the rows: they are loaded from them, before the node is ready and again when in doubt. They are kept by a
//! [`GateEngine`], in memory ([`MemoryGates`]) or for all nodes in one place.
//!
//! The row is decided by rows alone, so its transaction asks no gate. What a load of counters may have missed is found
//! afterwards, when the pass is settled: by the load that its units were taken from.

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

pub use engine::{DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateUnits, Taking};
pub use gate::{Gate, GateRefusal};
pub use memory::MemoryGates;

/// How often counters are loaded again because something was returned meanwhile; then the rows decide alone.
const LOADS: usize = 4;

/// The counters of a group and facts about it, as the rows have them.
#[derive(Clone, Debug)]
pub struct LoadedGates<M> {
    /// What is known of the group. It must not change while the group has gates.
    pub about: M,
    /// Its gates, in their order.
    pub gates: Vec<GateCounts>,
}

/// Units that the rows have returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack<K> {
    /// The group.
    pub group: K,
    /// The gate in the group.
    pub gate: u32,
    /// The user.
    pub user: UserId,
    /// The number of units.
    pub quantity: u32,
}

/// Gates in groups by `K`, with facts `M` about each group.
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
    /// Gates whose counters an engine keeps. `kind` tells them from others in it.
    pub fn new(engine: Arc<dyn GateEngine>, kind: &'static str) -> Self {
        Self { engine, kind, known: RwLock::default() }
    }

    /// The key of a group in the engine.
    pub fn key(&self, group: K) -> GateKey {
        GateKey { kind: self.kind, id: group.into() }
    }

    /// The facts about a group, which is loaded if this node does not know it.
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
            if self.engine.install(self.key(group), gates, mark).await || loads == LOADS {
                let about = Arc::new(about);
                self.known.write().insert(group, about.clone());
                return Ok(about);
            }
        }
    }

    /// Takes units, or says why not. Counters that the engine does not have are loaded; the outer error is the load's.
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
        let mut taking = self.engine.take(units).await;
        if taking == Taking::Absent {
            self.load(group, load).await?;
            taking = self.engine.take(units).await;
        }
        let from = match taking {
            Taking::Taken(from) => Some(from),
            Taking::Refused(refusal) => return Ok(Err(refusal)),
            Taking::Absent => None,
        };
        Ok(Ok(GatePass { engine: self.engine.clone(), units, from, open: true }))
    }

    /// Drops a group: it is loaded from the rows when it is needed again.
    pub async fn forget(&self, group: K) {
        self.known.write().remove(&group);
        self.engine.forget(self.key(group)).await;
    }

    /// To be called before a transaction that may return units, and settled with its result.
    pub async fn doubt(&self) -> GateDoubt<'_, K, M> {
        GateDoubt { gates: self, open: Some(self.engine.doubt().await) }
    }
}

/// Units taken from a gate, or let through where there were no counters. Settle it; one that is dropped instead, because
/// its caller was cancelled, gives back in the background.
#[derive(Debug)]
#[must_use = "a pass that is dropped gives back"]
pub struct GatePass {
    engine: Arc<dyn GateEngine>,
    units: GateUnits,
    from: Option<GateLoad>,
    open: bool,
}

impl GatePass {
    /// The hold row is durable: the units stay taken.
    pub async fn keep(mut self) {
        self.open = false;
        self.engine.keep(self.units, self.from).await;
    }

    /// There is no hold row: the units are returned.
    pub async fn give_back(mut self) {
        self.open = false;
        if let Some(from) = self.from {
            self.engine.give_back(self.units, from).await;
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

/// A transaction that may return units. If it is dropped unsettled, because whoever should have updated the gates was
/// cancelled, all counters are loaded again.
#[derive(Debug)]
#[must_use = "a doubt that is dropped drops all counters"]
pub struct GateDoubt<'a, K, M> {
    gates: &'a Gates<K, M>,
    open: Option<DoubtId>,
}

impl<K: Copy + Eq + Hash + Into<i64>, M> GateDoubt<'_, K, M> {
    /// Returns what the transaction has returned in the rows. If it is unknown whether it was committed, the doubt stays.
    pub async fn settle(mut self, freed: &Result<Vec<GivenBack<K>>, Error>) {
        let units = |it: &GivenBack<K>| GateUnits {
            group: self.gates.key(it.group),
            gate: it.gate,
            user: it.user,
            quantity: it.quantity,
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
    async fn gates_that_are_far_away_conform() {
        let far = crate::conformance::FarGates::default();
        crate::conformance::check_gates([far.node(), far.node()]).await;
    }

    #[test]
    fn many_at_once_take_what_there_is_and_no_more() {
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
