//! Acknowledged changes survive closing and reopening a store.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::disk::{MemoryDisk, RealDisk};
use promox_embedded::{EmbeddedEngine, OpenError, Options};
use promox_storage::{Engine, StoreError};

use crate::rows::{account, balances, database, open, schema, write};

#[tokio::test]
async fn rows_survive_closing_and_opening() {
    let disk = Arc::new(MemoryDisk::new());
    for round in 0..4 {
        let engine = open(disk.clone()).unwrap();
        let db = database(&engine);
        assert_eq!(balances(&db).await, (0..round * 50).map(|id| (id, id)).collect::<Vec<_>>());
        for id in round * 50..round * 50 + 50 {
            write(&db, move |tx| tx.insert(&account(id, id))).await.unwrap();
        }
        assert_eq!(engine.last_commit().seconds(), 2_000);
    }
}

#[tokio::test]
async fn a_panic_in_a_transaction_is_an_error_and_others_continue() {
    let engine = open(Arc::new(MemoryDisk::new())).unwrap();
    let db = database(&engine);
    let result = write::<()>(&db, |_| panic!("a bug")).await;
    assert!(matches!(result, Err(StoreError::Io(text)) if text.contains("a bug")));
    write(&db, |tx| tx.insert(&account(1, 1))).await.unwrap();
}

#[tokio::test]
async fn a_directory_can_be_opened_only_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { disk: Arc::new(RealDisk), lock_wait: Duration::ZERO, ..Options::new(dir.path()) };
    let engine = EmbeddedEngine::open(options(), schema()).unwrap();
    write(&database(&engine), |tx| tx.insert(&account(1, 1))).await.unwrap();
    let second = EmbeddedEngine::open(options(), schema());
    let holder = format!("process {}", std::process::id());
    assert_eq!(second.unwrap_err(), OpenError::Locked { holder });
    drop(engine);
    let engine = EmbeddedEngine::open(options(), schema()).unwrap();
    assert_eq!(balances(&database(&engine)).await, [(1, 1)]);
}

#[tokio::test]
async fn a_transaction_may_hold_the_last_handle_of_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let options = |lock_wait| Options { disk: Arc::new(RealDisk), lock_wait, ..Options::new(dir.path()) };
    let engine = EmbeddedEngine::open(options(Duration::ZERO), schema()).unwrap();
    let held = engine.clone();
    let inserted =
        write(&database(&engine), move |tx| tx.insert(&account(held.metrics().groups.cast_signed(), 1))).await;
    inserted.unwrap();
    drop(engine);
    // The closure was dropped before its result was sent, so the store is closed and can be opened at once.
    let engine = EmbeddedEngine::open(options(Duration::ZERO), schema()).unwrap();
    let held = engine.clone();
    let db = database(&engine);
    tokio::select! {
        biased;
        _ = write(&db, move |tx| tx.insert(&account(held.metrics().groups.cast_signed() + 10, 1))) => {}
        () = std::future::ready(()) => {}
    }
    drop((engine, db));
    // The caller did not wait, so the writer's own thread drops the last handle, and the store can be opened soon.
    let engine = EmbeddedEngine::open(options(Duration::from_secs(5)), schema()).unwrap();
    assert_eq!(balances(&database(&engine)).await.len(), 2);
}
