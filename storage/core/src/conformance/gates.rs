//! The conformance suite of gate engines, and a simulated remote engine.

use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Error, UserId};

use crate::{
    DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateRefusal, GateUnits, Gates,
    LoadedGates, MemoryGates, ReturnedUnits, StoreError, TakeResult,
};

/// A gate engine that several nodes share. Every call yields before and after it takes effect. What a cancelled caller
/// left behind is cleaned up at the node's next call.
#[derive(Debug, Default)]
pub struct RemoteGates {
    store: Arc<MemoryGates>,
    abandoned: Mutex<Vec<Abandoned>>,
}

/// Something that a cancelled caller did not settle.
#[derive(Debug)]
enum Abandoned {
    Units(GateUnits, GateLoad),
    Doubt(DoubtId),
}

impl RemoteGates {
    /// Another node on the same store.
    pub fn node(&self) -> Arc<Self> {
        Arc::new(Self { store: self.store.clone(), abandoned: Mutex::default() })
    }

    /// The shared store, to inspect or clear its counters.
    pub fn store(&self) -> &Arc<MemoryGates> {
        &self.store
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&'a MemoryGates) -> GateFuture<'a, T> + Send + 'a,
    ) -> GateFuture<'a, T> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let abandoned = std::mem::take(&mut *self.abandoned.lock());
            for abandoned in abandoned {
                match abandoned {
                    Abandoned::Units(units, from) => self.store.abandon(units, from),
                    Abandoned::Doubt(doubt) => self.store.abandon_doubt(doubt),
                }
            }
            let reply = step(&self.store).await;
            tokio::task::yield_now().await;
            reply
        })
    }
}

impl GateEngine for RemoteGates {
    fn mark(&self) -> GateFuture<'_, GateMark> {
        self.call(GateEngine::mark)
    }
    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool> {
        self.call(move |store| store.install(group, gates, mark))
    }
    fn take(&self, units: GateUnits) -> GateFuture<'_, TakeResult> {
        self.call(move |store| store.take(units))
    }
    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()> {
        self.call(move |store| store.keep(units, from))
    }
    fn release(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()> {
        self.call(move |store| store.release(units, from))
    }
    fn abandon(&self, units: GateUnits, from: GateLoad) {
        self.abandoned.lock().push(Abandoned::Units(units, from));
    }
    fn doubt(&self) -> GateFuture<'_, DoubtId> {
        self.call(GateEngine::doubt)
    }
    fn settle(&self, doubt: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()> {
        self.call(move |store| store.settle(doubt, freed))
    }
    fn abandon_doubt(&self, doubt: DoubtId) {
        self.abandoned.lock().push(Abandoned::Doubt(doubt));
    }
    fn forget(&self, group: GateKey) -> GateFuture<'_, ()> {
        self.call(move |store| store.forget(group))
    }
}

const ADA: UserId = UserId(1);
const BEN: UserId = UserId(2);

/// The gates of one group on two nodes, and the units that its rows hold.
struct Sale {
    nodes: [Gates<i64, ()>; 2],
    /// Units that are held in the rows, by user.
    rows: Mutex<Vec<(UserId, i64)>>,
}

const GROUP: i64 = 7;
const UNITS: i64 = 4;

impl Sale {
    /// The counters computed from the rows: four units, at most two per user.
    fn counts(&self) -> Vec<GateCounts> {
        let users = self.rows.lock().clone();
        let left = UNITS - users.iter().map(|(_, taken)| taken).sum::<i64>();
        vec![GateCounts { left, limit: Some(2), users }]
    }

    /// Takes units at a node, or returns its refusal.
    async fn take(&self, node: usize, user: UserId, quantity: u32) -> Result<crate::GatePass, GateRefusal> {
        let load = || ready(Ok::<_, Error>(LoadedGates { about: (), gates: self.counts() }));
        self.nodes[node].take((GROUP, 0), user, quantity, load).await.unwrap()
    }

    async fn forget(&self) {
        self.nodes[0].forget(GROUP).await;
    }

    /// Whether a node would let a user take units. The units are released again.
    async fn admits(&self, node: usize, user: UserId, quantity: u32) -> bool {
        match self.take(node, user, quantity).await {
            Ok(pass) => {
                pass.release().await;
                true
            }
            Err(_) => false,
        }
    }
}

/// Runs all cases on two nodes that share an empty engine. Panics if one fails.
pub async fn check(engines: [Arc<dyn GateEngine>; 2]) {
    let [one, other] = engines.clone();
    an_outdated_load_is_not_installed(&*one, &*other).await;
    for case in 0..6 {
        let nodes = engines.clone().map(|engine| Gates::new(engine, "sale"));
        let sale = Sale { nodes, rows: Mutex::default() };
        sale.forget().await;
        match case {
            0 => units_are_taken_once(sale).await,
            1 => a_cancelled_caller_releases_its_units(sale).await,
            2 => a_load_that_missed_a_row_is_repeated(sale).await,
            3 => units_of_older_counters_are_not_released(sale).await,
            4 => units_returned_by_rows_can_be_taken_again(sale).await,
            _ => an_unsettled_transaction_drops_all_counters(sale).await,
        }
    }
}

async fn an_outdated_load_is_not_installed(one: &dyn GateEngine, other: &dyn GateEngine) {
    let group = GateKey { kind: "load", id: GROUP };
    let units = GateUnits { group, gate: 0, user: ADA, quantity: 1 };
    let counts = |left: i64| vec![GateCounts { left, limit: None, users: Vec::new() }];
    assert_eq!(one.take(units).await, TakeResult::Absent);
    let mark = one.mark().await;
    let doubt = other.doubt().await;
    other.settle(doubt, vec![units]).await;
    assert!(!one.install(group, counts(0), mark).await, "a unit was returned in the meantime");
    let mark = one.mark().await;
    assert!(one.install(group, counts(1), mark).await);
    assert!(other.install(group, counts(9), mark).await, "the group has counters");
    assert!(matches!(other.take(units).await, TakeResult::Taken(_)), "the existing counters are kept");
    assert_eq!(one.take(units).await, TakeResult::Refused(GateRefusal::SoldOut { left: 0 }));
    let elsewhere = GateUnits { group: GateKey { kind: "other", id: GROUP }, ..units };
    assert_eq!(one.take(elsewhere).await, TakeResult::Absent, "groups of another kind are separate");
    one.keep(units, None).await;
    assert_eq!(
        other.take(units).await,
        TakeResult::Absent,
        "the counters may have missed a row that was admitted without them"
    );
}

async fn units_are_taken_once(sale: Sale) {
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    assert_eq!(
        sale.take(1, ADA, 1).await.unwrap_err(),
        GateRefusal::LimitReached { limit: 2 },
        "the limit holds across nodes"
    );
    sale.take(1, BEN, 2).await.unwrap().release().await;
    sale.take(0, BEN, 1).await.unwrap().keep().await;
    assert_eq!(sale.take(1, UserId(3), 2).await.unwrap_err(), GateRefusal::SoldOut { left: 1 });
}

async fn a_cancelled_caller_releases_its_units(sale: Sale) {
    drop(sale.take(0, ADA, 2).await.unwrap());
    assert!(sale.admits(0, ADA, 2).await && sale.admits(1, ADA, 2).await);
}

async fn a_load_that_missed_a_row_is_repeated(sale: Sale) {
    let pass = sale.take(0, ADA, 2).await.unwrap();
    sale.forget().await;
    assert!(sale.admits(1, ADA, 2).await, "the counters were loaded before the row was written");
    sale.rows.lock().push((ADA, 2));
    pass.keep().await;
    assert!(!sale.admits(1, ADA, 1).await && sale.admits(1, BEN, 2).await, "the counters were loaded again");
}

async fn units_of_older_counters_are_not_released(sale: Sale) {
    let pass = sale.take(0, ADA, 2).await.unwrap();
    sale.forget().await;
    sale.rows.lock().push((BEN, 2));
    assert!(sale.admits(1, ADA, 2).await, "the counters were loaded without the units of the pass");
    pass.release().await;
    assert_eq!(sale.take(0, UserId(3), 3).await.unwrap_err(), GateRefusal::LimitReached { limit: 2 });
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    assert!(!sale.admits(0, UserId(3), 1).await, "only four units exist");
}

async fn units_returned_by_rows_can_be_taken_again(sale: Sale) {
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    sale.rows.lock().push((ADA, 2));
    let doubt = sale.nodes[1].doubt().await;
    sale.rows.lock().clear();
    doubt.settle(&Ok(vec![ReturnedUnits { group: GROUP, gate: 0, user: ADA, quantity: 2 }])).await;
    assert!(sale.admits(0, ADA, 2).await);
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    sale.nodes[1].doubt().await.settle(&Err(Error::not_found("reservation"))).await;
    assert!(!sale.admits(0, ADA, 1).await, "nothing was returned");
}

async fn an_unsettled_transaction_drops_all_counters(sale: Sale) {
    for cancelled in [true, false] {
        sale.take(0, ADA, 2).await.unwrap().keep().await;
        assert!(!sale.admits(1, ADA, 1).await);
        let doubt = sale.nodes[0].doubt().await;
        // The rows no longer hold the units, or never did.
        if cancelled {
            drop(doubt);
        } else {
            doubt.settle(&Err(StoreError::Unknown.into())).await;
        }
        assert!(sale.admits(0, ADA, 2).await, "the node of the in-doubt transaction");
        assert!(sale.admits(1, ADA, 2).await, "the other node");
        sale.forget().await;
    }
}
