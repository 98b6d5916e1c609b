//! `tests/layouts` has a data directory of every layout. That of this version can be opened, all others are refused by
//! name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_embedded::disk::RealDisk;
use promox_embedded::{EmbeddedEngine, Options};
use promox_storage::{Database, Engine, Report};

use crate::rows::{Account, account, balances, database, options, schema, write};

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts")
}

fn options_for(dir: &Path) -> Options {
    Options { dir: dir.to_owned(), checkpoint_bytes: 2 << 10, ..options(Arc::new(RealDisk)) }
}

/// The content of every directory. Some rows are in the checkpoint, the others in the journal.
fn content() -> Vec<(i64, i64)> {
    (1..=40).map(|id| (id, id * 11)).collect()
}

/// The layout that this version reads and writes.
pub(crate) const LAYOUT: &str = "6";

#[tokio::test]
async fn the_layout_of_this_version_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    copy(&layouts().join(LAYOUT), dir.path());
    let engine = EmbeddedEngine::open(options_for(dir.path()), schema()).unwrap();
    let db = database(&engine);
    assert_eq!(balances(&db).await, content());
    let mut report = Report::default();
    report.check_table(&*engine.snapshot(Database::Ecommerce), <Account as promox_storage::Record>::TABLE).unwrap();
    assert_eq!(report.finish().0, []);
    write(&db, |tx| tx.insert(&account(41, 1))).await.unwrap();
}

#[test]
fn every_other_layout_is_refused_and_left_unchanged() {
    let mut refused = 0;
    for layout in fs::read_dir(layouts()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = layout.file_name().unwrap().to_str().unwrap();
        if name == LAYOUT {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        copy(&layout, dir.path());
        let error = EmbeddedEngine::open(options_for(dir.path()), schema()).unwrap_err();
        let message = format!("has layout {name}, and this version reads layout {LAYOUT} only: export with");
        assert!(error.exit_code() == 65 && error.to_string().contains(&message), "{error}");
        for part in ["store", "data.redb"] {
            assert_eq!(fs::read(dir.path().join(part)).unwrap(), fs::read(layout.join(part)).unwrap());
        }
        refused += 1;
    }
    assert!(refused > 0);
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

/// Creates the directory of the current layout, as a kill would leave it.
#[tokio::test]
#[ignore = "run manually when the layout changes"]
async fn create_the_directory_of_this_layout() {
    let temporary = tempfile::tempdir().unwrap();
    let engine = EmbeddedEngine::open(options_for(temporary.path()), schema()).unwrap();
    let db = database(&engine);
    for (id, balance) in content() {
        write(&db, move |tx| tx.insert(&account(id, balance))).await.unwrap();
        if id == 30 {
            drop(engine.long_read().unwrap());
        }
    }
    copy(temporary.path(), &layouts().join(LAYOUT));
    fs::remove_file(layouts().join(LAYOUT).join("lock")).unwrap();
}
