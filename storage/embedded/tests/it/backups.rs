//! Backups of a store in use, and restores of complete and damaged backups.

use std::path::Path;
use std::sync::Arc;

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{EmbeddedEngine, OpenError, dump_journal, restore};
use promox_storage::Engine;

use crate::rows::{account, balances, database, open, options, schema, write};
use crate::stepped::Stepped;

async fn filled() -> Arc<EmbeddedEngine> {
    let engine = open(Arc::new(MemoryDisk::new())).unwrap();
    let db = database(&engine);
    for id in 1..=60 {
        write(&db, move |tx| tx.insert(&account(id, id * 3))).await.unwrap();
    }
    engine
}

fn restored(stream: &[u8]) -> Result<(MemoryDisk, promox_embedded::Copied), OpenError> {
    let disk = MemoryDisk::new();
    let options = options(Arc::new(disk.clone()));
    let copied = restore(&options, &schema(), Path::new("the backup"), &mut &*stream, |_| {})?;
    Ok((disk, copied))
}

#[tokio::test]
async fn a_backup_of_a_store_in_use_is_consistent() {
    let engine = filled().await;
    let db = database(&engine);
    let mut stream = Vec::new();
    let backup = {
        let engine = engine.clone();
        tokio::task::spawn_blocking(move || engine.backup(&mut stream, |_| {}).map(|copied| (copied, stream)))
    };
    let mut writes = 0;
    while !backup.is_finished() {
        writes += 1;
        write(&db, move |tx| tx.put(&account(1_000 + writes, 1))).await.unwrap();
    }
    let (copied, stream) = backup.await.unwrap().unwrap();
    let (disk, read) = restored(&stream).unwrap();
    assert_eq!(read, copied);
    let restored_store = open(Arc::new(disk)).unwrap();
    let found = balances(&database(&restored_store)).await;
    let all = balances(&db).await;
    assert!(found.len() >= 60 && found == all[..found.len()], "the rows are those of one moment");
    assert_eq!(restored_store.last_commit(), engine.last_commit());
    write(&database(&restored_store), |tx| tx.insert(&account(5_000, 5))).await.unwrap();
}

#[tokio::test]
async fn a_damaged_backup_leaves_no_store() {
    let engine = filled().await;
    let mut stream = Vec::new();
    engine.backup(&mut stream, |_| {}).unwrap();
    for end in (0..stream.len()).step_by(97) {
        let error = restored(&stream[..end]).err().unwrap();
        assert!(matches!(&error, OpenError::Damaged { file, .. } if file == Path::new("the backup")), "{error}");
    }
    for bit in (0..stream.len() * 8).step_by(1_009) {
        let mut broken = stream.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let error = restored(&broken).err().unwrap();
        assert_eq!(error.exit_code(), 65, "bit {bit}: {error}");
    }
    let disk = MemoryDisk::new();
    let into = options(Arc::new(disk.clone()));
    restore(&into, &schema(), Path::new("b"), &mut &stream[..stream.len() / 2], |_| {}).unwrap_err();
    restore(&into, &schema(), Path::new("b"), &mut &*stream, |_| {})
        .expect("the files of the failed restore are replaced");
    let error = restore(&into, &schema(), Path::new("b"), &mut &*stream, |_| {}).unwrap_err();
    assert!(error.to_string().contains("empty directory"), "{error}");
}

#[tokio::test]
async fn the_journal_is_dumped_as_text() {
    let disk = MemoryDisk::new();
    let mut store = Stepped::open(Arc::new(disk.clone())).unwrap();
    for id in 1..=3 {
        store.write(move |tx| tx.insert(&account(id, id))).await.unwrap();
    }
    store.write(|tx| tx.delete::<crate::rows::Account>(&2)).await.unwrap();
    drop(store);
    let mut text = Vec::new();
    dump_journal(&disk, Path::new("/store"), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("group ")).count(), 4);
    assert!(
        text.contains("group 4 at 1970-01-01T00:33:20.000Z") && text.contains("  900 8000000000000002 removed"),
        "{text}"
    );
    assert!(dump_journal(&disk, Path::new("/elsewhere"), &mut Vec::new()).is_err());
    assert!(disk.files().iter().all(|(path, _)| !path.starts_with("/elsewhere")), "a dump creates no files");
}
