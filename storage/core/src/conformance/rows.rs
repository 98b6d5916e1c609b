//! Cases of rows and index entries, and of the errors that fail a transaction.

use super::Store;
use super::tables::{Book, Shelf, ShelfByAisle, ShelfByKeeper, ShelfByMark};
use crate::{Prepared, StoreError};

pub(super) fn shelf(id: i64, aisle: &str) -> Shelf {
    Shelf { id, aisle: aisle.to_owned(), keeper: None, mark: None }
}

fn shelf_with_keeper(id: i64, aisle: &str, keeper: i64) -> Shelf {
    Shelf { keeper: Some(keeper), ..shelf(id, aisle) }
}

fn shelf_with_mark(id: i64, aisle: &str, mark: &str) -> Shelf {
    Shelf { mark: Some(mark.to_owned()), ..shelf(id, aisle) }
}

pub(super) async fn written_rows_are_read(store: Store) {
    store.write(|tx| tx.insert(&shelf(1, "A"))).await.unwrap();
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&1)).await, Some(shelf(1, "A")));
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&2)).await, None);
    store.write(|tx| tx.put(&shelf(1, "B"))).await.unwrap();
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&1)).await, Some(shelf(1, "B")));
    assert!(store.write(|tx| tx.delete::<Shelf>(&1)).await.unwrap());
    assert!(!store.write(|tx| tx.delete::<Shelf>(&1)).await.unwrap());
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&1)).await, None);
    store.write(|tx| tx.insert(&shelf(1, "C"))).await.unwrap();
}

pub(super) async fn prepared_rows_behave_like_other_rows(store: Store) {
    store
        .write(|tx| {
            tx.insert_prepared(&Prepared::of(&shelf_with_keeper(1, "A", 7)))?;
            tx.insert(&shelf(2, "B"))
        })
        .await
        .unwrap();
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("A")).await, Some(shelf_with_keeper(1, "A", 7)));
    let swap = |old, new| store.write(move |tx| tx.swap_prepared(&Prepared::of(&old), &Prepared::of(&new)));
    assert_eq!(swap(shelf(1, "A"), shelf(1, "C")).await, Ok(false), "the stored row differs");
    assert_eq!(swap(shelf(3, "A"), shelf(3, "C")).await, Ok(false), "no row is stored");
    assert_eq!(swap(shelf_with_keeper(1, "A", 7), shelf(2, "C")).await, Ok(false), "the keys differ");
    assert_eq!(swap(shelf_with_keeper(1, "A", 7), shelf_with_keeper(1, "C", 8)).await, Ok(true));
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("A")).await, None);
    assert_eq!(store.read(|tx| tx.scan_by::<ShelfByKeeper>().collect(9)).await, [shelf_with_keeper(1, "C", 8)]);
    let duplicate = |index| Err(StoreError::Duplicate { index });
    let insert = |row| store.write(move |tx| tx.insert_prepared(&Prepared::of(&row)));
    assert_eq!(insert(shelf(1, "D")).await, duplicate("conformance_shelves"));
    assert_eq!(insert(shelf(3, "C")).await, duplicate("ShelfByAisle"));
    assert_eq!(
        swap(shelf_with_keeper(1, "C", 8), shelf(1, "B")).await,
        Err(StoreError::Duplicate { index: "ShelfByAisle" })
    );
}

pub(super) async fn an_error_drops_everything(store: Store) {
    store.write(|tx| tx.insert(&shelf(1, "A"))).await.unwrap();
    let refused = store
        .write(|tx| {
            tx.put(&shelf(1, "B"))?;
            tx.insert(&shelf(2, "C"))?;
            tx.delete::<Shelf>(&1)?;
            Err::<(), _>(StoreError::Busy)
        })
        .await;
    assert_eq!(refused, Err(StoreError::Busy));
    assert_eq!(store.read(|tx| tx.scan::<Shelf>().collect(9)).await, [shelf(1, "A")]);
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("C")).await, None);
}

pub(super) async fn own_changes_are_seen(store: Store) {
    store.write(|tx| (1..=3).try_for_each(|place| tx.insert(&book(place)))).await.unwrap();
    store
        .write(|tx| {
            tx.delete::<Book>(&(1, 2))?;
            tx.insert(&book(4))?;
            tx.put(&Book { title: "new".to_owned(), ..book(1) })?;
            assert_eq!(tx.get::<Book>(&(1, 2))?, None);
            let titles = |books: Vec<Book>| books.into_iter().map(|book| book.title).collect::<Vec<_>>();
            assert_eq!(titles(tx.scan::<Book>().prefix(1_i64).collect(9)?), ["new", "3", "4"]);
            assert_eq!(titles(tx.scan::<Book>().backward().collect(9)?), ["4", "3", "new"]);
            assert_eq!(titles(tx.scan_by::<super::tables::BookByTitle>().collect(9)?), ["3", "4", "new"]);
            Ok(())
        })
        .await
        .unwrap();
}

fn book(place: u32) -> Book {
    Book { shelf: 1, place, title: place.to_string() }
}

pub(super) async fn index_entries_move(store: Store) {
    store.write(|tx| tx.insert(&shelf_with_keeper(1, "A", 7))).await.unwrap();
    store.write(|tx| tx.put(&shelf_with_keeper(1, "B", 8))).await.unwrap();
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("A")).await, None);
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("B")).await, Some(shelf_with_keeper(1, "B", 8)));
    assert_eq!(store.read(|tx| tx.scan_by::<ShelfByKeeper>().prefix(Some(7_i64)).first()).await, None);
    assert_eq!(
        store.read(|tx| tx.scan_by::<ShelfByKeeper>().prefix(Some(8_i64)).first()).await,
        Some(shelf_with_keeper(1, "B", 8))
    );
    store.write(|tx| tx.delete::<Shelf>(&1)).await.unwrap();
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("B")).await, None);
    assert_eq!(store.read(|tx| tx.scan_by::<ShelfByKeeper>().first()).await, None);
}

pub(super) async fn a_duplicate_fails_the_transaction(store: Store) {
    store.write(|tx| tx.insert(&shelf(1, "A"))).await.unwrap();
    let by_index = store.write(|tx| tx.insert(&shelf(2, "A"))).await;
    assert_eq!(by_index, Err(StoreError::Duplicate { index: "ShelfByAisle" }));
    let by_key = store.write(|tx| tx.insert(&shelf(1, "Z"))).await;
    assert!(matches!(by_key, Err(StoreError::Duplicate { .. })), "{by_key:?}");
    let ignored = store
        .write(|tx| {
            tx.insert(&shelf(3, "C"))?;
            let _ = tx.insert(&shelf(4, "C"));
            tx.put(&shelf(5, "E"))
        })
        .await;
    assert_eq!(
        ignored,
        Err(StoreError::Duplicate { index: "ShelfByAisle" }),
        "an ignored error fails the transaction too"
    );
    assert_eq!(store.read(|tx| tx.scan::<Shelf>().collect(9)).await, [shelf(1, "A")]);
}

pub(super) async fn unique_values_can_be_reused(store: Store) {
    store.write(|tx| tx.insert(&shelf(1, "A")).and_then(|()| tx.insert(&shelf(2, "B")))).await.unwrap();
    store
        .write(|tx| {
            tx.put(&shelf(1, "parked"))?;
            tx.put(&shelf(2, "A"))?;
            tx.put(&shelf(1, "B"))
        })
        .await
        .unwrap();
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("A")).await.map(|row| row.id), Some(2));
    store.write(|tx| tx.delete::<Shelf>(&2).and_then(|_| tx.insert(&shelf(3, "A")))).await.unwrap();
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("A")).await.map(|row| row.id), Some(3));
    assert_eq!(store.read(|tx| tx.get_by::<ShelfByAisle>("parked")).await, None);
}

pub(super) async fn nulls_never_collide(store: Store) {
    store.write(|tx| (1..=3).try_for_each(|id| tx.insert(&shelf(id, &id.to_string())))).await.unwrap();
    store.write(|tx| tx.insert(&shelf_with_mark(4, "4", "m"))).await.unwrap();
    let second = store.write(|tx| tx.put(&shelf_with_mark(1, "1", "m"))).await;
    assert_eq!(second, Err(StoreError::Duplicate { index: "ShelfByMark" }));
    let marked_shelves = store.read(|tx| tx.scan_by::<ShelfByMark>().collect(9)).await;
    assert_eq!(marked_shelves, [shelf_with_mark(4, "4", "m")], "a null is in no index");
    store.write(|tx| tx.put(&shelf(4, "4")).and_then(|()| tx.put(&shelf_with_mark(1, "1", "m")))).await.unwrap();
}
