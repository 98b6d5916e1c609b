//! A journal that lost its end: files are compared with what they say of themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_embedded::disk::{Disk, MemoryDisk};
use promox_embedded::{OpenError, reset_journal};
use promox_storage::{Engine, Report};

use crate::rows::{account, balances, database, open, options, schema, write};
use crate::stepped::Stepped;

const ROWS: i64 = 30;

fn truth() -> Vec<(i64, i64)> {
    (1..=ROWS).map(|id| (id, id * 7)).collect()
}

/// A store with one row per group, as a kill leaves it; the first rows are in the checkpoint.
async fn killed(checkpointed: i64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for (id, balance) in truth() {
        store.write(move |tx| tx.insert(&account(id, balance))).await.unwrap();
        if id == checkpointed {
            store.freeze();
            store.checkpoint();
        }
    }
    disk.copy()
}

/// A store with the same rows that was closed.
async fn closed() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let engine = open(Arc::new(disk.clone())).unwrap();
    let db = database(&engine);
    for (id, balance) in truth() {
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

/// The current segment. A prepared one after it may be missing: it is empty.
fn live(disk: &MemoryDisk) -> PathBuf {
    let mut all = segments(disk);
    let without = disk.copy();
    without.remove(&all.last().unwrap().0).unwrap();
    if Stepped::open(Arc::new(without)).is_ok() {
        all.pop();
    }
    all.pop().unwrap().0
}

/// The end of the bytes that are not zero.
fn end(disk: &MemoryDisk, path: &Path) -> usize {
    bytes(disk, path).iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[track_caller]
fn named(disk: MemoryDisk, path: &Path, what: &str) {
    let error = Stepped::open(Arc::new(disk)).err().unwrap_or_else(|| panic!("{what}: it was opened"));
    assert!(error.exit_code() == 65, "{what}: {error}");
    assert!(matches!(&error, OpenError::Damaged { file, .. } if file == path), "{what}: {error}");
}

#[tokio::test]
async fn a_segment_that_was_cut_at_any_byte_is_named() {
    for disk in [killed(0).await, killed(20).await, closed().await] {
        for (path, len) in segments(&disk) {
            // Every byte of the header and of the first frame, and every kind of bytes behind them.
            for left in (0..len).filter(|left| *left < 120 || *left > len - 20 || left % 29 == 0) {
                let broken = disk.copy();
                broken.open(&path).unwrap().set_len(left as u64).unwrap();
                named(broken, &path, &format!("{left} bytes left"));
            }
            let longer = disk.copy();
            longer.open(&path).unwrap().set_len(len as u64 + 1).unwrap();
            named(longer, &path, "a byte more");
        }
        assert_eq!(Stepped::open(Arc::new(disk)).unwrap().balances().await, truth());
    }
}

#[tokio::test]
async fn a_segment_that_is_gone_or_under_another_name_is_named() {
    for disk in [killed(0).await, killed(20).await, closed().await] {
        let (all, live) = (segments(&disk), live(&disk));
        for (path, _) in all.iter().filter(|(path, _)| *path <= live) {
            let broken = disk.copy();
            broken.remove(path).unwrap();
            named(broken, path, "gone");
        }
        if let [.., (one, _), (other, _)] = all.as_slice() {
            let broken = disk.copy();
            broken.rename(one, other).unwrap();
            named(broken, one, "renamed");
        }
        let broken = disk.copy();
        all.iter().for_each(|(path, _)| broken.remove(path).unwrap());
        named(broken, &all[0].0, "all gone");
    }
}

#[tokio::test]
async fn an_end_that_was_zeroed_after_a_clean_stop_is_named() {
    let disk = closed().await;
    let path = live(&disk);
    let len = bytes(&disk, &path).len();
    for from in 0..end(&disk, &path) {
        let broken = disk.copy();
        broken.open(&path).unwrap().write(from as u64, &vec![0; len - from]).unwrap();
        named(broken, &path, &format!("zeros from byte {from}"));
    }
}

#[tokio::test]
async fn a_store_goes_on_from_its_checkpoint_when_that_is_accepted() {
    for (disk, kept) in [(closed().await, ROWS), (killed(20).await, 20)] {
        let path = live(&disk);
        disk.open(&path).unwrap().set_len(100).unwrap();
        let options = options(Arc::new(disk.clone()));
        let end = reset_journal(&options, &schema(), false).unwrap();
        assert_eq!((end.group, end.time.seconds()), (kept.cast_unsigned(), 2_000));
        named(disk.copy(), &path, "looking changes nothing");
        assert_eq!(reset_journal(&options, &schema(), true).unwrap(), end);
        let kept = &truth()[..usize::try_from(kept).unwrap()];
        let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
        assert_eq!(store.balances().await, kept);
        store.write(|tx| tx.insert(&account(1_000, 1))).await.unwrap();
        drop(store);
        let found = Stepped::open(Arc::new(disk.copy())).unwrap().balances().await;
        assert_eq!(found, [kept, &[(1_000, 1)]].concat());
    }
    let nothing = options(Arc::new(MemoryDisk::new()));
    assert_eq!(reset_journal(&nothing, &schema(), true).unwrap_err().exit_code(), 65);
}

/// After a kill, an end of zeros may be a group that the power cut interrupted: everything before it is read.
#[tokio::test]
async fn an_end_that_was_zeroed_after_a_kill_is_shorter_or_named() {
    let disk = killed(20).await;
    for (path, len) in segments(&disk) {
        for from in (64..end(&disk, &path)).step_by(3) {
            let broken = disk.copy();
            broken.open(&path).unwrap().write(from as u64, &vec![0; len - from]).unwrap();
            match Stepped::open(Arc::new(broken)) {
                Ok(store) => {
                    let found = store.balances().await;
                    assert!(found.len() >= 20 && found == truth()[..found.len()], "{found:?}");
                }
                Err(OpenError::Damaged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_was_closed_has_nothing_to_replay() {
    let disk = closed().await;
    let engine = open(Arc::new(disk)).unwrap();
    let metrics = engine.metrics();
    assert_eq!((metrics.position, metrics.applied_position), (ROWS.cast_unsigned(), ROWS.cast_unsigned()));
    assert_eq!(balances(&database(&engine)).await, truth());
}

#[tokio::test]
async fn the_journal_of_a_live_store_is_audited() {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for (id, balance) in truth() {
        store.write(move |tx| tx.insert(&account(id, balance))).await.unwrap();
    }
    let audited = |store: &Stepped| {
        let mut report = Report::default();
        store.parts.engine.audit(&mut report).unwrap();
        report.finish()
    };
    assert_eq!(audited(&store), (Vec::new(), 1));
    let (path, len) = segments(&disk)[1].clone();
    disk.open(&path).unwrap().set_len(len as u64 - 1).unwrap();
    let (findings, _) = audited(&store);
    assert!(findings[0].detail.contains(path.to_str().unwrap()), "{findings:?}");
    store.freeze();
    store.checkpoint();
    assert_eq!(audited(&store).0, [], "the checkpoint has it all now");
}
