//! Gates: counters in memory that let a flash sale say no at once.
//!
//! A gate may say no, never yes: the yes is the hold row, committed by an ordinary transaction while the [`Pass`] is held.
//! At the start gates are rebuilt from hold rows and purchases; nothing of them is written down.

mod gate;

/// What a gate is made of; its model check brings its own.
pub(crate) mod sync {
    pub(crate) use std::sync::atomic::AtomicI64;

    pub(crate) use parking_lot::Mutex;

    /// Locks.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> parking_lot::MutexGuard<'_, T> {
        mutex.lock()
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

pub use gate::{Gate, Pass, Refusal};

/// The gates of a node, by sale.
#[derive(Debug, Default)]
pub struct Gates(RwLock<BTreeMap<i64, Arc<Gate>>>);

impl Gates {
    /// No gates.
    pub fn new() -> Self {
        Self::default()
    }

    /// The gate of a sale, if it is open on this node.
    pub fn get(&self, sale: i64) -> Option<Arc<Gate>> {
        self.0.read().get(&sale).cloned()
    }

    /// Opens a sale's gate as its rows say, replacing what was there: `left` pieces, and what each user has taken.
    pub fn open(&self, sale: i64, left: i64, taken: impl IntoIterator<Item = (i64, i64)>) -> Arc<Gate> {
        let gate = Arc::new(Gate::new(left, taken));
        self.0.write().insert(sale, gate.clone());
        gate
    }

    /// Closes a sale's gate.
    pub fn close(&self, sale: i64) {
        self.0.write().remove(&sale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_is_not_kept_gives_back() {
        let gates = Gates::new();
        let gate = gates.open(7, 3, [(1, 1)]);
        assert_eq!(gate.take(1, 2, 2).err(), Some(Refusal::OverLimit { left: 1 }));
        assert_eq!(gate.take(2, 4, 9).err(), Some(Refusal::SoldOut { left: 3 }));
        drop(gate.take(2, 3, 3).unwrap());
        assert_eq!(gate.left(), 3);
        gate.take(2, 3, 3).unwrap().keep();
        assert_eq!((gate.left(), gate.taken_by(2), gate.taken_by(1)), (0, 3, 1));
        assert_eq!(gate.take(3, 1, 1).err(), Some(Refusal::SoldOut { left: 0 }));
        gate.give_back(2, 2);
        assert_eq!((gate.left(), gate.taken_by(2)), (2, 1));
        gates.close(7);
        assert!(gates.get(7).is_none());
    }

    #[test]
    fn quantities_that_make_no_sense_are_refused() {
        let gate = Gate::new(5, []);
        for quantity in [0, -1, i64::MIN] {
            assert_eq!(gate.take(1, quantity, 9).err(), Some(Refusal::OverLimit { left: 9 }));
        }
        assert_eq!(gate.take(1, i64::MAX, i64::MAX).err(), Some(Refusal::SoldOut { left: 5 }));
        assert_eq!(gate.left(), 5);
    }

    #[test]
    fn many_at_once_take_what_there_is_and_no_more() {
        let gate = Gate::new(1_000, []);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for user in 0..400 {
                        let _ = gate.take(user, 1, 2).map(Pass::keep);
                    }
                });
            }
        });
        let taken: i64 = (0..400).map(|user| gate.taken_by(user)).sum();
        assert_eq!(taken, 800, "400 users, 2 each");
        assert_eq!(gate.left(), 200);
    }
}
