//! Tests of transactions on the memory engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use promox_kernel::{Clock, Cx, Entropy, Limit, Node, Timestamp};
use promox_storage::{
    Before, Database, Db, Direction, Item, KeyRange, MemoryEngine, Reader, Space, Stamp, StoreError, Tx, record,
};

record! {
    /// A shelf.
    struct Shelf in Ecommerce.shelves = 900, key(id: i64) {
        aisle: String,
        keeper: Option<i64>,
    }
    unique ShelfByAisle = 901 (aisle);
    index ShelfByKeeper = 902 (keeper);
}

record! {
    /// A book on a shelf.
    struct Book in Ecommerce.books = 903, key(shelf: i64, place: u32) {
        title: String,
    }
}

fn shelf(id: i64, aisle: &str, keeper: Option<i64>) -> Shelf {
    Shelf { id, aisle: aisle.to_owned(), keeper }
}

async fn write(
    db: &Db,
    work: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
    db.write(&Cx::system(&node, "test", Duration::from_secs(1)), work).await
}

fn db() -> Db {
    let engine: Arc<MemoryEngine> = MemoryEngine::new();
    engine.database(Database::Ecommerce)
}

#[tokio::test]
async fn a_changed_row_moves_its_index_entries_without_being_read_again() {
    let db = db();
    write(&db, |tx| tx.insert(&shelf(1, "A", Some(7)))).await.unwrap();
    write(&db, |tx| tx.insert(&shelf(2, "B", None))).await.unwrap();
    write(&db, |tx| {
        let known = tx.get::<Shelf>(&1)?.unwrap();
        let before = Before::of(&known);
        tx.put_changed(&before, &Shelf { aisle: "C".to_owned(), ..known })
    })
    .await
    .unwrap();
    let taken = write(&db, |tx| {
        let known = tx.get::<Shelf>(&1)?.unwrap();
        tx.put_changed(&Before::of(&known), &Shelf { aisle: "B".to_owned(), ..known })
    });
    assert_eq!(taken.await, Err(StoreError::Duplicate { index: "ShelfByAisle" }), "uniqueness is checked");
    db.read(|tx| {
        assert_eq!(tx.get_by::<ShelfByAisle>("A")?, None);
        assert_eq!(tx.get_by::<ShelfByAisle>("C")?, Some(shelf(1, "C", Some(7))));
        assert_eq!(tx.scan_by::<ShelfByKeeper>().collect(9)?, [shelf(1, "C", Some(7))], "an equal entry stays");
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn rows_and_index_entries_move_together() {
    let db = db();
    write(&db, |tx| {
        tx.insert(&shelf(1, "A", Some(7)))?;
        tx.insert(&shelf(2, "B", None))?;
        tx.put(&shelf(1, "C", Some(8)))
    })
    .await
    .unwrap();
    db.read(|tx| {
        assert_eq!(tx.get_by::<ShelfByAisle>("A")?, None);
        assert_eq!(tx.get_by::<ShelfByAisle>("C")?.unwrap().id, 1);
        let kept = tx.scan_by::<ShelfByKeeper>().collect(9)?;
        assert_eq!(kept, [shelf(1, "C", Some(8))], "a null is in no index");
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    write(&db, |tx| tx.delete::<Shelf>(&1).map(drop)).await.unwrap();
    assert_eq!(db.read(|tx| tx.scan_by::<ShelfByKeeper>().first()).await.unwrap(), None);
}

#[tokio::test]
async fn a_duplicate_fails_the_transaction_even_if_the_closure_ignores_it() {
    let db = db();
    let result = write(&db, |tx| {
        tx.insert(&shelf(1, "A", None))?;
        let _ = tx.insert(&shelf(2, "A", None));
        Ok(())
    })
    .await;
    assert_eq!(result, Err(StoreError::Duplicate { index: "ShelfByAisle" }));
    assert_eq!(db.read(|tx| tx.get::<Shelf>(&1)).await.unwrap(), None);
}

/// A reader whose reads fail.
struct Broken;

impl Reader for Broken {
    fn get(&self, _: Space, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Err(StoreError::Io("a lost connection".to_owned()))
    }

    fn scan<'a>(&'a self, _: &KeyRange, _: Direction) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        Box::new(std::iter::once(Err(StoreError::Io("a lost connection".to_owned()))))
    }
}

/// A transaction must not commit decisions that are based on a failed read.
#[test]
fn a_failed_read_fails_the_transaction_even_if_the_closure_ignores_it() {
    type IgnoresError = fn(&mut Tx<'_>) -> bool;
    let reads: [IgnoresError; 6] = [
        |tx| tx.get::<Shelf>(&1).is_err(),
        |tx| tx.get_by::<ShelfByAisle>("A").is_err(),
        |tx| tx.scan::<Book>().first().is_err(),
        |tx| tx.scan_by::<ShelfByKeeper>().rows().all(|row| row.is_err()),
        |tx| tx.put(&shelf(1, "A", None)).is_err(),
        |tx| tx.delete::<Shelf>(&1).is_err(),
    ];
    for ignores_error in reads {
        let mut tx = Tx::new(&Broken, Database::Ecommerce, Stamp::default());
        assert!(ignores_error(&mut tx));
        assert_eq!(tx.finish().err(), Some(StoreError::Io("a lost connection".to_owned())));
    }
}

#[tokio::test]
async fn scans_see_own_writes_and_pages_continue_after_their_cursor() {
    let db = db();
    write(&db, |tx| {
        for place in 0..50 {
            tx.put(&Book { shelf: i64::from(place % 2), place, title: format!("{place}") })?;
        }
        tx.delete::<Book>(&(1, 3))?;
        let places: Vec<u32> =
            tx.scan::<Book>().prefix(1_i64).from(2_u32).rows().map(|b| b.map(|b| b.place)).collect::<Result<_, _>>()?;
        assert_eq!(places[..2], [5, 7]);
        Ok(())
    })
    .await
    .unwrap();
    for backward in [false, true] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = db
                .read(|tx| {
                    let scan = tx.scan::<Book>().prefix(0_i64);
                    let scan = if backward { scan.backward() } else { scan };
                    scan.page(Limit::default(), cursor.clone())
                })
                .await
                .unwrap();
            seen.extend(page.items.iter().map(|book| book.place));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<u32> = (0..50).step_by(2).collect();
        if backward {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn ids_start_at_one_and_a_dropped_transaction_uses_none() {
    let db = db();
    let refused = write(&db, |tx| {
        tx.next_id::<Shelf>()?;
        Err(StoreError::Busy)
    })
    .await;
    assert_eq!(refused, Err(StoreError::Busy));
    write(&db, |tx| {
        assert_eq!((tx.next_id::<Shelf>()?, tx.next_id::<Shelf>()?), (1, 2));
        Ok(())
    })
    .await
    .unwrap();
}
