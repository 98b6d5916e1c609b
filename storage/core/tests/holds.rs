//! The protocol of holds against its model, in sequences that shrink when they fail.

use promox_storage::conformance::{HoldAct, check_holds};
use promox_storage::{Database, Db, MemoryEngine};
use proptest::prelude::*;

fn scripts() -> impl Strategy<Value = Vec<(i64, HoldAct)>> {
    let act = prop::sample::select(HoldAct::ALL.to_vec());
    prop::collection::vec((0_i64..4, act), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_are_their_model(script in scripts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check_holds(&Db::new(MemoryEngine::new(), Database::Ecommerce), &script));
    }
}
