//! Cases of events, consumers, epochs, idempotency keys and commit times.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use promox_kernel::{Claim, Clock, Content, Cx, Entropy, Error, Node, Response};
use serde::{Deserialize, Serialize};

use super::rows::shelf;
use super::tables::{Badge, Shelf};
use super::{NOW, Store, cx};
use crate::{Consumer, ConsumerLoop, Database, Db, Event, Recall, Report, StoreError, Tx, prune_events, replay};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Moved {
    to: i64,
}

promox_kernel::fact! { Moved = "SHELF_MOVED" in "shelf" }

pub(super) async fn positions_are_dense(store: Store) {
    for number in 0..10 {
        store
            .write(move |tx| {
                tx.emit(number, &Moved { to: 1 })?;
                tx.emit(number, &Moved { to: 2 })
            })
            .await
            .unwrap();
    }
    let promox = store.database(Database::Promox);
    promox.write(&cx(), |tx| tx.emit(99_i64, &Moved { to: 3 })).await.unwrap();
    let events = store.read(|tx| tx.events_after(0, 100)).await;
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    let emitted =
        events.iter().map(|event| (event.aggregate_id, event.fact::<Moved>().unwrap().to)).collect::<Vec<_>>();
    assert_eq!(emitted, (0..10).flat_map(|number| [(number, 1), (number, 2)]).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event.occurred_at == NOW && event.is::<Moved>()));
    assert_eq!(store.read(|tx| tx.last_position()).await, 20);
    assert_eq!(promox.read(|tx| tx.last_position()).await, Ok::<_, StoreError>(1));
}

pub(super) async fn dropped_transactions_emit_no_events(store: Store) {
    let refused = store.write(|tx| tx.emit(1_i64, &Moved { to: 1 }).and(Err::<(), _>(StoreError::Busy))).await;
    assert_eq!(refused, Err(StoreError::Busy));
    store.write(|tx| tx.emit(2_i64, &Moved { to: 2 })).await.unwrap();
    let events = store.read(|tx| tx.events_after(0, 100)).await;
    assert_eq!(events.iter().map(|event| (event.position, event.aggregate_id)).collect::<Vec<_>>(), [(1, 2)]);
}

pub(super) async fn subscribers_are_woken(store: Store) {
    let signals = store.engine.subscribe();
    for number in 0..3 {
        store.write(move |tx| tx.emit(number, &Moved { to: 1 })).await.unwrap();
    }
    let woken = tokio::time::timeout(Duration::from_secs(10), signals.recv_async()).await;
    assert!(woken.is_ok(), "no signal arrived");
}

/// Writes a badge for each move, and fails on the events of one aggregate.
struct Badges {
    /// The aggregate whose events fail.
    failing: i64,
}

impl Consumer for Badges {
    fn name(&self) -> &'static str {
        "conformance.badges"
    }
    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<Moved>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            if event.aggregate_id == self.failing {
                return Err(Error::refused("FAILING", "This event cannot be applied."));
            }
            let text = event.fact::<Moved>()?.to.to_string();
            tx.insert(&Badge { id: event.aggregate_id, text })?;
        }
        Ok(())
    }
}

pub(super) async fn consumers_apply_each_event_once(store: Store) {
    for number in 1..=20 {
        store.write(move |tx| tx.emit(number, &Moved { to: number })).await.unwrap();
    }
    let promox = store.database(Database::Promox);
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    for _ in 0..2 {
        // The second loop starts at the stored position, and finds nothing to do.
        let mut consumer = ConsumerLoop::new(Arc::new(Badges { failing: 7 }), store.db(), promox.clone());
        while consumer.turn(&node).await.unwrap() {}
    }
    let badges = promox.read(|tx| tx.scan::<Badge>().collect(99)).await;
    let ids: Vec<i64> = Result::<_, StoreError>::unwrap(badges).into_iter().map(|badge| badge.id).collect();
    assert_eq!(ids, (1..=20).filter(|id| *id != 7).collect::<Vec<_>>());
    let letters = promox.read(|tx| tx.scan::<crate::system::DeadLetter>().collect(9)).await;
    let letters: Vec<i64> =
        Result::<_, StoreError>::unwrap(letters).into_iter().map(|letter| letter.position).collect();
    assert_eq!(letters, [7]);
}

pub(super) async fn dead_letters_are_replayed_once(store: Store) {
    store.write(|tx| tx.emit(7_i64, &Moved { to: 1 })).await.unwrap();
    let promox = store.database(Database::Promox);
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    let failing: Arc<dyn Consumer> = Arc::new(Badges { failing: 7 });
    let mut consumer = ConsumerLoop::new(failing.clone(), store.db(), promox.clone());
    while consumer.turn(&node).await.unwrap() {}
    let again = async |consumer: &Arc<dyn Consumer>, position: i64| {
        let replayed = replay(&cx(), consumer, &store.db(), &promox, position).await;
        replayed.map(|letter| letter.position).map_err(|error| error.code().to_owned())
    };
    assert_eq!(again(&failing, 1).await, Err("REPLAY_FAILED".to_owned()));
    let mended: Arc<dyn Consumer> = Arc::new(Badges { failing: 0 });
    assert_eq!(again(&mended, 2).await, Err("NOT_FOUND".to_owned()));
    assert_eq!(again(&mended, 1).await, Ok(1));
    assert_eq!(again(&mended, 1).await, Err("NOT_FOUND".to_owned()), "it is applied once");
    let badges = promox.read(|tx| tx.scan::<Badge>().collect(9)).await;
    assert_eq!(Result::<_, StoreError>::unwrap(badges).len(), 1);
}

/// Writes badges, but reports a full disk a few times first.
struct FullAtFirst {
    badges: Badges,
    /// The number of failures still to come.
    failures: AtomicU32,
}

impl Consumer for FullAtFirst {
    fn name(&self) -> &'static str {
        "conformance.full_at_first"
    }
    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        self.badges.wants(event)
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        if self.failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Full.into());
        }
        self.badges.apply(tx, events)
    }
}

/// A temporary failure does not make an event a dead letter. It is applied when there is space again.
pub(super) async fn consumers_wait_while_the_disk_is_full(store: Store) {
    for number in 1..=5 {
        store.write(move |tx| tx.emit(number, &Moved { to: number })).await.unwrap();
    }
    let promox = store.database(Database::Promox);
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    let full_at_first = Arc::new(FullAtFirst { badges: Badges { failing: 0 }, failures: AtomicU32::new(3) });
    let mut consumer = ConsumerLoop::new(full_at_first.clone(), store.db(), promox.clone());
    let mut failures = 0;
    while consumer.turn(&node).await.is_err() {
        failures += 1;
    }
    assert!(failures > 0, "no batch failed");
    let badges = promox.read(|tx| tx.scan::<Badge>().collect(99)).await;
    assert_eq!(Result::<_, StoreError>::unwrap(badges).len(), 5);
    let letters = promox.read(|tx| tx.scan::<crate::system::DeadLetter>().collect(9)).await;
    assert!(Result::<_, StoreError>::unwrap(letters).is_empty());
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Dusted {
    by: i64,
}

promox_kernel::fact! { Dusted = "SHELF_DUSTED" in "shelf" kept 1 }

/// Reads all events and does nothing.
struct Reader;

impl Consumer for Reader {
    fn name(&self) -> &'static str {
        "conformance.reader"
    }
    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, _: &Event) -> bool {
        true
    }

    fn apply(&self, _: &mut Tx<'_>, _: &[Arc<Event>]) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) async fn events_are_kept_until_they_are_consumed(store: Store) {
    let (shop, promox) = (store.db(), store.database(Database::Promox));
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    let mut consumer = ConsumerLoop::new(Arc::new(Reader), shop.clone(), promox.clone());
    let emit = |db: Db, times: i64| async move {
        for by in 0..times {
            db.write(&cx(), move |tx| tx.emit(1_i64, &Dusted { by })).await.unwrap();
        }
    };
    emit(shop.clone(), 1).await;
    consumer.turn(&node).await.unwrap();
    emit(shop.clone(), 2).await;
    emit(promox.clone(), 5).await;

    let late = Node::new(Clock::manual(NOW + Duration::from_hours(48)), Entropy::seeded(1));
    let prune = |db: Db| {
        let job = prune_events("conformance.prune", db.clone(), vec![store.db(), store.database(Database::Promox)]);
        let cx = Cx::system(&late, "prune", Duration::from_secs(5));
        async move {
            job.run(cx).await.unwrap();
            let remaining = db.read(|tx| tx.events_after(0, 100)).await;
            let remaining: Vec<Event> = Result::<_, StoreError>::unwrap(remaining);
            remaining.into_iter().map(|event| event.position).collect::<Vec<_>>()
        }
    };
    assert_eq!(prune(shop.clone()).await, [2, 3], "the consumer has read only the first");
    assert_eq!(prune(promox.clone()).await, [5], "no consumer reads these; only the newest stays");
    consumer.turn(&node).await.unwrap();
    assert_eq!(prune(shop).await, [3]);
    let mut report = Report::default();
    let state = store.engine.long_read().unwrap();
    for database in Database::ALL {
        Tx::unbounded(&*state, database).audit_outbox(&mut report).unwrap();
    }
    assert_eq!(report.finish().0, []);
}

pub(super) async fn epochs_are_counted(store: Store) {
    let promox = store.database(Database::Promox);
    assert_eq!(store.read(|tx| tx.epoch("prices")).await, 0);
    assert_eq!(store.write(|tx| tx.bump_epoch("prices")).await, Ok(1));
    assert_eq!(store.write(|tx| Ok((tx.bump_epoch("prices")?, tx.bump_epoch("taxes")?))).await, Ok((2, 1)));
    let _ = store.write(|tx| tx.bump_epoch("prices").and(Err::<(), _>(StoreError::Busy))).await;
    assert_eq!(store.read(|tx| Ok((tx.epoch("prices")?, tx.epoch("taxes")?))).await, (2, 1));
    assert_eq!(promox.read(|tx| tx.epoch("prices")).await, Ok::<_, StoreError>(0));
}

fn claim(key: &str, fingerprint: u8) -> Claim {
    let recorded = std::sync::OnceLock::new();
    Claim { caller: "user:7".to_owned(), key: key.to_owned(), fingerprint: [fingerprint; 32], status: 201, recorded }
}

pub(super) async fn idempotency_keys_are_claimed_and_decided(store: Store) {
    assert!(matches!(store.read(|tx| tx.recall(&claim("k", 1))).await, Recall::New));
    store.write(|tx| tx.insert(&shelf(1, "A")).and_then(|()| tx.claim(&claim("k", 1), 42))).await.unwrap();
    assert!(matches!(store.read(|tx| tx.recall(&claim("k", 1))).await, Recall::Undecided(42)));
    assert!(matches!(store.read(|tx| tx.recall(&claim("k", 2))).await, Recall::OtherRequest));
    let second = store.write(|tx| tx.insert(&shelf(2, "B")).and_then(|()| tx.claim(&claim("k", 1), 43))).await;
    assert!(matches!(second, Err(StoreError::Duplicate { .. })), "{second:?}");
    assert_eq!(store.read(|tx| tx.get::<Shelf>(&2)).await, None, "the failed transaction left no row");
    let response = || Response { status: 201, headers: Vec::new(), content: Content::Json("{\"id\":42}".into()) };
    store.write(move |tx| tx.keep(&claim("k", 1), &response())).await.unwrap();
    let Recall::Decided(reply) = store.read(|tx| tx.recall(&claim("k", 1))).await else { panic!("not decided") };
    assert_eq!(reply.status, 201);
    assert!(matches!(reply.content, Content::Json(body) if body == "{\"id\":42}"));
}

pub(super) async fn the_time_of_the_last_commit_is_known(store: Store) {
    store.write(|tx| tx.insert(&shelf(1, "A"))).await.unwrap();
    assert_eq!(store.engine.last_commit(), NOW);
    let earlier = Node::new(Clock::manual(NOW - Duration::from_secs(5)), Entropy::seeded(1));
    let cx = Cx::system(&earlier, "earlier", Duration::from_secs(5));
    store.db().write(&cx, |tx| tx.insert(&shelf(2, "B"))).await.unwrap();
    assert_eq!(store.engine.last_commit(), NOW, "it never decreases");
}
