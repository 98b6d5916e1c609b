//! Compares the hold protocol with a model, in random sequences of actions that shrink when they fail.

use promox_storage::conformance::{HoldAction, check_holds};
use promox_storage::{Database, Db, MemoryEngine};
use proptest::prelude::*;

fn scripts() -> impl Strategy<Value = Vec<(i64, HoldAction)>> {
    let action = prop::sample::select(HoldAction::ALL.to_vec());
    prop::collection::vec((0_i64..4, action), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn holds_match_the_model(script in scripts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check_holds(&Db::new(MemoryEngine::new(), Database::Ecommerce), &script));
    }
}
