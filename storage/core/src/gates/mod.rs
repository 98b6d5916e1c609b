//! Gates: counters in memory that let a flash sale say no at once, and never yes.
//!
//! The yes is a hold row, committed by an ordinary transaction while its [`GatePass`] is held. Gates are written down
//! nowhere: they are read from those rows, before the node is ready and again when in doubt. What would be a round trip to
//! gates that several nodes share is `async` here too.

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

/// The gates that belong together, those of one sale, and what is known `about` it.
#[derive(Debug)]
pub struct GateGroup<M> {
    about: M,
    gates: Vec<Gate>,
}

impl<M> GateGroup<M> {
    /// What the rows say.
    pub fn new(about: M, gates: Vec<Gate>) -> Self {
        Self { about, gates }
    }

    /// What is known about it.
    pub fn about(&self) -> &M {
        &self.about
    }

    /// A gate by its number.
    pub fn gate(&self, number: u32) -> Option<&Gate> {
        self.gates.get(usize::try_from(number).ok()?)
    }

    /// Takes pieces, which go back unless the pass is used.
    #[allow(clippy::unused_async, reason = "gates that nodes share are asked over the network")]
    pub async fn take(self: &Arc<Self>, gate: u32, user: UserId, quantity: u32) -> Result<GatePass<M>, GateRefusal> {
        self.gate(gate).map_or(Ok(()), |gate| gate.take(user, quantity))?;
        Ok(GatePass { group: self.clone(), gate, user, quantity, used: false })
    }
}

/// A way through a gate that was taken: dropped, it gives back.
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
    /// The hold row is durable: what was taken stays taken.
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

/// Pieces that the rows have given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack<K> {
    /// Of which group.
    pub group: K,
    /// Of which of its gates.
    pub gate: u32,
    /// Whose they were.
    pub user: UserId,
    /// How many.
    pub quantity: u32,
}

/// All gates, in groups by `K`.
pub struct Gates<K, M> {
    groups: RwLock<HashMap<K, Arc<GateGroup<M>>>>,
    /// Counts what was given back, and what was taken from gates that do not stand: a gate read meanwhile may have missed it.
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
    /// A group that was installed and not forgotten.
    pub fn get(&self, group: K) -> Option<Arc<GateGroup<M>>> {
        self.groups.read().get(&group).cloned()
    }

    /// How often pieces were given back so far: ask before reading the rows of a group.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// Sets a group up, unless there is one, or pieces were given back since `given`. The one that then stands, if any.
    #[allow(clippy::unused_async, reason = "gates that nodes share are told over the network")]
    pub async fn install(&self, group: K, gates: &Arc<GateGroup<M>>, given: u64) -> Option<Arc<GateGroup<M>>> {
        let mut groups = self.groups.write();
        if let Some(known) = groups.get(&group) {
            // Others have taken from it since these were read.
            return Some(known.clone());
        }
        if self.given() != given {
            return None;
        }
        groups.insert(group, gates.clone());
        Some(gates.clone())
    }

    /// Something was taken from these gates for good. When others stand for the group meanwhile, or are being read, they may
    /// not know of it: they are read again.
    pub fn taken_from(&self, group: K, gates: &Arc<GateGroup<M>>) {
        let stands =
            |groups: &HashMap<K, Arc<GateGroup<M>>>| groups.get(&group).is_some_and(|it| Arc::ptr_eq(it, gates));
        if stands(&self.groups.read()) {
            return;
        }
        let mut groups = self.groups.write();
        if !stands(&groups) {
            self.given.fetch_add(1, Ordering::AcqRel);
            groups.remove(&group);
        }
    }

    /// Drops a group: it is read from the rows when it is needed again.
    pub fn forget(&self, group: K) {
        self.groups.write().remove(&group);
    }

    /// Gives back what the rows have given back.
    #[allow(clippy::unused_async, reason = "gates that nodes share are told over the network")]
    pub async fn give(&self, given: impl IntoIterator<Item = GivenBack<K>>) {
        let groups = self.groups.read();
        self.given.fetch_add(1, Ordering::AcqRel);
        for it in given {
            if let Some(gate) = groups.get(&it.group).and_then(|group| group.gate(it.gate)) {
                gate.give(it.user, it.quantity);
            }
        }
    }

    /// Call before rows give pieces back, and tell it when the gates know.
    pub fn in_doubt(&self) -> GateDoubt<'_, K, M> {
        GateDoubt(Some(self))
    }
}

/// Forgets all gates when it is dropped: whoever was to tell them what the rows gave back has left half way.
#[derive(Debug)]
pub struct GateDoubt<'a, K, M>(Option<&'a Gates<K, M>>);

impl<K, M> GateDoubt<'_, K, M> {
    /// The gates know, or there is nothing to know.
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
