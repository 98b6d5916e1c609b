//! New indexes are built in chunks before the store serves requests. An older version refuses the data of a newer one.

use std::sync::Arc;

use promox_embedded::disk::{MemoryDisk, Persisted};
use promox_embedded::{EmbeddedEngine, OpenError};
use promox_storage::{Database, Record, Report, Schema, Tx};

use crate::rows::{account, options, schema};
use crate::stepped::Stepped;

/// The same table with more indexes, and another table, as in a later version.
mod later {
    use promox_storage::record;

    record! {
        /// An account.
        pub(super) struct Account in Ecommerce.accounts = 900, key(id: i64) {
            owner: String,
            balance: i64,
        }
        unique AccountByOwner = 901 (owner);
        index AccountByBalance = 902 (balance);
        index AccountByBalanceAndOwner = 903 (balance, owner);
    }

    record! {
        /// A table that only the later version has.
        pub(super) struct Note in Ecommerce.notes = 905, key(id: i64) {
            text: String,
        }
    }
}

/// The same table with a unique index that existing rows violate.
mod unique {
    use promox_storage::record;

    record! {
        /// An account.
        pub(super) struct Account in Ecommerce.accounts = 900, key(id: i64) {
            owner: String,
            balance: i64,
        }
        unique AccountByOwner = 901 (owner);
        index AccountByBalance = 902 (balance);
        unique AccountByUniqueBalance = 904 (balance);
    }
}

fn later_schema() -> Schema {
    Schema::new([&[later::Account::TABLE, later::Note::TABLE] as &[_]]).unwrap()
}

async fn filled() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for id in 1..=20 {
        store.write(move |tx| tx.insert(&account(id, id % 5))).await.unwrap();
        if id == 12 {
            store.freeze();
            store.checkpoint();
        }
    }
    drop(store);
    disk.copy()
}

fn check(disk: MemoryDisk) -> Result<(), OpenError> {
    let parts = EmbeddedEngine::assemble(options(Arc::new(disk)), &later_schema())?;
    let mut report = Report::default();
    let reader = promox_storage::Engine::snapshot(&*parts.engine, promox_storage::Database::Ecommerce);
    report.check_table(&*reader, later::Account::TABLE).unwrap();
    let (findings, checked) = report.finish();
    assert!(findings.is_empty() && checked > 60, "{findings:?}");
    let tx = Tx::unbounded(&*reader, Database::Ecommerce);
    let sorted = tx.scan_by::<later::AccountByBalanceAndOwner>().prefix(3_i64).collect(99).unwrap();
    let ids: Vec<i64> = sorted.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [13, 18, 3, 8], "in the order of the owner's text");
    Ok(())
}

#[tokio::test]
async fn a_new_index_contains_the_existing_rows() {
    let disk = filled().await;
    check(disk.copy()).unwrap();
    let disk = disk.copy();
    check(disk.clone()).unwrap();
    check(disk).unwrap();
}

#[tokio::test]
async fn an_interrupted_build_is_resumed() {
    let before = filled().await;
    let recording = before.copy();
    recording.record();
    check(recording.clone()).unwrap();
    for cut in 0..recording.log_len() {
        let disk = before.copy();
        recording.log().iter().take(cut).for_each(|op| disk.replay(op, Persisted::Whole));
        check(disk).unwrap();
    }
}

#[tokio::test]
async fn duplicates_prevent_a_unique_index_and_are_named() {
    let disk = filled().await;
    let schema = Schema::new([&[unique::Account::TABLE] as &[_]]).unwrap();
    let error = EmbeddedEngine::assemble(options(Arc::new(disk.copy())), &schema).err().unwrap();
    let OpenError::Duplicates { index, rows } = &error else { panic!("{error}") };
    assert_eq!(index, "AccountByUniqueBalance of ecommerce.accounts");
    assert!(rows.contains("01]") && rows.contains("06]"), "{rows}");
    assert_eq!(error.exit_code(), 65);
    Stepped::open(Arc::new(disk)).expect("the earlier version can still open it");
}

#[tokio::test]
async fn an_older_version_refuses_the_data_of_a_newer_one() {
    let disk = filled().await;
    check(disk.clone()).unwrap();
    let error = EmbeddedEngine::assemble(options(Arc::new(disk.copy())), &schema()).err().unwrap();
    assert!(matches!(&error, OpenError::TooNew { found, .. } if found.contains("AccountByBalanceAndOwner")), "{error}");
    assert_eq!(error.exit_code(), 65);
}
