//! Gates: in-memory counters that let a flash sale refuse at once, but never accept.
//!
//! Accepting takes a hold row, committed by an ordinary transaction while its [`GatePass`] is held. Gates are not
//! stored: they are loaded from those rows, before the node is ready and again when in doubt. Operations that are a
//! round trip to gates shared by nodes are `async` here too.

mod gate;
mod sync;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use promox_kernel::UserId;

pub use gate::{Gate, GateRefusal};

/// The gates of one group, those of one sale, with metadata `about` it.
#[derive(Debug)]
pub struct GateGroup<M> {
    about: M,
    gates: Vec<Gate>,
}

impl<M> GateGroup<M> {
    /// The gates and metadata loaded from the rows.
    pub fn new(about: M, gates: Vec<Gate>) -> Self {
        Self { about, gates }
    }

    /// The metadata.
    pub fn about(&self) -> &M {
        &self.about
    }

    /// A gate by its number.
    pub fn gate(&self, number: u32) -> Option<&Gate> {
        self.gates.get(usize::try_from(number).ok()?)
    }

    /// Takes units, which are returned unless the pass is used.
    #[allow(clippy::unused_async, reason = "gates shared by nodes need the network")]
    pub async fn take(self: &Arc<Self>, gate: u32, user: UserId, quantity: u32) -> Result<GatePass<M>, GateRefusal> {
        self.gate(gate).map_or(Ok(()), |gate| gate.take(user, quantity))?;
        Ok(GatePass { group: self.clone(), gate, user, quantity, used: false })
    }
}

/// Units taken from a gate; dropping it returns them.
#[derive(Debug)]
#[must_use = "a pass that is dropped gives back"]
pub struct GatePass<M> {
    group: Arc<GateGroup<M>>,
    gate: u32,
    user: UserId,
    quantity: u32,
    used: bool,
}

impl<M> GatePass<M> {
    /// The hold row is durable: the units stay taken.
    pub fn use_up(mut self) {
        self.used = true;
    }
}

impl<M> Drop for GatePass<M> {
    fn drop(&mut self) {
        if let (false, Some(gate)) = (self.used, self.group.gate(self.gate)) {
            gate.give(self.user, self.quantity);
        }
    }
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

/// All gates, in groups by `K`.
pub struct Gates<K, M> {
    groups: RwLock<HashMap<K, Arc<GateGroup<M>>>>,
    /// Counts returns, and units taken from gates that have been replaced: a gate loaded in the meantime may have
    /// missed them.
    given: AtomicU64,
}

impl<K, M> Default for Gates<K, M> {
    fn default() -> Self {
        Self { groups: RwLock::default(), given: AtomicU64::default() }
    }
}

impl<K, M> fmt::Debug for Gates<K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of gates", self.groups.read().len())
    }
}

impl<K: Eq + Hash, M> Gates<K, M> {
    /// A group that was installed and not dropped.
    pub fn get(&self, group: K) -> Option<Arc<GateGroup<M>>> {
        self.groups.read().get(&group).cloned()
    }

    /// The number of returns so far: read it before loading the rows of a group.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// Installs a group, unless there is one, or units were returned since `given`. The installed one, if any.
    #[allow(clippy::unused_async, reason = "gates shared by nodes need the network")]
    pub async fn install(&self, group: K, gates: &Arc<GateGroup<M>>, given: u64) -> Option<Arc<GateGroup<M>>> {
        let mut groups = self.groups.write();
        if let Some(known) = groups.get(&group) {
            // Others have taken from it since these were loaded.
            return Some(known.clone());
        }
        if self.given() != given {
            return None;
        }
        groups.insert(group, gates.clone());
        Some(gates.clone())
    }

    /// Units were taken from these gates for good. If the group has been replaced or is being loaded, the new gates may
    /// have missed them: they are loaded again.
    pub fn taken_from(&self, group: K, gates: &Arc<GateGroup<M>>) {
        let stands = |groups: &HashMap<K, Arc<GateGroup<M>>>| {
            groups.get(&group).is_some_and(|current| Arc::ptr_eq(current, gates))
        };
        if stands(&self.groups.read()) {
            return;
        }
        let mut groups = self.groups.write();
        if !stands(&groups) {
            self.given.fetch_add(1, Ordering::AcqRel);
            groups.remove(&group);
        }
    }

    /// Drops a group: it is loaded from the rows when it is needed again.
    pub fn forget(&self, group: K) {
        self.groups.write().remove(&group);
    }

    /// Returns the units that the rows have returned.
    #[allow(clippy::unused_async, reason = "gates shared by nodes need the network")]
    pub async fn give(&self, given: impl IntoIterator<Item = GivenBack<K>>) {
        let groups = self.groups.read();
        self.given.fetch_add(1, Ordering::AcqRel);
        for it in given {
            if let Some(gate) = groups.get(&it.group).and_then(|group| group.gate(it.gate)) {
                gate.give(it.user, it.quantity);
            }
        }
    }

    /// Call before rows return units, and settle it when the gates have been updated.
    pub fn in_doubt(&self) -> GateDoubt<'_, K, M> {
        GateDoubt(Some(self))
    }
}

/// Drops all gates when it is dropped: whoever should have updated them was cancelled.
#[derive(Debug)]
pub struct GateDoubt<'a, K, M>(Option<&'a Gates<K, M>>);

impl<K, M> GateDoubt<'_, K, M> {
    /// The gates are up to date, or there is nothing to update.
    pub fn settle(mut self) {
        self.0 = None;
    }
}

impl<K, M> Drop for GateDoubt<'_, K, M> {
    fn drop(&mut self) {
        if let Some(gates) = self.0 {
            gates.groups.write().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(left: i64, limit: Option<u32>) -> Arc<GateGroup<()>> {
        Arc::new(GateGroup::new((), vec![Gate::new(left, limit, [])]))
    }

    #[tokio::test]
    async fn a_pass_that_is_not_used_gives_back() {
        let group = group(3, Some(2));
        let ada = UserId(1);
        drop(group.take(0, ada, 2).await.unwrap());
        assert_eq!(group.gate(0).unwrap().state(), (3, vec![]));
        group.take(0, ada, 2).await.unwrap().use_up();
        assert_eq!(group.take(0, ada, 1).await.unwrap_err(), GateRefusal::LimitReached { limit: 2 });
        assert_eq!(group.take(0, UserId(2), 2).await.unwrap_err(), GateRefusal::SoldOut { left: 1 });
        assert_eq!(group.gate(0).unwrap().state(), (1, vec![(ada, 2)]));
    }

    #[tokio::test]
    async fn a_group_that_was_read_while_pieces_came_back_is_not_installed() {
        let gates = Gates::<i64, ()>::default();
        let given = gates.given();
        gates.give([GivenBack { group: 7, gate: 0, user: UserId(1), quantity: 1 }]).await;
        assert!(gates.install(7, &group(1, None), given).await.is_none() && gates.get(7).is_none());
        assert!(gates.install(7, &group(1, None), gates.given()).await.is_some());
        gates.give([GivenBack { group: 7, gate: 0, user: UserId(1), quantity: 2 }]).await;
        assert_eq!(gates.get(7).unwrap().gate(0).unwrap().state().0, 3);
        drop(gates.in_doubt());
        assert!(gates.get(7).is_none(), "in doubt, so it is read again");
    }

    #[tokio::test]
    async fn what_was_taken_from_other_gates_has_them_read_again() {
        let gates = Gates::<i64, ()>::default();
        let (first, second) = (group(3, None), group(3, None));
        let given = gates.given();
        gates.install(7, &first, given).await.unwrap();
        let standing = gates.install(7, &second, given).await.unwrap();
        assert!(Arc::ptr_eq(&standing, &first), "who reads them later takes from those that stand");
        first.take(0, UserId(1), 1).await.unwrap().use_up();
        gates.taken_from(7, &first);
        assert!(gates.get(7).is_some());
        gates.forget(7);
        let given = gates.given();
        first.take(0, UserId(2), 1).await.unwrap().use_up();
        gates.taken_from(7, &first);
        assert!(gates.install(7, &second, given).await.is_none(), "read before that was taken");
        gates.install(7, &second, gates.given()).await.unwrap();
        gates.taken_from(7, &first);
        assert!(gates.get(7).is_none(), "it may not know");
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
