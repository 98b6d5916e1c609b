//! Journals that lost their end or a segment. Recovery compares the files with what their headers and seals state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_embedded::disk::{Disk, MemoryDisk};
use promox_embedded::{OpenError, reset_journal};
use promox_storage::{Engine, Report};

use crate::rows::{account, balances, database, open, options, schema, write};
use crate::stepped::Stepped;

const ROWS: i64 = 30;

fn expected_rows() -> Vec<(i64, i64)> {
    (1..=ROWS).map(|id| (id, id * 7)).collect()
}

/// Creates a store with one row per group, as a kill leaves it. The first rows are in the checkpoint.
async fn killed_store(checkpointed: i64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for (id, balance) in expected_rows() {
        store.write(move |tx| tx.insert(&account(id, balance))).await.unwrap();
        if id == checkpointed {
            store.freeze();
            store.checkpoint();
        }
    }
    disk.copy()
}

/// Creates a store with the same rows, as a clean stop leaves it.
async fn closed_store() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let engine = open(Arc::new(disk.clone())).unwrap();
    let db = database(&engine);
    for (id, balance) in expected_rows() {
        write(&db, move |tx| tx.insert(&account(id, balance))).await.unwrap();
    }
    drop((engine, db));
    disk.copy()
}

fn segments(disk: &MemoryDisk) -> Vec<(PathBuf, usize)> {
    disk.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".journal")).collect()
}

fn bytes(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read(0, &mut bytes).unwrap();
    bytes
}

/// Returns the current segment. A prepared segment may follow it, which is empty and not needed.
fn current(disk: &MemoryDisk) -> PathBuf {
    let mut all = segments(disk);
    let without = disk.copy();
    without.remove(&all.last().unwrap().0).unwrap();
    if Stepped::open(Arc::new(without)).is_ok() {
        all.pop();
    }
    all.pop().unwrap().0
}

/// Returns the end of the bytes that are not zero.
fn end(disk: &MemoryDisk, path: &Path) -> usize {
    bytes(disk, path).iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Checks that the store cannot be opened, and that the error names the file.
#[track_caller]
fn assert_damaged(disk: MemoryDisk, path: &Path, what: &str) {
    let error = Stepped::open(Arc::new(disk)).err().unwrap_or_else(|| panic!("{what}: the store was opened"));
    assert!(error.exit_code() == 65, "{what}: {error}");
    assert!(matches!(&error, OpenError::Damaged { file, .. } if file == path), "{what}: {error}");
}

#[tokio::test]
async fn a_segment_of_the_wrong_length_is_reported() {
    for disk in [killed_store(0).await, killed_store(20).await, closed_store().await] {
        for (path, len) in segments(&disk) {
            // Every byte of the header and the first frame, and a sample of the bytes after them.
            for left in (0..len).filter(|left| *left < 120 || *left > len - 20 || left % 29 == 0) {
                let broken = disk.copy();
                broken.open(&path).unwrap().set_len(left as u64).unwrap();
                assert_damaged(broken, &path, &format!("cut to {left} bytes"));
            }
            let longer = disk.copy();
            longer.open(&path).unwrap().set_len(len as u64 + 1).unwrap();
            assert_damaged(longer, &path, "a byte too long");
        }
        assert_eq!(Stepped::open(Arc::new(disk)).unwrap().balances().await, expected_rows());
    }
}

#[tokio::test]
async fn a_removed_or_renamed_segment_is_reported() {
    for disk in [killed_store(0).await, killed_store(20).await, closed_store().await] {
        let (all, current) = (segments(&disk), current(&disk));
        for (path, _) in all.iter().filter(|(path, _)| *path <= current) {
            let broken = disk.copy();
            broken.remove(path).unwrap();
            assert_damaged(broken, path, "removed");
        }
        if let [.., (one, _), (other, _)] = all.as_slice() {
            let broken = disk.copy();
            broken.rename(one, other).unwrap();
            assert_damaged(broken, one, "renamed");
        }
        let broken = disk.copy();
        all.iter().for_each(|(path, _)| broken.remove(path).unwrap());
        assert_damaged(broken, &all[0].0, "all removed");
    }
}

#[tokio::test]
async fn a_zeroed_end_is_reported_after_a_clean_stop() {
    let disk = closed_store().await;
    let path = current(&disk);
    let len = bytes(&disk, &path).len();
    for from in 0..end(&disk, &path) {
        let broken = disk.copy();
        broken.open(&path).unwrap().write(from as u64, &vec![0; len - from]).unwrap();
        assert_damaged(broken, &path, &format!("zeros from byte {from}"));
    }
}

#[tokio::test]
async fn a_reset_journal_continues_from_the_checkpoint() {
    for (disk, kept) in [(closed_store().await, ROWS), (killed_store(20).await, 20)] {
        let path = current(&disk);
        disk.open(&path).unwrap().set_len(100).unwrap();
        let options = options(Arc::new(disk.clone()));
        let end = reset_journal(&options, &schema(), false).unwrap();
        assert_eq!((end.group, end.time.seconds()), (kept.cast_unsigned(), 2_000));
        assert_damaged(disk.copy(), &path, "without discard nothing is changed");
        assert_eq!(reset_journal(&options, &schema(), true).unwrap(), end);
        let kept = &expected_rows()[..usize::try_from(kept).unwrap()];
        let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
        assert_eq!(store.balances().await, kept);
        store.write(|tx| tx.insert(&account(1_000, 1))).await.unwrap();
        drop(store);
        let found = Stepped::open(Arc::new(disk.copy())).unwrap().balances().await;
        assert_eq!(found, [kept, &[(1_000, 1)]].concat());
    }
    let empty = options(Arc::new(MemoryDisk::new()));
    assert_eq!(reset_journal(&empty, &schema(), true).unwrap_err().exit_code(), 65);
}

/// After a kill, zeros at the end may be a group whose write was interrupted. Everything before it is read.
#[tokio::test]
async fn a_zeroed_end_after_a_kill_loses_only_the_last_groups() {
    let disk = killed_store(20).await;
    for (path, len) in segments(&disk) {
        for from in (64..end(&disk, &path)).step_by(3) {
            let broken = disk.copy();
            broken.open(&path).unwrap().write(from as u64, &vec![0; len - from]).unwrap();
            match Stepped::open(Arc::new(broken)) {
                Ok(store) => {
                    let found = store.balances().await;
                    assert!(found.len() >= 20 && found == expected_rows()[..found.len()], "{found:?}");
                }
                Err(OpenError::Damaged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_was_closed_has_nothing_to_replay() {
    let disk = closed_store().await;
    let engine = open(Arc::new(disk)).unwrap();
    let metrics = engine.metrics();
    assert_eq!((metrics.position, metrics.applied_position), (ROWS.cast_unsigned(), ROWS.cast_unsigned()));
    assert_eq!(balances(&database(&engine)).await, expected_rows());
}

#[tokio::test]
async fn the_journal_of_an_open_store_is_audited() {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for (id, balance) in expected_rows() {
        store.write(move |tx| tx.insert(&account(id, balance))).await.unwrap();
    }
    let audit = |store: &Stepped| {
        let mut report = Report::default();
        store.parts.engine.audit(&mut report).unwrap();
        report.finish()
    };
    assert_eq!(audit(&store), (Vec::new(), 1));
    let (path, len) = segments(&disk)[1].clone();
    disk.open(&path).unwrap().set_len(len as u64 - 1).unwrap();
    let (findings, _) = audit(&store);
    assert!(findings[0].detail.contains(path.to_str().unwrap()), "{findings:?}");
    store.freeze();
    store.checkpoint();
    assert_eq!(audit(&store).0, [], "the checkpoint contains everything now");
}
