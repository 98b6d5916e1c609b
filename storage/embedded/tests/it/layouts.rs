//! A data directory of every released layout is kept and opened: version N opens the data of N−1.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_embedded::disk::RealDisk;
use promox_embedded::{EmbeddedEngine, Options};
use promox_storage::{Engine, Report};

use crate::rows::{Account, account, balances, database, options, schema, write};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts")
}

fn at(dir: &Path) -> Options {
    Options { dir: dir.to_owned(), checkpoint_bytes: 2 << 10, ..options(Arc::new(RealDisk)) }
}

/// What every kept directory holds: some rows in the checkpoint, the others in the journal.
fn content() -> Vec<(i64, i64)> {
    (1..=40).map(|id| (id, id * 11)).collect()
}

#[tokio::test]
async fn every_layout_that_was_released_is_opened() {
    let mut opened = 0;
    for layout in fs::read_dir(kept()).unwrap() {
        let dir = tempfile::tempdir().unwrap();
        copy(&layout.unwrap().path(), dir.path());
        let engine = EmbeddedEngine::open(at(dir.path()), schema()).unwrap();
        let db = database(&engine);
        assert_eq!(balances(&db).await, content());
        let mut report = Report::default();
        report.check_table(&*engine.snapshot(), <Account as promox_storage::Record>::TABLE).unwrap();
        assert_eq!(report.finish().0, []);
        write(&db, |tx| tx.insert(&account(41, 1))).await.unwrap();
        opened += 1;
    }
    assert!(opened > 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Makes the directory of this version's layout, when there is a new one.
#[tokio::test]
#[ignore = "run by hand when the layout changes"]
async fn keep_this_layout() {
    let name = std::env::var("PROMOX_LAYOUT").unwrap();
    let dir = kept().join(name);
    let engine = EmbeddedEngine::open(at(&dir), schema()).unwrap();
    let db = database(&engine);
    for (id, balance) in content() {
        write(&db, move |tx| tx.insert(&account(id, balance))).await.unwrap();
        if id == 30 {
            drop(engine.long_read().unwrap());
        }
    }
}
