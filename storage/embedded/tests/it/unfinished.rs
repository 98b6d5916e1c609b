//! Stores whose creation was interrupted, after or within any change on disk. They are refused by name, or created
//! again.

use std::path::Path;
use std::sync::Arc;

use promox_embedded::disk::{Disk, DiskOp, MemoryDisk, Persisted};
use promox_embedded::{OpenError, Options, restore};

use crate::layouts::LAYOUT;
use crate::rows::{account, database, open, options, schema, write};
use crate::stepped::Stepped;

fn expected_rows() -> Vec<(i64, i64)> {
    (1..=60).map(|id| (id, id * 3)).collect()
}

async fn backup() -> Vec<u8> {
    let engine = open(Arc::new(MemoryDisk::new())).unwrap();
    let db = database(&engine);
    for (id, balance) in expected_rows() {
        write(&db, move |tx| tx.insert(&account(id, balance))).await.unwrap();
    }
    let mut stream = Vec::new();
    engine.backup(&mut stream, |_| {}).unwrap();
    stream
}

fn options_for(disk: &MemoryDisk) -> Options {
    options(Arc::new(disk.clone()))
}

fn restored(disk: &MemoryDisk, stream: &[u8]) -> Result<(), OpenError> {
    restore(&options_for(disk), &schema(), Path::new("the backup"), &mut &*stream, |_| {}).map(drop)
}

/// Returns every state that a kill may leave: after each change, and in the middle of each write.
fn cuts(log: &[DiskOp]) -> impl Iterator<Item = MemoryDisk> + '_ {
    (0..=log.len()).flat_map(|count| {
        let disk = MemoryDisk::rebuild(&log[..count], |_, _| Persisted::Whole);
        let with_half_a_write = log.get(count).and_then(|op| {
            let DiskOp::Write(_, _, bytes) = op else { return None };
            let disk = disk.copy();
            disk.replay(op, Persisted::First(bytes.len() / 2));
            Some(disk)
        });
        [Some(disk), with_half_a_write].into_iter().flatten()
    })
}

#[tokio::test]
async fn an_interrupted_restore_is_refused_until_it_is_run_again() {
    let stream = backup().await;
    let disk = MemoryDisk::recording();
    restored(&disk, &stream).unwrap();
    let (mut empty, mut refused, mut finished) = (0, 0, 0);
    for cut in cuts(&disk.log()) {
        let before = cut.files();
        match Stepped::open(Arc::new(cut.copy())) {
            Err(error) => {
                assert!(matches!(&error, OpenError::NoStore { .. }) && error.exit_code() == 65, "{error}");
                assert!(error.to_string().contains("run promox restore again"), "{error}");
                restored(&cut, &stream).unwrap();
                refused += 1;
            }
            Ok(_) if before.is_empty() => {
                restored(&cut, &stream).unwrap();
                empty += 1;
            }
            Ok(_) => finished += 1,
        }
        let store = Stepped::open(Arc::new(cut.clone())).unwrap();
        assert_eq!(store.balances().await, expected_rows(), "{before:?}");
        assert!(cut.files().iter().all(|(path, _)| !path.ends_with("restoring")), "the marker is removed");
    }
    assert!(empty > 0 && refused > 10 && finished > 1, "{empty} {refused} {finished}");
}

#[tokio::test]
async fn an_interrupted_first_start_starts_over() {
    let disk = MemoryDisk::recording();
    drop(Stepped::open(Arc::new(disk.clone())).unwrap());
    let mut checked = 0;
    for cut in cuts(&disk.log()) {
        let mut store = Stepped::open(Arc::new(cut.clone())).unwrap();
        store.write(|tx| tx.insert(&account(1, 1))).await.unwrap();
        drop(store);
        let store = Stepped::open(Arc::new(cut.copy())).unwrap();
        assert_eq!(store.balances().await, [(1, 1)]);
        assert!(cut.files().iter().all(|(path, _)| !path.ends_with("starting")));
        checked += 1;
    }
    assert!(checked > 10);
}

#[tokio::test]
async fn other_directories_are_refused_and_left_unchanged() {
    let stream = backup().await;
    for name in ["holiday.jpg", "000000000001.journal", "data.new"] {
        let disk = MemoryDisk::new();
        disk.open(&Path::new("/store").join(name)).unwrap();
        let before = disk.files();
        for error in [Stepped::open(Arc::new(disk.clone())).err().unwrap(), restored(&disk, &stream).unwrap_err()] {
            assert!(error.exit_code() == 65 && error.to_string().contains(name), "{error}");
        }
        assert_eq!(disk.files(), before);
    }
    // A directory that file systems create in their root does not count.
    let disk = MemoryDisk::new();
    disk.open(Path::new("/store/lost+found")).unwrap();
    assert_eq!(Stepped::open(Arc::new(disk)).unwrap().balances().await, []);
}

#[tokio::test]
async fn a_store_that_lacks_a_file_is_not_replaced_by_an_empty_one() {
    for name in ["store", "data.redb"] {
        let disk = MemoryDisk::new();
        restored(&disk, &backup().await).unwrap();
        disk.remove(&Path::new("/store").join(name)).unwrap();
        let error = Stepped::open(Arc::new(disk)).err().unwrap();
        assert!(error.exit_code() == 65 && error.to_string().contains("it is missing, but"), "{error}");
    }
}

#[tokio::test]
async fn a_backup_of_another_layout_is_refused_by_name() {
    let stream = backup().await;
    let supported: u32 = LAYOUT.parse().unwrap();
    for layout in (1..supported).chain([supported + 1]) {
        // The header's block: length, checksum, magic, layout.
        let length = usize::try_from(u32::from_le_bytes(stream[..4].try_into().unwrap())).unwrap();
        let mut header = stream[8..8 + length].to_vec();
        header[8..12].copy_from_slice(&layout.to_le_bytes());
        let crc = crc32c(&header).to_le_bytes();
        let other = [&stream[..4], &crc, &header, &stream[8 + length..]].concat();
        let error = restored(&MemoryDisk::new(), &other).unwrap_err();
        let message = format!("the backup has layout {layout}, and this version reads layout {supported} only");
        assert!(error.exit_code() == 65 && error.to_string().contains(&message), "{error}");
    }
}

/// Computes CRC-32C bit by bit, independently of the engine's implementation.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

#[tokio::test]
async fn a_backup_with_bytes_behind_its_end_is_refused() {
    let stream = backup().await;
    let longer = [&stream[..], b"\0"].concat();
    let refused = restored(&MemoryDisk::new(), &longer).unwrap_err();
    assert!(refused.to_string().contains("goes on after its end"), "{refused}");
    restored(&MemoryDisk::new(), &stream).unwrap();
}
