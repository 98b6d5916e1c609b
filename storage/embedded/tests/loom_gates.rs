//! The gate, model-checked: every interleaving of a few takers keeps to the stock and to the limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

/// What the gate under test is made of.
mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::AtomicI64;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[path = "../src/gates/gate.rs"]
#[allow(dead_code, unreachable_pub, reason = "the gate's source, on loom's atomics")]
mod gate;

use loom::sync::Arc;
use loom::thread;

use gate::{Gate, Refusal};

fn gate(left: i64) -> Arc<Gate> {
    Arc::new(Gate::with_shards(1, left, []))
}

#[test]
fn the_last_piece_is_taken_once() {
    loom::model(|| {
        let gate = gate(1);
        let takers: Vec<_> = (1..=2)
            .map(|user| {
                let gate = gate.clone();
                thread::spawn(move || gate.take(user, 1, 1).map(gate::Pass::keep).is_ok())
            })
            .collect();
        let winners = takers.into_iter().map(|taker| taker.join().unwrap()).filter(|won| *won).count();
        assert_eq!((winners, gate.left()), (1, 0));
        assert_eq!(gate.taken_by(1) + gate.taken_by(2), 1);
    });
}

#[test]
fn one_user_at_once_stays_within_the_limit() {
    loom::model(|| {
        let gate = gate(4);
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let gate = gate.clone();
                thread::spawn(move || gate.take(7, 2, 3).map(gate::Pass::keep))
            })
            .collect();
        let results: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(results.contains(&Err(Refusal::OverLimit { left: 1 })));
        assert_eq!((gate.taken_by(7), gate.left()), (2, 2));
    });
}

#[test]
fn what_is_given_back_can_be_taken_and_nothing_is_lost() {
    loom::model(|| {
        let gate = gate(1);
        let other = gate.clone();
        let dropped = thread::spawn(move || drop(other.take(1, 1, 1)));
        let second = gate.take(2, 1, 1).map(gate::Pass::keep).is_ok();
        dropped.join().unwrap();
        assert_eq!(gate.left(), i64::from(!second));
        assert_eq!((gate.taken_by(1), gate.taken_by(2)), (0, i64::from(second)));
    });
}
