//! Flipped bits and missing files. Damaged data is reported or missing, and never read as other data.

use std::path::PathBuf;
use std::sync::Arc;

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{OpenError, Options};
use promox_kernel::Entropy;
use promox_storage::{Direction, KeyRange, Record, StoreError};

use crate::rows::{Account, AccountByOwner, account, options};
use crate::stepped::Stepped;

const ROWS: i64 = 30;

fn expected_rows() -> Vec<(i64, i64)> {
    (1..=ROWS).map(|id| (id, id * 7)).collect()
}

/// Creates a store with one row per group, whose journal has several segments.
async fn filled(checkpointed: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for (id, balance) in expected_rows() {
        store.write(move |tx| tx.insert(&account(id, balance))).await.unwrap();
    }
    if checkpointed {
        store.freeze();
        store.checkpoint();
    }
    drop(store);
    disk.copy()
}

/// Returns the paths and lengths of the files whose path contains `part`.
fn files(disk: &MemoryDisk, part: &str) -> Vec<(PathBuf, usize)> {
    disk.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains(part)).collect()
}

#[tokio::test]
async fn a_flipped_bit_in_the_journal_is_reported() {
    let disk = filled(false).await;
    let (mut reported, mut lost) = (0, 0);
    for (path, len) in files(&disk, ".journal") {
        for bit in (0..len * 8).step_by(5) {
            let broken = disk.copy();
            broken.flip(&path, bit);
            match Stepped::open(Arc::new(broken)) {
                Ok(store) => {
                    let found = store.balances().await;
                    // Damage to the last group cannot be distinguished from an unfinished write.
                    let without_last = found == expected_rows()[..expected_rows().len() - 1];
                    assert!(without_last || found == expected_rows(), "bit {bit} of {}: {found:?}", path.display());
                    lost += usize::from(without_last);
                }
                Err(OpenError::Damaged { file, offset, .. }) => {
                    assert!(offset.is_some() && files(&disk, ".journal").iter().any(|(path, _)| *path == file));
                    reported += 1;
                }
                Err(other) => panic!("bit {bit} of {}: {other}", path.display()),
            }
        }
    }
    assert!(reported > 20 * lost, "{reported} were reported, {lost} lost the last group");
}

#[tokio::test]
async fn a_flipped_bit_in_the_identity_is_reported() {
    let disk = filled(false).await;
    let path = PathBuf::from("/store/store");
    for bit in 0..files(&disk, "/store/store")[0].1 * 8 {
        let broken = disk.copy();
        broken.flip(&path, bit);
        let error = Stepped::open(Arc::new(broken)).err().unwrap();
        assert!(error.exit_code() == 65 && error.to_string().contains("/store/store"), "{error}");
    }
}

/// Reads everything and checks every row that is returned. Returns the first error.
async fn check_rows(store: &Stepped) -> Result<(), StoreError> {
    let reader = promox_storage::Engine::snapshot(&*store.parts.engine, promox_storage::Database::Ecommerce);
    for direction in [Direction::Forward, Direction::Backward] {
        for item in reader.scan(&KeyRange::all(Account::TABLE.space), direction) {
            let (key, row) = item?;
            let columns = promox_storage::decode_row(Account::TABLE.space, &key, &row)?;
            let row = Account::take_columns(columns).unwrap();
            assert_eq!(row, account(row.id, row.id * 7));
        }
    }
    store
        .db()
        .read(|tx| {
            for (id, balance) in expected_rows() {
                let row = tx.get::<Account>(&id)?;
                assert!(row.is_none_or(|row| row == account(id, balance)));
                let row = tx.get_by::<AccountByOwner>(format!("owner {id}").as_str())?;
                assert!(row.is_none_or(|row| row == account(id, balance)));
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_flipped_bit_in_the_checkpoint_never_gives_a_wrong_row() {
    let disk = filled(true).await;
    let (path, len) = files(&disk, "data.redb").remove(0);
    let entropy = Entropy::seeded(5);
    let mut detected = 0;
    // The small store uses only the first pages of the file, so half of the flips are there.
    let used = (len / 8).min(1 << 18);
    for round in 0..1_500 {
        let broken = disk.copy();
        let within = if round % 2 == 0 { used } else { len };
        let bit = usize::try_from(entropy.below(within as u64 * 8)).unwrap();
        broken.flip(&path, bit);
        match Stepped::open(Arc::new(broken)) {
            Ok(store) => match check_rows(&store).await {
                Ok(()) => {}
                Err(StoreError::Damaged { place } | StoreError::DamagedRow { place, .. }) => {
                    assert!(place.contains("data.redb, table "), "{place}");
                    detected += 1;
                }
                Err(StoreError::Io(_)) => detected += 1,
                Err(other) => panic!("bit {bit}: {other}"),
            },
            Err(error) => {
                assert!(error.to_string().contains("data.redb"), "bit {bit}: {error}");
                detected += 1;
            }
        }
    }
    assert!(detected > 10, "only {detected} of 1,500 flips were detected");
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let disk = filled(false).await;
    let segments = files(&disk, ".journal");
    assert!(segments.len() > 3);
    for (path, _) in &segments {
        let broken = disk.copy();
        promox_embedded::disk::Disk::remove(&broken, path).unwrap();
        let error = Stepped::open(Arc::new(broken)).err().unwrap();
        let reported = |file: &PathBuf, what: &str| file == path && what.contains("missing");
        assert!(matches!(&error, OpenError::Damaged { file, what, .. } if reported(file, what)), "{error}");
    }
}

#[tokio::test]
async fn a_missing_journal_is_reported() {
    let disk = filled(true).await;
    for (path, _) in files(&disk, ".journal") {
        promox_embedded::disk::Disk::remove(&disk, &path).unwrap();
    }
    let error = Stepped::open(Arc::new(disk)).err().unwrap();
    assert!(error.to_string().contains(".journal is damaged: it is missing"), "{error}");
}

#[tokio::test]
async fn files_of_another_store_are_refused() {
    let disk = filled(true).await;
    let other = MemoryDisk::new();
    drop(Stepped::open_with(Options { entropy: Entropy::seeded(8), ..options(Arc::new(other.clone())) }).unwrap());
    let (from, to) = (PathBuf::from("/store/store"), PathBuf::from("/store/store"));
    let mut identity = vec![0; 64];
    let file = promox_embedded::disk::Disk::open(&other, &from).unwrap();
    let len = file.read(0, &mut identity).unwrap();
    let file = promox_embedded::disk::Disk::open(&disk, &to).unwrap();
    file.write(0, &identity[..len]).unwrap();
    let error = Stepped::open(Arc::new(disk)).err().unwrap();
    assert!(error.to_string().contains("another store"), "{error}");
}
