//! Cases of concurrency, ids and limits.

use std::sync::Arc;

use super::rows::shelf;
use super::tables::{Book, Sample, Shelf};
use super::{Store, cx};
use crate::StoreError;

pub(super) async fn increments_are_not_lost(store: Store) {
    const TASKS: i64 = 32;
    const EACH: i64 = 8;
    store.write(|tx| tx.insert(&Shelf { keeper: Some(0), ..shelf(1, "A") })).await.unwrap();
    let work = (0..TASKS).map(|_| {
        let db = store.db();
        async move {
            for _ in 0..EACH {
                db.write(&cx(), |tx| {
                    let row = tx.get::<Shelf>(&1)?.unwrap();
                    tx.put(&Shelf { keeper: row.keeper.map(|count| count + 1), ..row })
                })
                .await?;
            }
            Ok::<_, StoreError>(())
        }
    });
    for done in all(work.collect()).await {
        done.unwrap();
    }
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&1)).await.unwrap().keeper, Some(TASKS * EACH));
}

/// Polls futures concurrently on this task until all are ready. Returns their results in order.
pub(super) async fn all<F: Future>(work: Vec<F>) -> Vec<F::Output> {
    let mut work: Vec<_> = work.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        for (one, done) in &mut work {
            if done.is_none()
                && let std::task::Poll::Ready(value) = one.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if work.iter().any(|(_, done)| done.is_none()) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(work.drain(..).filter_map(|(_, done)| done).collect())
    })
    .await
}

pub(super) async fn ids_are_assigned_once(store: Store) {
    let refused = store.write(|tx| tx.next_id::<Shelf>().and(Err::<(), _>(StoreError::Busy))).await;
    assert_eq!(refused, Err(StoreError::Busy));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (one, two) = store.write(|tx| Ok((tx.next_id::<Shelf>()?, tx.next_id::<Shelf>()?))).await.unwrap();
        assert!(seen.insert(one) && seen.insert(two), "{one} or {two} was assigned twice");
    }
    assert_eq!(seen.first(), Some(&1));
    let many =
        store.write(|tx| (0..1_000).map(|_| tx.next_id::<Shelf>()).collect::<Result<Vec<_>, _>>()).await.unwrap();
    assert!(many.into_iter().all(|id| seen.insert(id)), "an id of a large block was assigned twice");
    assert!(store.write(|tx| tx.next_id::<Book>()).await.unwrap() < 3, "each table has its own ids");
}

pub(super) async fn too_many_writes_are_refused(store: Store) {
    let write = |from: u32, count: u32| {
        store.write(move |tx| (from..from + count).try_for_each(|place| tx.put(&Sample { number: 1, ..small(place) })))
    };
    // A sample has one row and two index entries, so this is just below the limit.
    write(0, 5_461).await.unwrap();
    let more = write(10_000, 5_462).await;
    assert!(matches!(more, Err(StoreError::TooLarge { .. })), "{more:?}");
}

pub(super) fn small(place: u32) -> Sample {
    Sample {
        name: format!("{place:05}"),
        number: 0,
        amount: rust_decimal::Decimal::ZERO,
        at: promox_kernel::Timestamp::EPOCH,
        bytes: Vec::new(),
        note: None,
        document: promox_kernel::Json(Vec::new()),
    }
}

pub(super) async fn too_many_bytes_are_refused(store: Store) {
    let blob = Arc::new(vec![7_u8; 1 << 20]);
    let refused = store
        .write(move |tx| (0..4).try_for_each(|place| tx.put(&Sample { bytes: blob.to_vec(), ..small(place) })))
        .await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.read(|tx| tx.scan::<Sample>().first()).await, None);
}

pub(super) async fn too_many_reads_are_refused(store: Store) {
    for from in (0..24_000).step_by(8_000) {
        let put = move |tx: &mut crate::Tx<'_>, place| tx.put(&Book { shelf: 1, place, title: String::new() });
        store.write(move |tx| (from..from + 8_000).try_for_each(|place| put(tx, place))).await.unwrap();
    }
    let read = store.db().read(|tx| tx.scan::<Book>().collect(100_000)).await;
    assert!(matches!(read, Err(StoreError::TooLarge { .. })));
}
