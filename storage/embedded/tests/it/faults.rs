//! Failing disks. After a failed write or sync nothing more is acknowledged. A full disk only stops writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use promox_embedded::disk::{Fault, FaultyDisk, MemoryDisk};
use promox_embedded::{EmbeddedEngine, Options, Turn};
use promox_storage::{Lane, StoreError, Tx};

use crate::rows::{Account, account, balances, database, options, schema, write};
use crate::stepped::Stepped;

/// The number of transactions of a run. Every fourth is followed by a checkpoint.
const TRANSACTIONS: i64 = 14;

/// The outcome of a run.
struct Outcome {
    /// The rows that were acknowledged.
    acknowledged: Vec<(i64, i64)>,
    /// The row of the first transaction that was not acknowledged.
    attempted: Option<(i64, i64)>,
    /// The exit code with which the engine stopped, or 0.
    code: i32,
}

/// Inserts accounts until the disk fails.
async fn run(disk: &FaultyDisk) -> Outcome {
    let stopped = Arc::new(AtomicI32::new(0));
    let recorded = stopped.clone();
    let on_stop = Arc::new(move |stop: &promox_embedded::Stop| recorded.store(stop.code, Ordering::SeqCst));
    let opened = Stepped::open_with(Options { on_stop, ..options(Arc::new(disk.clone())) });
    let mut outcome = Outcome { acknowledged: Vec::new(), attempted: None, code: 0 };
    let Ok(mut store) = opened else { return outcome };
    for id in 1..=TRANSACTIONS {
        match store.write(move |tx| tx.insert(&account(id, id))).await {
            Ok(()) => {
                assert_eq!(outcome.attempted, None, "acknowledged after a failure");
                outcome.acknowledged.push((id, id));
            }
            Err(error) => {
                assert_eq!(error, StoreError::Stopped);
                outcome.attempted.get_or_insert((id, id));
            }
        }
        if id % 4 == 0 {
            store.freeze();
            store.checkpoint();
        }
    }
    outcome.code = stopped.load(Ordering::SeqCst);
    outcome
}

/// Lets each operation of a kind fail once, in a run of its own.
async fn fail_each_operation(fault: Fault) {
    for after in 0.. {
        let memory = MemoryDisk::new();
        let disk = FaultyDisk::over(Arc::new(memory.clone()));
        disk.fail(fault, after, 1);
        let outcome = run(&disk).await;
        if disk.seen() <= after {
            assert!(after > 20, "only {after} operations of the kind {fault:?}");
            return;
        }
        if outcome.attempted.is_some() {
            assert_eq!(outcome.code, 74, "{fault:?} after {after}");
        }
        let found = Stepped::open(Arc::new(memory.copy())).unwrap().balances().await;
        let with_attempted: Vec<_> = outcome.acknowledged.iter().copied().chain(outcome.attempted).collect();
        assert!(
            found == outcome.acknowledged || found == with_attempted,
            "{fault:?} after {after}: {found:?}, acknowledged {:?}",
            outcome.acknowledged
        );
    }
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_or_lost() {
    fail_each_operation(Fault::Write).await;
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_or_lost() {
    fail_each_operation(Fault::Sync).await;
}

#[tokio::test]
async fn transactions_of_a_group_whose_sync_fails_get_an_error() {
    let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    store.write(|tx| tx.insert(&account(1, 1))).await.unwrap();
    disk.fail(Fault::Sync, 0, u64::MAX);
    let (db, cx) = (store.db(), crate::rows::cx(1));
    // The refusal depends on a row of the same group, so it must not be sent before that row is durable.
    let (first, refusal, _) = tokio::join!(
        db.write(&cx, |tx| tx.insert(&account(2, 2))),
        db.write(&cx, |tx| match tx.get::<Account>(&2)? {
            Some(_) => Err::<(), _>(StoreError::Duplicate { index: "seen" }),
            None => Ok(()),
        }),
        async { store.parts.writer.turn(Duration::ZERO) }
    );
    assert_eq!((first, refusal), (Err(StoreError::Stopped), Err(StoreError::Stopped)));
    assert_eq!(store.balances().await, [(1, 1)], "rows that were not synced are not read");
    disk.stop_failing();
    assert_eq!(
        store.write(|tx| tx.insert(&account(3, 3))).await,
        Err(StoreError::Stopped),
        "the engine stays stopped even if the disk recovers"
    );
}

#[tokio::test]
async fn a_nearly_full_disk_stops_writes_but_not_reads() {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    store.write(|tx| tx.insert(&account(1, 1))).await.unwrap();
    disk.set_capacity(Some(0));
    store.checkpoint();
    assert_eq!(store.write(|tx| tx.insert(&account(2, 2))).await, Err(StoreError::Full));
    assert!(store.parts.engine.metrics().read_only);
    assert_eq!(store.balances().await, [(1, 1)]);
    disk.set_capacity(None);
    store.checkpoint();
    store.write(|tx| tx.insert(&account(2, 2))).await.unwrap();
    assert_eq!(store.balances().await, [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn a_group_without_space_for_a_segment_is_refused_and_dropped() {
    let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
    let mut store = Stepped::open_with(Options { reserve_bytes: 0, ..options(Arc::new(disk.clone())) }).unwrap();
    disk.fail(Fault::Full, 0, u64::MAX);
    let mut refused = None;
    let mut acknowledged = Vec::new();
    for id in 1..40 {
        match store.write(move |tx| tx.insert(&account(id, id))).await {
            Ok(()) if refused.is_none() => acknowledged.push((id, id)),
            other => {
                assert_eq!(other, Err(StoreError::Full));
                refused.get_or_insert(id);
            }
        }
    }
    assert!(refused.is_some());
    assert_eq!(store.balances().await, acknowledged);
    disk.stop_failing();
    store.checkpoint();
    store.write(|tx| tx.insert(&account(100, 100))).await.unwrap();
    acknowledged.push((100, 100));
    assert_eq!(store.balances().await, acknowledged);
}

#[tokio::test]
async fn a_copy_on_write_file_system_may_be_full_at_any_write() {
    for after in 0..30 {
        let memory = MemoryDisk::new();
        let disk = FaultyDisk::over(Arc::new(memory.clone()));
        let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
        let mut acknowledged = Vec::new();
        disk.fail(Fault::NoRoom, after, 3);
        for id in 1..40 {
            match store.write(move |tx| tx.insert(&account(id, id))).await {
                Ok(()) => acknowledged.push((id, id)),
                Err(error) => assert_eq!(error, StoreError::Full),
            }
            store.checkpoint();
        }
        assert!(acknowledged.len() < 39 && acknowledged.len() > 30, "{} of 39", acknowledged.len());
        assert_eq!(store.balances().await, acknowledged);
        drop(store);
        assert_eq!(Stepped::open(Arc::new(memory)).unwrap().balances().await, acknowledged);
    }
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_stops_the_engine() {
    let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    // More than one page, because redb caches the first page of a table.
    store.write(|tx| (1..=500).try_for_each(|id| tx.insert(&account(id, 1)))).await.unwrap();
    store.freeze();
    store.checkpoint();
    drop(store);
    let code = Arc::new(AtomicI32::new(0));
    let recorded = code.clone();
    let on_stop = Arc::new(move |stop: &promox_embedded::Stop| recorded.store(stop.code, Ordering::SeqCst));
    let mut store = Stepped::open_with(Options { on_stop, page_bytes: 0, ..options(Arc::new(disk.clone())) }).unwrap();
    disk.fail(Fault::Read, 0, u64::MAX);
    let read = store.db().read(|tx| tx.get::<Account>(&1)).await;
    assert!(matches!(&read, Err(StoreError::Io(text)) if text.contains("data.redb")), "{read:?}");
    store.checkpoint();
    assert_eq!(code.load(Ordering::SeqCst), 74);
    disk.stop_failing();
    assert_eq!(store.write(|tx| tx.insert(&account(501, 2))).await, Err(StoreError::Stopped));
    drop(store);
    assert_eq!(Stepped::open(Arc::new(disk)).unwrap().balances().await.len(), 500);
}

#[tokio::test]
async fn a_checkpoint_waits_while_the_disk_is_full() {
    let disk = FaultyDisk::over(Arc::new(MemoryDisk::new()));
    let options = Options { reserve_bytes: 0, checkpoint_bytes: 4 << 10, ..options(Arc::new(disk.clone())) };
    let engine = EmbeddedEngine::open(Options { segment_bytes: 1 << 20, ..options }, schema()).unwrap();
    let db = database(&engine);
    write(&db, |tx| tx.insert(&account(0, 0))).await.unwrap();
    disk.fail(Fault::Full, 0, u64::MAX);
    let mut expected = vec![(0, 0)];
    for id in 1..400 {
        match write(&db, move |tx| tx.insert(&account(id, id))).await {
            Ok(()) => expected.push((id, id)),
            Err(error) => assert_eq!(error, StoreError::Full),
        }
        assert_eq!(balances(&db).await, expected, "reads continue");
    }
    disk.stop_failing();
    while write(&db, |tx| tx.put(&account(400, 400))).await.is_err() {
        tokio::task::yield_now().await;
    }
    expected.push((400, 400));
    assert_eq!(balances(&db).await, expected);
}

#[tokio::test]
async fn a_transaction_that_waited_too_long_is_not_run() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (db, cx) = (store.db(), crate::rows::cx(1));
    let clock = store.clock.clone();
    let (result, turn) = tokio::join!(db.write(&cx, |tx| tx.insert(&account(1, 1))), async {
        clock.advance(Duration::from_millis(1_001));
        store.parts.writer.turn(Duration::ZERO)
    });
    assert_eq!((result, turn), (Err(StoreError::Busy), Turn::Worked));
    assert_eq!(store.balances().await, []);
}

#[tokio::test]
async fn bulk_work_may_wait_longer() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (db, cx) = (store.db(), crate::rows::cx(1));
    let clock = store.clock.clone();
    for (id, millis, expected) in [(1, 19_999, Ok(())), (2, 20_001, Err(StoreError::Busy))] {
        let work = move |tx: &mut Tx<'_>| tx.insert(&account(id, id));
        let (result, _) = tokio::join!(db.write_in(&cx, Lane::Bulk, work), async {
            clock.advance(Duration::from_millis(millis));
            store.parts.writer.turn(Duration::ZERO)
        });
        assert_eq!(result, expected);
    }
    assert_eq!(store.balances().await, [(1, 1)]);
}

#[tokio::test]
async fn a_full_queue_refuses_immediately() {
    let store = Stepped::open_with(Options { queue: 2, ..options(Arc::new(MemoryDisk::new())) }).unwrap();
    let (db, cx) = (store.db(), crate::rows::cx(1));
    let put = || db.write(&cx, |tx| tx.insert(&account(1, 1)));
    let (mut one, mut two) = (Box::pin(put()), Box::pin(put()));
    let waiting = std::future::poll_fn(|context| {
        std::task::Poll::Ready((one.as_mut().poll(context).is_pending(), two.as_mut().poll(context).is_pending()))
    });
    assert_eq!(waiting.await, (true, true));
    assert_eq!(put().await, Err(StoreError::Busy));
}

#[tokio::test]
async fn bulk_work_gets_a_quarter_of_a_group() {
    let mut store = Stepped::open(Arc::new(MemoryDisk::new())).unwrap();
    let (db, cx) = (store.db(), crate::rows::cx(1));
    let bulk = (0..300_i64).map(|id| {
        let lane = promox_storage::Lane::Bulk;
        Box::pin(db.write_in(&cx, lane, move |tx| tx.insert(&account(id, id))))
    });
    let mut bulk: Vec<_> = bulk.collect();
    std::future::poll_fn(|context| {
        assert!(bulk.iter_mut().all(|one| one.as_mut().poll(context).is_pending()));
        std::task::Poll::Ready(())
    })
    .await;
    let (normal, _) = tokio::join!(db.write(&cx, |tx| tx.insert(&account(1_000, 0))), async {
        store.parts.writer.turn(Duration::ZERO)
    });
    assert_eq!(normal, Ok(()), "it does not wait for the bulk work");
    assert_eq!(store.balances().await.len(), 257);
}
