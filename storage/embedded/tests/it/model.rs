//! Compares the store with a map, in both directions, after every step of random runs of transactions, checkpoints and
//! restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_embedded::disk::MemoryDisk;
use promox_storage::StoreError;
use proptest::prelude::*;

use crate::rows::{Account, AccountByBalance, AccountByOwner, account};
use crate::stepped::Stepped;

#[derive(Clone, Debug)]
enum Step {
    /// The puts and deletes of one transaction, and whether it commits.
    Write(Vec<(i64, Option<i64>)>, bool),
    Freeze,
    Checkpoint,
    Restart,
}

type Model = BTreeMap<i64, i64>;

fn step() -> impl Strategy<Value = Step> {
    let change = (0i64..40, prop::option::weighted(0.7, 0i64..10));
    prop_oneof![
        6 => (prop::collection::vec(change, 1..12), prop::bool::weighted(0.9)).prop_map(|(w, ok)| Step::Write(w, ok)),
        2 => Just(Step::Freeze),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ]
}

async fn check(store: &Stepped, model: &Model) {
    let rows: Vec<(i64, i64)> = model.iter().map(|(id, balance)| (*id, *balance)).collect();
    let mut by_balance = rows.clone();
    by_balance.sort_by_key(|(id, balance)| (*balance, *id));
    let pairs = |rows: Vec<Account>| rows.into_iter().map(|row| (row.id, row.balance)).collect::<Vec<_>>();
    store
        .db()
        .read(|tx| {
            assert_eq!(pairs(tx.scan::<Account>().collect(1_000)?), rows);
            let backward = pairs(tx.scan::<Account>().backward().collect(1_000)?);
            assert_eq!(backward, rows.iter().copied().rev().collect::<Vec<_>>());
            assert_eq!(pairs(tx.scan_by::<AccountByBalance>().collect(1_000)?), by_balance);
            let middle: Vec<_> = rows.iter().copied().filter(|(id, _)| (10..20).contains(id)).collect();
            assert_eq!(pairs(tx.scan::<Account>().from(10_i64).before(20_i64).collect(1_000)?), middle);
            for id in 0..40 {
                assert_eq!(tx.get::<Account>(&id)?.map(|row| row.balance), model.get(&id).copied());
                let by_owner = tx.get_by::<AccountByOwner>(format!("owner {id}").as_str())?;
                assert_eq!(by_owner.map(|row| row.id), model.get(&id).map(|_| id));
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

async fn run(steps: Vec<Step>) {
    let disk = Arc::new(MemoryDisk::new());
    let mut store = Stepped::open(disk.clone()).unwrap();
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Write(changes, commits) => write(&mut store, &mut model, changes, commits).await,
            Step::Freeze => store.freeze(),
            Step::Checkpoint => store.checkpoint(),
            Step::Restart => {
                drop(store);
                store = Stepped::open(disk.clone()).unwrap();
            }
        }
        check(&store, &model).await;
    }
}

async fn write(store: &mut Stepped, model: &mut Model, changes: Vec<(i64, Option<i64>)>, commits: bool) {
    let attempted = changes.clone();
    let result = store
        .write(move |tx| {
            for (id, balance) in &attempted {
                match balance {
                    Some(balance) => tx.put(&account(*id, *balance))?,
                    None => drop(tx.delete::<Account>(id)?),
                }
            }
            if commits { Ok(()) } else { Err(StoreError::Busy) }
        })
        .await;
    assert_eq!(result.is_ok(), commits);
    if commits {
        for (id, balance) in changes {
            match balance {
                Some(balance) => model.insert(id, balance),
                None => model.remove(&id),
            };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_store_equals_a_map_after_every_step(steps in prop::collection::vec(step(), 1..24)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}
