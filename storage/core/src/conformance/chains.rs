//! Cases of chains: each link runs once and in order, and none after one that was refused or failed.

use std::sync::{Arc, OnceLock};

use promox_kernel::{Claim, Content, Cx, Error, Response};
use serde::{Deserialize, Serialize};

use super::rows::shelf;
use super::tables::{Badge, Sample, Shelf};
use super::{Store, cx};
use crate::{Chain, Database, Outcome, StoreError, Transaction, Tx};

#[derive(Debug, Serialize, Deserialize)]
struct Linked {
    link: i64,
}

promox_kernel::fact! { Linked = "LINKED" in "link" }

impl Store {
    /// Creates a link on the first database.
    fn link<T>(&self, work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static) -> Transaction<T> {
        self.db().transaction(work)
    }

    /// Runs links as one chain.
    async fn chain<T: Send + 'static>(&self, links: Vec<Transaction<T>>) -> Vec<Outcome<T>> {
        let mut chain = Chain::default();
        links.into_iter().for_each(|link| chain.then(link));
        chain.run(&cx()).await
    }

    /// Returns the ids and counts of the shelves. A shelf's count is in its column `keeper`.
    async fn counts(&self) -> Vec<(i64, i64)> {
        let shelves = self.read(|tx| tx.scan::<Shelf>().collect(9)).await;
        shelves.into_iter().map(|row| (row.id, row.keeper.unwrap_or_default())).collect()
    }
}

/// Increments a shelf's count and returns it.
fn count(tx: &mut Tx<'_>, id: i64) -> Result<i64, Error> {
    let row = tx.get::<Shelf>(&id)?.unwrap_or_else(|| shelf(id, &id.to_string()));
    let keeper = row.keeper.unwrap_or_default() + 1;
    tx.put(&Shelf { keeper: Some(keeper), ..row })?;
    Ok(keeper)
}

/// Returns each link's value, or its refusal code, or `None` if it was skipped.
fn results<T: Clone>(outcomes: &[Outcome<T>]) -> Vec<Option<Result<T, String>>> {
    let result = |outcome: &Outcome<T>| match outcome {
        Outcome::Done(value) => Some(Ok(value.clone())),
        Outcome::Refused(error) => Some(Err(error.code().to_owned())),
        Outcome::Skipped => None,
    };
    outcomes.iter().map(result).collect()
}

fn refusal() -> Error {
    Error::conflict("REFUSED", "This link refuses.")
}

pub(super) async fn links_run_in_order(store: Store) {
    let counting = || store.link(|tx| count(tx, 1));
    let outcomes = store.chain(vec![counting(), counting(), store.link(|tx| count(tx, 2)), counting()]).await;
    assert_eq!(results(&outcomes), [1, 2, 1, 3].map(|value| Some(Ok(value))), "each link sees the earlier ones");
    assert_eq!(store.counts().await, [(1, 3), (2, 1)], "each link ran once");
    assert!(store.chain(Vec::<Transaction<()>>::new()).await.is_empty());
}

pub(super) async fn links_after_a_refusal_are_skipped(store: Store) {
    let refusing = store.link(|tx| count(tx, 2).and(Err(refusal())));
    let outcomes = store.chain(vec![store.link(|tx| count(tx, 1)), refusing, store.link(|tx| count(tx, 3))]).await;
    assert_eq!(results(&outcomes), [Some(Ok(1)), Some(Err("REFUSED".to_owned())), None]);
    assert_eq!(store.counts().await, [(1, 1)], "earlier links stay committed");
    let outcomes = store.chain(vec![store.link(|_| Err(refusal())), store.link(|tx| count(tx, 1))]).await;
    assert_eq!(results(&outcomes), [Some(Err("REFUSED".to_owned())), None]);
    assert_eq!(store.counts().await, [(1, 1)]);
}

/// A link that was prepared with a result, and one that relies on it.
pub(super) async fn an_unexpected_result_ends_the_chain(store: Store) {
    let run = async |expected| {
        let (reply, prepared) = store.link(|tx| count(tx, 1)).expecting(expected).take_expected();
        assert_eq!(reply, Some(expected));
        let mut chain = Chain::default();
        chain.then_prepared(prepared);
        chain.then(store.link(|tx| count(tx, 2)));
        chain.then(store.link(|tx| count(tx, 3)));
        results(&chain.run(&cx()).await)
    };
    assert_eq!(run(1).await, [Some(Ok(1)), Some(Ok(1)), Some(Ok(1))]);
    assert_eq!(run(9).await, [Some(Ok(2)), Some(Err("INTERNAL".to_owned())), None]);
    assert_eq!(store.counts().await, [(1, 2), (2, 1), (3, 1)], "the unexpected result is committed");
}

/// A link whose closure ignores an error, or that exceeds a limit, ends a chain like a refusal.
pub(super) async fn a_failed_link_ends_the_chain(store: Store) {
    let ignoring = store.link(|tx| {
        let value = count(tx, 2)?;
        let _ = tx.insert(&shelf(1, "again"));
        Ok(value)
    });
    let outcomes = store.chain(vec![store.link(|tx| count(tx, 1)), ignoring, store.link(|tx| count(tx, 3))]).await;
    assert_eq!(results(&outcomes), [Some(Ok(1)), Some(Err("DUPLICATE".to_owned())), None]);
    let blob = Arc::new(vec![7_u8; 1 << 20]);
    let too_large = store.link(move |tx| {
        for number in 0..5 {
            tx.put(&Sample { number, name: number.to_string(), bytes: blob.to_vec(), ..super::limits::small(0) })?;
        }
        Ok(0)
    });
    let outcomes = store.chain(vec![store.link(|tx| count(tx, 1)), too_large, store.link(|tx| count(tx, 3))]).await;
    assert_eq!(results(&outcomes), [Some(Ok(2)), Some(Err("INTERNAL".to_owned())), None]);
    assert_eq!(store.counts().await, [(1, 2)]);
    assert_eq!(store.read(|tx| tx.scan::<Sample>().first()).await, None);
}

pub(super) async fn a_chain_can_span_both_databases(store: Store) {
    let promox = store.database(Database::Promox);
    let badge = |id: i64| {
        promox.transaction(move |tx| {
            tx.emit(id, &Linked { link: id })?;
            Ok(tx.insert(&Badge { id, text: String::new() })?)
        })
    };
    let counting = |id: i64| {
        store.link(move |tx| {
            tx.emit(id, &Linked { link: id })?;
            tx.emit(id, &Linked { link: -id })?;
            count(tx, id).map(drop)
        })
    };
    let refused = store.link(|tx| tx.emit(9_i64, &Linked { link: 9 }).map_err(Error::from).and(Err(refusal())));
    let outcomes = store.chain(vec![badge(1), counting(1), badge(2), counting(2), refused, badge(3)]).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_done()).count(), 4);
    let links = |events: Vec<crate::Event>| {
        let link = |event: &crate::Event| (event.position, event.fact::<Linked>().unwrap().link);
        events.iter().map(link).collect::<Vec<_>>()
    };
    let shop = store.read(|tx| tx.events_after(0, 99)).await;
    assert_eq!(links(shop), [(1, 1), (2, -1), (3, 2), (4, -2)], "in the order of the links, without refused ones");
    let other: Result<_, StoreError> = promox.read(|tx| tx.events_after(0, 99)).await;
    assert_eq!(links(other.unwrap()), [(1, 1), (2, 2)]);
    store.write(|tx| tx.emit(5_i64, &Linked { link: 5 })).await.unwrap();
    assert_eq!(store.read(|tx| tx.last_position()).await, 5);
}

pub(super) async fn ids_are_assigned_once(store: Store) {
    let take = || store.link(|tx| Ok((0..50).map(|_| tx.next_id::<Shelf>()).collect::<Result<Vec<_>, _>>()?));
    let outcomes = store.chain(vec![take(), take(), take()]).await;
    let mut seen = std::collections::BTreeSet::new();
    for outcome in outcomes {
        let Outcome::Done(ids) = outcome else { panic!("{outcome:?}") };
        assert!(ids.into_iter().all(|id| seen.insert(id)), "assigned twice");
    }
    assert_eq!((seen.len(), seen.first()), (150, Some(&1)));
    let pool = crate::IdPool::<Shelf>::of(&store.db());
    for _ in 0..150 {
        assert!(seen.insert(pool.next(&cx()).await.unwrap()), "assigned twice");
    }
}

/// One link may claim the request's idempotency key and another one store its reply. A reply is recorded on the request
/// only if its link was committed.
pub(super) async fn a_link_stores_the_reply_of_a_key(store: Store) {
    let claim = |key: &str| Claim {
        caller: "user:7".to_owned(),
        key: key.to_owned(),
        fingerprint: [1; 32],
        status: 201,
        recorded: OnceLock::new(),
    };
    for (key, refuses) in [("done", false), ("refused", true)] {
        let cx = Cx { claim: Some(Arc::new(claim(key))), ..cx() };
        let (first, second) = (claim(key), claim(key));
        let mut chain = Chain::default();
        chain.then(store.link(move |tx| Ok(tx.claim(&first, 42)?)));
        chain.then(store.link(move |_| if refuses { Err(refusal()) } else { Ok(()) }));
        chain.then(store.link(move |tx| {
            let response = Response { status: 201, headers: Vec::new(), content: Content::Json("{}".into()) };
            Ok(tx.keep(&second, &response)?)
        }));
        let outcomes = chain.run(&cx).await;
        assert_eq!(outcomes[2].is_done(), !refuses, "{outcomes:?}");
        assert_eq!(cx.claim.unwrap().recorded.get().is_some(), !refuses);
        let state = store.read(move |tx| tx.recall(&claim(key))).await;
        assert_eq!(matches!(state, crate::Recall::Decided(_)), !refuses, "{state:?}");
        assert_eq!(matches!(state, crate::Recall::Undecided(42)), refuses, "{state:?}");
    }
}

/// Chains and single transactions run concurrently, and no increment is lost.
pub(super) async fn chains_run_concurrently(store: Store) {
    const TASKS: i64 = 12;
    let work = (0..TASKS).map(|_| {
        let store = store.clone();
        async move {
            let counting = || store.link(|tx| count(tx, 1));
            let outcomes = store.chain(vec![counting(), counting(), counting()]).await;
            assert!(outcomes.iter().all(Outcome::is_done), "{outcomes:?}");
            store.db().write(&cx(), |tx| count(tx, 1)).await.unwrap();
        }
    });
    super::limits::all(work.collect()).await;
    assert_eq!(store.counts().await, [(1, TASKS * 4)]);
}
