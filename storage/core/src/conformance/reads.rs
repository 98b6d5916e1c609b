//! Cases of scans, pages, snapshots and long reads.

use std::sync::atomic::{AtomicUsize, Ordering};

use promox_kernel::{Cursor, Limit};

use super::tables::Book;
use super::{Store, cx};
use crate::db::read_from;
use crate::{Database, Latest, StoreError, Tx};

async fn fill(store: &Store, shelves: i64, places: u32) {
    store
        .write(move |tx| {
            for shelf in 1..=shelves {
                (0..places).try_for_each(|place| tx.insert(&book(shelf, place)))?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

fn book(shelf: i64, place: u32) -> Book {
    Book { shelf, place, title: format!("{shelf}/{place}") }
}

fn places(books: Vec<Book>) -> Vec<(i64, u32)> {
    books.into_iter().map(|book| (book.shelf, book.place)).collect()
}

pub(super) async fn scans_stay_within_their_range(store: Store) {
    fill(&store, 3, 6).await;
    store
        .read(|tx| {
            let of = |shelf: i64| (0..6).map(move |place| (shelf, place)).collect::<Vec<_>>();
            assert_eq!(places(tx.scan::<Book>().prefix(2_i64).collect(99)?), of(2));
            let mut backward = of(2);
            backward.reverse();
            assert_eq!(places(tx.scan::<Book>().prefix(2_i64).backward().collect(99)?), backward);
            assert_eq!(places(tx.scan::<Book>().prefix(2_i64).from(4_u32).collect(99)?), [(2, 4), (2, 5)]);
            assert_eq!(places(tx.scan::<Book>().prefix(2_i64).before(2_u32).collect(99)?), [(2, 0), (2, 1)]);
            let newest = tx.scan::<Book>().prefix(2_i64).before(4_u32).backward().collect(2)?;
            assert_eq!(places(newest), [(2, 3), (2, 2)]);
            assert_eq!(tx.scan::<Book>().prefix(9_i64).first()?, None);
            assert_eq!(tx.scan::<Book>().prefix(2_i64).from(4_u32).before(4_u32).first()?, None, "an empty range");
            assert_eq!(
                tx.scan::<Book>().prefix(2_i64).from(5_u32).before(2_u32).first()?,
                None,
                "a range that ends before it starts"
            );
            Ok(())
        })
        .await;
}

pub(super) async fn pages_continue_after_their_cursor(store: Store) {
    fill(&store, 1, 50).await;
    for backward in [false, true] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<Cursor>, 0);
        loop {
            let page = store
                .read(|tx| {
                    let scan = tx.scan::<Book>().prefix(1_i64);
                    let scan = if backward { scan.backward() } else { scan };
                    scan.page(Limit::default(), cursor.clone()).map_err(|error| StoreError::Io(error.to_string()))
                })
                .await;
            seen.extend(page.items.iter().map(|book| book.place));
            pages += 1;
            // Removing a row before the cursor must not shift the next page.
            let removed = *seen.first().unwrap();
            store.write(move |tx| tx.delete::<Book>(&(1, removed)).map(drop)).await.unwrap();
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<u32> = if backward { (1..50).collect() } else { (0..50).collect() };
        if backward {
            expected.reverse();
        }
        assert_eq!(seen, expected);
        assert_eq!(pages, 3);
    }
}

pub(super) async fn a_snapshot_does_not_change(store: Store) {
    fill(&store, 1, 3).await;
    let before = store.engine.snapshot(Database::Ecommerce);
    store.write(|tx| tx.delete::<Book>(&(1, 0)).and_then(|_| tx.insert(&book(1, 7)))).await.unwrap();
    let after = store.engine.snapshot(Database::Ecommerce);
    let all = |tx: &Tx<'_>| tx.scan::<Book>().collect(99);
    let before: Result<_, StoreError> = read_from(before, Database::Ecommerce, all).await;
    let after: Result<_, StoreError> = read_from(after, Database::Ecommerce, all).await;
    // What a remote engine fetches may be newer than the snapshot, but all of it is of one state.
    let (old, new) = (vec![(1, 0), (1, 1), (1, 2)], vec![(1, 1), (1, 2), (1, 7)]);
    let before = places(before.unwrap());
    assert!(before == old || before == new, "{before:?}");
    assert_eq!(places(after.unwrap()), new);
}

pub(super) async fn a_read_is_of_one_state(store: Store) {
    fill(&store, 1, 1).await;
    let moves = async {
        for place in 0..200 {
            let moved =
                move |tx: &mut Tx<'_>| tx.delete::<Book>(&(1, place)).and_then(|_| tx.insert(&book(1, place + 1)));
            store.write(moved).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..200 {
            // The second read depends on the first, so a remote engine fetches it later.
            let consistent = |tx: &Tx<'_>| match tx.scan::<Book>().first()? {
                Some(found) => Ok(tx.get::<Book>(&(found.shelf, found.place))?.is_some()),
                None => Ok(false),
            };
            assert!(store.read(consistent).await);
        }
    };
    tokio::join!(moves, reads);
}

pub(super) async fn a_read_after_a_reply_sees_the_change(store: Store) {
    for place in 0..200 {
        store.write(move |tx| tx.insert(&book(1, place))).await.unwrap();
        assert!(store.read(|tx| tx.get::<Book>(&(1, place))).await.is_some());
    }
}

pub(super) async fn a_latest_value_follows_the_commits(store: Store) {
    let (db, latest, reads) = (store.db(), Latest::default(), AtomicUsize::new(0));
    let count = |tx: &Tx<'_>| {
        reads.fetch_add(1, Ordering::Relaxed);
        Ok::<_, StoreError>(tx.scan::<Book>().collect(999)?.len())
    };
    for place in 0..50 {
        assert_eq!(latest.get(&db, count).await, Ok(place as usize));
        let before = reads.load(Ordering::Relaxed);
        assert_eq!(latest.get(&db, count).await, Ok(place as usize));
        if store.engine.commits().is_some() {
            assert_eq!(reads.load(Ordering::Relaxed), before, "nothing was committed, so nothing is read");
        }
        store.write(move |tx| tx.insert(&book(1, place))).await.unwrap();
    }
}

pub(super) async fn long_reads_are_complete_and_limited(store: Store) {
    fill(&store, 2, 20).await;
    let first = store.engine.long_read().unwrap();
    store.db().write(&cx(), |tx| tx.insert(&book(3, 0))).await.unwrap();
    let second = store.engine.long_read().unwrap();
    assert_eq!(store.engine.long_read().err(), Some(StoreError::Busy), "a third long read");
    let count = |reader: &dyn crate::Reader| {
        Tx::unbounded(reader, Database::Ecommerce).scan::<Book>().collect(999).unwrap().len()
    };
    assert_eq!((count(&*first), count(&*second)), (40, 41));
    drop(first);
    drop(store.engine.long_read().unwrap());
}
