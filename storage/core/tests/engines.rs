//! The engines of this crate pass the conformance suite. On the remote engine, concurrent transactions are
//! serializable, because the commit validates reads. The races have a control: on a node that does not validate, they
//! give wrong results.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};
use promox_storage::conformance::{RemoteEngine, cases};
use promox_storage::{Database, Db, MemoryEngine, Record, Schema, StoreError, TableDef, Tx, conformance, record};

record! {
    /// A shelf.
    struct Shelf in Ecommerce.shelves = 900, key(id: i64) {
        aisle: String,
        count: i64,
    }
    unique ShelfByAisle = 901 (aisle);
}

record! {
    /// A book on a shelf.
    struct Book in Ecommerce.books = 902, key(shelf: i64, place: u32) {
        title: String,
    }
}

const TABLES: &[&TableDef] = &[Shelf::TABLE, Book::TABLE];

#[tokio::test]
async fn the_memory_engine_conforms() {
    for case in cases() {
        case.run(MemoryEngine::new()).await;
    }
}

#[tokio::test]
async fn the_remote_engine_conforms() {
    let schema = Schema::new([conformance::TABLES]).unwrap();
    for case in cases() {
        case.run(RemoteEngine::new(&schema)).await;
    }
}

fn cx() -> Cx {
    let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
    Cx::system(&node, "test", Duration::from_secs(60))
}

fn shelf(id: i64, aisle: &str) -> Shelf {
    Shelf { id, aisle: aisle.to_owned(), count: 0 }
}

/// Runs `second`, while `first` commits between the closure and the commit of `second`. Returns the database and the
/// result of `second`. `before` prepares the rows.
async fn race<T: Send + 'static>(
    validates_reads: bool,
    before: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    first: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    second: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Db, Result<T, StoreError>) {
    let store = RemoteEngine::new(&Schema::new([TABLES]).unwrap());
    let db = store.database(Database::Ecommerce);
    db.write(&cx(), before).await.unwrap();
    let (node, other): (Arc<RemoteEngine>, Db) = (store.node(validates_reads), db.clone());
    node.before_commit(move || {
        // An engine in memory replies within the call, so this does not block for long.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(other.write(&cx(), first))
        });
        done.join().unwrap().unwrap();
    });
    let result = node.database(Database::Ecommerce).write(&cx(), second).await;
    (db, result)
}

fn book(place: u32) -> Book {
    Book { shelf: 1, place, title: String::new() }
}

/// Returns the count of a shelf after two concurrent increments.
async fn increments(validates_reads: bool) -> i64 {
    let increment = |tx: &mut Tx<'_>| {
        let row = tx.get::<Shelf>(&1)?.unwrap();
        tx.put(&Shelf { count: row.count + 1, ..row })
    };
    let (db, result) = race(validates_reads, |tx| tx.insert(&shelf(1, "A")), increment, increment).await;
    result.unwrap();
    db.read(|tx| tx.get::<Shelf>(&1)).await.unwrap().unwrap().count
}

#[tokio::test]
async fn concurrent_updates_are_not_lost() {
    assert_eq!(increments(true).await, 2);
    assert_eq!(increments(false).await, 1, "the control");
}

/// Runs two concurrent transactions that each write a row only if the other's row is absent. Returns the number of
/// rows.
async fn write_skew(validates_reads: bool) -> usize {
    let unless = |own: i64, other: i64| {
        move |tx: &mut Tx<'_>| {
            if tx.get::<Shelf>(&other)?.is_none() {
                tx.insert(&shelf(own, &own.to_string()))?;
            }
            Ok(())
        }
    };
    let (db, result) = race(validates_reads, |_| Ok(()), unless(1, 2), unless(2, 1)).await;
    result.unwrap();
    db.read(|tx| tx.scan::<Shelf>().collect(9)).await.unwrap().len()
}

#[tokio::test]
async fn a_read_of_an_absent_row_is_validated() {
    assert_eq!(write_skew(true).await, 1);
    assert_eq!(write_skew(false).await, 2, "the control");
}

/// Runs two concurrent transactions that each add a book if there are fewer than two. Returns the number of books.
async fn phantoms(validates_reads: bool) -> usize {
    let add = |place: u32| {
        move |tx: &mut Tx<'_>| {
            if tx.scan::<Book>().prefix(1_i64).collect(9)?.len() < 2 {
                tx.insert(&book(place))?;
            }
            Ok(())
        }
    };
    let (db, result) = race(validates_reads, |tx| tx.insert(&book(0)), add(1), add(2)).await;
    result.unwrap();
    db.read(|tx| tx.scan::<Book>().collect(9)).await.unwrap().len()
}

#[tokio::test]
async fn a_scanned_range_is_validated() {
    assert_eq!(phantoms(true).await, 2);
    assert_eq!(phantoms(false).await, 3, "the control");
}

/// The commit detects that a unique value was taken after the closure ran.
#[tokio::test]
async fn a_unique_value_is_taken_once() {
    let insert = |id: i64| move |tx: &mut Tx<'_>| tx.insert(&shelf(id, "A"));
    let (db, result) = race(true, |_| Ok(()), insert(1), insert(2)).await;
    assert_eq!(result, Err(StoreError::Duplicate { index: "ShelfByAisle" }));
    assert_eq!(db.read(|tx| tx.get_by::<ShelfByAisle>("A")).await.unwrap().map(|row| row.id), Some(1));
}

/// Returns how often a closure runs that reads the first book of a shelf, while another book is inserted at `place`.
async fn runs_during_insert(place: u32) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let fill = |tx: &mut Tx<'_>| (3..6).try_for_each(|place| tx.insert(&book(place)));
    let first = move |tx: &mut Tx<'_>| {
        let Some(first) = tx.scan::<Book>().prefix(1_i64).first()? else { return Ok(()) };
        counted.fetch_add(1, Relaxed);
        tx.insert(&Book { shelf: 2, ..first })
    };
    race(true, fill, move |tx| tx.insert(&book(place)), first).await.1.unwrap();
    runs.load(Relaxed)
}

#[tokio::test]
async fn changes_outside_of_what_was_read_cause_no_retry() {
    assert_eq!(runs_during_insert(9).await, 1, "after the first book");
    assert_eq!(runs_during_insert(1).await, 2, "before the first book");
}

fn take_id(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    tx.next_id::<Shelf>()
}

#[tokio::test]
async fn nodes_assign_different_ids() {
    let store = RemoteEngine::new(&Schema::new([TABLES]).unwrap());
    let nodes = [store.node(true), store.node(true)];
    let mut seen = std::collections::BTreeSet::new();
    for turn in 0..400 {
        let db = nodes[turn % 2].database(Database::Ecommerce);
        let id = db.write(&cx(), take_id).await.unwrap();
        assert!(seen.insert(id), "{id} was assigned twice");
    }
    assert_eq!(seen.first(), Some(&1));
}
