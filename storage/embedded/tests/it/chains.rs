//! Chains on the embedded engine: what shares a group, what a power cut leaves of it, and that nobody can tell.

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
    /// One chain, for which the writer is stepped once; without `group_chains` once for each link.
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
        // The chain goes first each time: in turns of their own, the writer would spend some on nothing.
        tokio::join!(biased; chain.run(&cx), step).0
    }
}

/// Adds to a balance, which never falls below zero; what it is then.
fn add(tx: &mut Tx<'_>, id: i64, by: i64) -> Result<i64, Error> {
    let balance = tx.get::<Account>(&id)?.map_or(0, |row| row.balance) + by;
    if balance < 0 {
        return Err(Error::conflict("BELOW_ZERO", "There is not as much."));
    }
    tx.put(&account(id, balance))?;
    Ok(balance)
}

fn links(db: &Db, changes: &[(i64, i64)]) -> Vec<Transaction<i64>> {
    changes.iter().map(|(id, by)| (*id, *by)).map(|(id, by)| db.transaction(move |tx| add(tx, id, by))).collect()
}

#[tokio::test]
async fn a_chain_is_one_group() {
    for (group_chains, groups) in [(true, 1), (false, 3)] {
        let disk = Arc::new(MemoryDisk::new());
        let mut store = Stepped::open_with(Options { group_chains, ..options(disk) }).unwrap();
        let db = store.db();
        let outcomes = store.chain(links(&db, &[(1, 5), (1, -2), (2, 7), (2, -8), (1, 1)])).await;
        assert_eq!(outcomes.iter().map(Outcome::is_done).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert_eq!(store.balances().await, [(1, 3), (2, 7)]);
        assert_eq!(store.parts.engine.metrics().groups, groups, "a refusal writes nothing");
    }
}

/// A read that fails ends a link, whatever its closure makes of the error, and so its chain.
#[tokio::test]
async fn a_read_that_fails_ends_a_chain() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (grouped, in_turn) = (store.db(), MemoryEngine::new().database(Database::Ecommerce));
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
    assert_eq!(plain(&store.chain(chain(&grouped)).await), expected);
    let mut alone = Chain::default();
    chain(&in_turn).into_iter().for_each(|link| alone.then(link));
    assert_eq!(plain(&alone.run(&cx(2_000)).await), expected);
    for db in [&grouped, &in_turn] {
        assert_eq!(balances(db).await, [(1, 5)]);
    }
}

/// Moves money in two links, and refuses a third of the chains at a link after them.
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
async fn the_journal_cut_at_every_byte_of_a_chain_leaves_all_of_it_or_nothing() {
    let run = crash::run(12, |disk| Arc::new(disk), move_in_links).await;
    crash::cut_at_every_byte(&run).await;
}

#[tokio::test]
async fn a_chain_that_meets_a_disk_that_fails_is_not_acknowledged() {
    for (fault, kind) in [(Fault::Sync, Kind::Unavailable), (Fault::NoRoom, Kind::Full)] {
        let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
        let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
        let db = store.db();
        assert!(store.chain(links(&db, &[(1, 5)])).await[0].is_done());
        disk.fail(fault, 0, u64::MAX);
        for outcome in store.chain(links(&db, &[(1, 5), (1, 5), (2, 5)])).await {
            assert!(matches!(&outcome, Outcome::Refused(error) if error.kind() == kind), "{fault:?}: {outcome:?}");
        }
        // The next one is refused before it runs.
        let outcomes = store.chain(links(&db, &[(1, 5), (1, 5)])).await;
        assert!(matches!(&outcomes[0], Outcome::Refused(error) if error.kind() == kind), "{fault:?}: {outcomes:?}");
        assert!(matches!(&outcomes[1], Outcome::Skipped), "{fault:?}: {outcomes:?}");
        assert_eq!(store.balances().await, [(1, 5)], "{fault:?}");
    }
}

#[tokio::test]
async fn a_chain_that_waited_too_long_has_not_run() {
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

fn plain(outcomes: &[Outcome<i64>]) -> Vec<Option<Result<i64, String>>> {
    let plain = |outcome: &Outcome<i64>| match outcome {
        Outcome::Done(balance) => Some(Ok(*balance)),
        Outcome::Refused(error) => Some(Err(error.code().to_owned())),
        Outcome::Skipped => None,
    };
    outcomes.iter().map(plain).collect()
}

/// Any chains end in the same rows and outcomes as one link after the other on an engine that knows no chains.
async fn in_a_group_and_in_turn(chains: Vec<Vec<(i64, i64)>>) {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (grouped, in_turn) = (store.db(), MemoryEngine::new().database(Database::Ecommerce));
    for changes in chains {
        let together = store.chain(links(&grouped, &changes)).await;
        let mut chain = Chain::default();
        links(&in_turn, &changes).into_iter().for_each(|link| chain.then(link));
        assert_eq!(plain(&together), plain(&chain.run(&cx(2_000)).await), "{changes:?}");
        assert_eq!(store.balances().await, balances(&in_turn).await, "{changes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nobody_can_tell_whether_links_share_a_group(
        chains in prop::collection::vec(prop::collection::vec((1i64..4, -5i64..9), 1..20), 1..12),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(in_a_group_and_in_turn(chains));
    }
}
