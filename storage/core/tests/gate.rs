//! Checks the gate with a model checker, which tries every interleaving of two threads.

use loom::sync::Arc;
use loom::thread;
use promox_kernel::UserId;

/// The atomics and locks that loom instruments.
mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicI64, Ordering};
}

#[path = "../src/gates/gate.rs"]
#[allow(unreachable_pub, missing_docs, reason = "the gate's source, on loom's atomics")]
mod gate;

use gate::{Gate, GateRefusal};

const ADA: UserId = UserId(1);
const BEN: UserId = UserId(2);

#[test]
fn the_last_unit_is_taken_once() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(1, Some(2), []));
        let other = gate.clone();
        let ben = thread::spawn(move || other.take(BEN, 1).is_ok());
        let ada = gate.take(ADA, 1).is_ok();
        assert!(ada ^ ben.join().unwrap());
        assert_eq!(gate.state().0, 0);
    });
}

#[test]
fn a_users_limit_holds_for_concurrent_requests() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(9, Some(2), [(ADA, 1)]));
        let other = gate.clone();
        let twin = thread::spawn(move || other.take(ADA, 1));
        let one = gate.take(ADA, 1);
        let twin = twin.join().unwrap();
        assert!(one.is_ok() ^ twin.is_ok());
        assert!([one, twin].contains(&Err(GateRefusal::LimitReached { limit: 2 })));
        assert_eq!(gate.state(), (8, vec![(ADA, 2)]));
    });
}

#[test]
fn released_units_can_be_taken_again() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(0, Some(1), [(ADA, 1)]));
        let other = gate.clone();
        let releasing = thread::spawn(move || other.release(ADA, 1));
        let ben = gate.take(BEN, 1);
        releasing.join().unwrap();
        let (left, users) = gate.state();
        match ben {
            Ok(()) => assert_eq!((left, users), (0, vec![(BEN, 1)])),
            Err(refusal) => assert_eq!((refusal, left, users), (GateRefusal::SoldOut { left: 0 }, 1, vec![])),
        }
    });
}
