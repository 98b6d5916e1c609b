//! Chains on the embedded engine. Their links share a group, a power cut leaves all or none of them, and callers cannot
//! tell the difference from single transactions.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::Options;
use promox_embedded::disk::{Fault, FaultyDisk, MemoryDisk};
use promox_kernel::{Error, Kind};
use promox_storage::{Chain, Database, Db, MemoryEngine, Outcome, StoreError, Transaction, Tx};
use proptest::prelude::*;

use crate::crash;
use crate::rows::{Account, account, balances, cx, options};
use crate::stepped::Stepped;

impl Stepped {
    /// Runs a chain, and steps the writer once per link, which is enough for an engine without `group_chains`.
    async fn chain<T: Send + 'static>(&mut self, links: Vec<Transaction<T>>) -> Vec<Outcome<T>> {
        let (turns, cx) = (links.len(), cx(2_000));
        let mut chain = Chain::default();
        links.into_iter().for_each(|link| chain.then(link));
        let step = async {
            for _ in 0..turns {
                self.parts.writer.turn(Duration::ZERO);
                tokio::task::yield_now().await;
            }
        };
        // The chain is polled first each time, so that no turn of the writer finds an empty queue.
        tokio::join!(biased; chain.run(&cx), step).0
    }
}

/// Adds to a balance, and returns the new one. Refuses to make it negative.
fn add(tx: &mut Tx<'_>, id: i64, by: i64) -> Result<i64, Error> {
    let balance = tx.get::<Account>(&id)?.map_or(0, |row| row.balance) + by;
    if balance < 0 {
        return Err(Error::conflict("BELOW_ZERO", "The balance would be below zero."));
    }
    tx.put(&account(id, balance))?;
    Ok(balance)
}

fn links(db: &Db, changes: &[(i64, i64)]) -> Vec<Transaction<i64>> {
    changes.iter().map(|(id, by)| (*id, *by)).map(|(id, by)| db.transaction(move |tx| add(tx, id, by))).collect()
}

#[tokio::test]
async fn the_links_of_a_chain_share_a_group() {
    for (group_chains, groups) in [(true, 1), (false, 3)] {
        let disk = Arc::new(MemoryDisk::new());
        let mut store = Stepped::open_with(Options { group_chains, ..options(disk) }).unwrap();
        let db = store.db();
        let outcomes = store.chain(links(&db, &[(1, 5), (1, -2), (2, 7), (2, -8), (1, 1)])).await;
        assert_eq!(outcomes.iter().map(Outcome::is_done).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert_eq!(store.balances().await, [(1, 3), (2, 7)]);
        assert_eq!(store.parts.engine.metrics().groups, groups, "refused links write nothing");
    }
}

/// A failed read fails its link, and so ends the chain, even if the closure ignores the error.
#[tokio::test]
async fn a_failed_read_ends_the_chain() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (grouped, one_by_one) = (store.db(), MemoryEngine::new().database(Database::Ecommerce));
    let chain = |db: &Db| {
        let reading = db.transaction(|tx| {
            let value = add(tx, 2, 5)?;
            // More reads than a transaction may make.
            (0..30_000).for_each(|_| drop(tx.get::<Account>(&1)));
            Ok(value)
        });
        let [first, last] = [1, 3].map(|id| db.transaction(move |tx| add(tx, id, 5)));
        vec![first, reading, last]
    };
    let expected = [Some(Ok(5)), Some(Err("INTERNAL".to_owned())), None];
    assert_eq!(results(&store.chain(chain(&grouped)).await), expected);
    let mut alone = Chain::default();
    chain(&one_by_one).into_iter().for_each(|link| alone.then(link));
    assert_eq!(results(&alone.run(&cx(2_000)).await), expected);
    for db in [&grouped, &one_by_one] {
        assert_eq!(balances(db).await, [(1, 5)]);
    }
}

/// Moves money in two links. In a third of the chains, a later link is refused.
async fn move_in_links(store: &mut Stepped, number: i64) -> Result<(), StoreError> {
    let (from, to) = (number % crash::ACCOUNTS + 1, (number + 1) % crash::ACCOUNTS + 1);
    let more = if number % 3 == 0 { -1_000_000 } else { 0 };
    let db = store.db();
    let outcomes = store.chain(links(&db, &[(from, -number), (to, number), (from, more), (to, 0)])).await;
    let done = outcomes.iter().filter(|outcome| outcome.is_done()).count();
    assert_eq!(done, if more == 0 { 4 } else { 2 }, "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn a_power_cut_leaves_all_links_of_a_chain_or_none() {
    let run = crash::run(12, |disk| Arc::new(disk), move_in_links).await;
    crash::cut_at_every_byte(&run).await;
}

#[tokio::test]
async fn a_chain_is_not_acknowledged_if_the_disk_fails() {
    for (fault, kind) in [(Fault::Sync, Kind::Unavailable), (Fault::NoRoom, Kind::Full)] {
        let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
        let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
        let db = store.db();
        assert!(store.chain(links(&db, &[(1, 5)])).await[0].is_done());
        disk.fail(fault, 0, u64::MAX);
        for outcome in store.chain(links(&db, &[(1, 5), (1, 5), (2, 5)])).await {
            assert!(matches!(&outcome, Outcome::Refused(error) if error.kind() == kind), "{fault:?}: {outcome:?}");
        }
        // The next chain is refused before it runs.
        let outcomes = store.chain(links(&db, &[(1, 5), (1, 5)])).await;
        assert!(matches!(&outcomes[0], Outcome::Refused(error) if error.kind() == kind), "{fault:?}: {outcomes:?}");
        assert!(matches!(&outcomes[1], Outcome::Skipped), "{fault:?}: {outcomes:?}");
        assert_eq!(store.balances().await, [(1, 5)], "{fault:?}");
    }
}

#[tokio::test]
async fn a_chain_that_waited_too_long_is_not_run() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (db, clock, cx) = (store.db(), store.clock.clone(), cx(2_000));
    let mut chain = Chain::default();
    links(&db, &[(1, 5), (2, 5)]).into_iter().for_each(|link| chain.then(link));
    let late = async {
        clock.advance(Duration::from_secs(2));
        store.parts.writer.turn(Duration::ZERO);
    };
    let (outcomes, ()) = tokio::join!(chain.run(&cx), late);
    assert!(matches!(&outcomes[0], Outcome::Refused(error) if error.code() == "BUSY"), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Skipped), "{outcomes:?}");
    assert_eq!(store.balances().await, []);
}

/// Returns each link's value, or its refusal code, or `None` if it was skipped.
fn results(outcomes: &[Outcome<i64>]) -> Vec<Option<Result<i64, String>>> {
    let result = |outcome: &Outcome<i64>| match outcome {
        Outcome::Done(balance) => Some(Ok(*balance)),
        Outcome::Refused(error) => Some(Err(error.code().to_owned())),
        Outcome::Skipped => None,
    };
    outcomes.iter().map(result).collect()
}

/// Checks that chains have the same outcomes and rows as on an engine that runs their links one by one.
async fn compare_with_single_transactions(chains: Vec<Vec<(i64, i64)>>) {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (grouped, one_by_one) = (store.db(), MemoryEngine::new().database(Database::Ecommerce));
    for changes in chains {
        let together = store.chain(links(&grouped, &changes)).await;
        let mut chain = Chain::default();
        links(&one_by_one, &changes).into_iter().for_each(|link| chain.then(link));
        assert_eq!(results(&together), results(&chain.run(&cx(2_000)).await), "{changes:?}");
        assert_eq!(store.balances().await, balances(&one_by_one).await, "{changes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn chains_have_the_same_results_as_single_transactions(
        chains in prop::collection::vec(prop::collection::vec((1i64..4, -5i64..9), 1..20), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare_with_single_transactions(chains));
    }
}
