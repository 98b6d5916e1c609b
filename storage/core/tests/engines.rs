//! The engines of this crate keep the contract. On the remote one concurrent transactions are serializable: reads are
//! validated at the commit. Each case has a control, a node that does not validate, on which it fails.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

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
async fn an_engine_that_is_far_away_conforms() {
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

/// Runs one transaction while another one commits between its closure and its commit; the result of the second.
async fn race<T: Send + 'static>(
    checks_reads: bool,
    before: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    first: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    second: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Db, Result<T, StoreError>) {
    let store = RemoteEngine::new(&Schema::new([TABLES]).unwrap());
    let db = store.database(Database::Ecommerce);
    db.write(&cx(), before).await.unwrap();
    let (node, other): (Arc<RemoteEngine>, Db) = (store.node(checks_reads), db.clone());
    node.before_commit(move || {
        // An engine in memory replies within the call.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(other.write(&cx(), first))
        });
        done.join().unwrap().unwrap();
    });
    let answered = node.database(Database::Ecommerce).write(&cx(), second).await;
    (db, answered)
}

fn book(place: u32) -> Book {
    Book { shelf: 1, place, title: String::new() }
}

/// The count of the shelf after two increments.
async fn increments(checks_reads: bool) -> i64 {
    let more = |tx: &mut Tx<'_>| {
        let row = tx.get::<Shelf>(&1)?.unwrap();
        tx.put(&Shelf { count: row.count + 1, ..row })
    };
    let (db, answered) = race(checks_reads, |tx| tx.insert(&shelf(1, "A")), more, more).await;
    answered.unwrap();
    db.read(|tx| tx.get::<Shelf>(&1)).await.unwrap().unwrap().count
}

#[tokio::test]
async fn an_update_is_not_lost() {
    assert_eq!(increments(true).await, 2);
    assert_eq!(increments(false).await, 1, "the control");
}

/// Two transactions that each write only if the other has not: how many did.
async fn fences(checks_reads: bool) -> usize {
    let unless = |own: i64, other: i64| {
        move |tx: &mut Tx<'_>| {
            if tx.get::<Shelf>(&other)?.is_none() {
                tx.insert(&shelf(own, &own.to_string()))?;
            }
            Ok(())
        }
    };
    let (db, answered) = race(checks_reads, |_| Ok(()), unless(1, 2), unless(2, 1)).await;
    answered.unwrap();
    db.read(|tx| tx.scan::<Shelf>().collect(9)).await.unwrap().len()
}

#[tokio::test]
async fn absence_is_a_fence() {
    assert_eq!(fences(true).await, 1);
    assert_eq!(fences(false).await, 2, "the control");
}

/// Two transactions that each add a book while there is room for one more: how many books there are.
async fn phantoms(checks_reads: bool) -> usize {
    let add = |place: u32| {
        move |tx: &mut Tx<'_>| {
            if tx.scan::<Book>().prefix(1_i64).collect(9)?.len() < 2 {
                tx.insert(&book(place))?;
            }
            Ok(())
        }
    };
    let (db, answered) = race(checks_reads, |tx| tx.insert(&book(0)), add(1), add(2)).await;
    answered.unwrap();
    db.read(|tx| tx.scan::<Book>().collect(9)).await.unwrap().len()
}

#[tokio::test]
async fn a_range_that_was_read_stands_still() {
    assert_eq!(phantoms(true).await, 2);
    assert_eq!(phantoms(false).await, 3, "the control");
}

/// The write itself detects that a value was taken in the meantime, whatever the closure made of it.
#[tokio::test]
async fn a_value_is_taken_once() {
    let insert = |id: i64| move |tx: &mut Tx<'_>| tx.insert(&shelf(id, "A"));
    let (db, answered) = race(true, |_| Ok(()), insert(1), insert(2)).await;
    assert_eq!(answered, Err(StoreError::Duplicate { index: "ShelfByAisle" }));
    assert_eq!(db.read(|tx| tx.get_by::<ShelfByAisle>("A")).await.unwrap().map(|row| row.id), Some(1));
}

/// How often a closure runs that reads the first book of a shelf while another one is put at `place`.
async fn runs_beside(place: u32) -> u32 {
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
async fn what_was_not_read_may_change() {
    assert_eq!(runs_beside(9).await, 1, "beyond what was read");
    assert_eq!(runs_beside(1).await, 2, "before it");
}

fn take_id(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    tx.next_id::<Shelf>()
}

#[tokio::test]
async fn nodes_give_out_ids_of_their_own() {
    let store = RemoteEngine::new(&Schema::new([TABLES]).unwrap());
    let nodes = [store.node(true), store.node(true)];
    let mut seen = std::collections::BTreeSet::new();
    for turn in 0..400 {
        let db = nodes[turn % 2].database(Database::Ecommerce);
        let id = db.write(&cx(), take_id).await.unwrap();
        assert!(seen.insert(id), "{id} was given out twice");
    }
    assert_eq!(seen.first(), Some(&1));
}
