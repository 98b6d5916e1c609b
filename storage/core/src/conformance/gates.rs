//! What holds for every engine of gates, and one that is far away.

use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Error, UserId};

use crate::{
    DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateRefusal, GateUnits, Gates, GivenBack,
    LoadedGates, MemoryGates, StoreError, Taking,
};

/// A store of gates that nodes share. Every call waits on its way there and back, and what a cancelled caller leaves is
/// done with the node's next call.
#[derive(Debug, Default)]
pub struct FarGates {
    store: Arc<MemoryGates>,
    left: Mutex<Vec<Left>>,
}

/// What a cancelled caller has left to do.
#[derive(Debug)]
enum Left {
    Units(GateUnits, GateLoad),
    Doubt(DoubtId),
}

impl FarGates {
    /// Another node on the same store.
    pub fn node(&self) -> Arc<Self> {
        Arc::new(Self { store: self.store.clone(), left: Mutex::default() })
    }

    /// The store, for a look at its counters and for losing them.
    pub fn store(&self) -> &Arc<MemoryGates> {
        &self.store
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&'a MemoryGates) -> GateFuture<'a, T> + Send + 'a,
    ) -> GateFuture<'a, T> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let left = std::mem::take(&mut *self.left.lock());
            for left in left {
                match left {
                    Left::Units(units, from) => self.store.abandon(units, from),
                    Left::Doubt(doubt) => self.store.abandon_doubt(doubt),
                }
            }
            let done = step(&self.store).await;
            tokio::task::yield_now().await;
            done
        })
    }
}

impl GateEngine for FarGates {
    fn mark(&self) -> GateFuture<'_, GateMark> {
        self.call(GateEngine::mark)
    }
    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool> {
        self.call(move |store| store.install(group, gates, mark))
    }
    fn take(&self, units: GateUnits) -> GateFuture<'_, Taking> {
        self.call(move |store| store.take(units))
    }
    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()> {
        self.call(move |store| store.keep(units, from))
    }
    fn give_back(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()> {
        self.call(move |store| store.give_back(units, from))
    }
    fn abandon(&self, units: GateUnits, from: GateLoad) {
        self.left.lock().push(Left::Units(units, from));
    }
    fn doubt(&self) -> GateFuture<'_, DoubtId> {
        self.call(GateEngine::doubt)
    }
    fn settle(&self, doubt: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()> {
        self.call(move |store| store.settle(doubt, freed))
    }
    fn abandon_doubt(&self, doubt: DoubtId) {
        self.left.lock().push(Left::Doubt(doubt));
    }
    fn forget(&self, group: GateKey) -> GateFuture<'_, ()> {
        self.call(move |store| store.forget(group))
    }
}

const ADA: UserId = UserId(1);
const BEN: UserId = UserId(2);

/// The gates of one group as two nodes have them, and the units that its rows hold.
struct Sale {
    nodes: [Gates<i64, ()>; 2],
    /// Units that are held in the rows, by user.
    rows: Mutex<Vec<(UserId, i64)>>,
}

const GROUP: i64 = 7;
const UNITS: i64 = 4;

impl Sale {
    /// The counters as the rows have them: four units, two a user.
    fn counts(&self) -> Vec<GateCounts> {
        let users = self.rows.lock().clone();
        let left = UNITS - users.iter().map(|(_, taken)| taken).sum::<i64>();
        vec![GateCounts { left, limit: Some(2), users }]
    }

    /// Takes units at a node; the units that are left or the limit, if it is refused.
    async fn take(&self, node: usize, user: UserId, quantity: u32) -> Result<crate::GatePass, GateRefusal> {
        let load = || ready(Ok::<_, Error>(LoadedGates { about: (), gates: self.counts() }));
        self.nodes[node].take((GROUP, 0), user, quantity, load).await.unwrap()
    }

    async fn forget(&self) {
        self.nodes[0].forget(GROUP).await;
    }

    /// Whether a user can have so many units, as seen from a node; takes none.
    async fn admits(&self, node: usize, user: UserId, quantity: u32) -> bool {
        match self.take(node, user, quantity).await {
            Ok(pass) => {
                pass.give_back().await;
                true
            }
            Err(_) => false,
        }
    }
}

/// Checks the gates of two nodes that share an empty engine; panics when something does not hold.
pub async fn check(engines: [Arc<dyn GateEngine>; 2]) {
    let [one, other] = engines.clone();
    a_load_that_missed_something_is_not_installed(&*one, &*other).await;
    for case in 0..6 {
        let nodes = engines.clone().map(|engine| Gates::new(engine, "sale"));
        let sale = Sale { nodes, rows: Mutex::default() };
        sale.forget().await;
        match case {
            0 => units_are_taken_once(sale).await,
            1 => a_cancelled_caller_gives_back(sale).await,
            2 => a_row_that_a_load_missed_has_it_loaded_again(sale).await,
            3 => units_of_older_counters_are_not_returned(sale).await,
            4 => what_the_rows_return_is_there_again(sale).await,
            _ => a_doubt_has_the_counters_loaded_again(sale).await,
        }
    }
}

async fn a_load_that_missed_something_is_not_installed(one: &dyn GateEngine, other: &dyn GateEngine) {
    let group = GateKey { kind: "load", id: GROUP };
    let units = GateUnits { group, gate: 0, user: ADA, quantity: 1 };
    let counts = |left: i64| vec![GateCounts { left, limit: None, users: Vec::new() }];
    assert_eq!(one.take(units).await, Taking::Absent);
    let mark = one.mark().await;
    let doubt = other.doubt().await;
    other.settle(doubt, vec![units]).await;
    assert!(!one.install(group, counts(0), mark).await, "a unit was returned since");
    let mark = one.mark().await;
    assert!(one.install(group, counts(1), mark).await);
    assert!(other.install(group, counts(9), mark).await, "there are counters");
    assert!(matches!(other.take(units).await, Taking::Taken(_)), "and they stay");
    assert_eq!(one.take(units).await, Taking::Refused(GateRefusal::SoldOut { left: 0 }));
    let elsewhere = GateUnits { group: GateKey { kind: "other", id: GROUP }, ..units };
    assert_eq!(one.take(elsewhere).await, Taking::Absent, "another kind has groups of its own");
    one.keep(units, None).await;
    assert_eq!(other.take(units).await, Taking::Absent, "they may have missed a row that was let through without them");
}

async fn units_are_taken_once(sale: Sale) {
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    assert_eq!(sale.take(1, ADA, 1).await.unwrap_err(), GateRefusal::LimitReached { limit: 2 }, "at every node");
    sale.take(1, BEN, 2).await.unwrap().give_back().await;
    sale.take(0, BEN, 1).await.unwrap().keep().await;
    assert_eq!(sale.take(1, UserId(3), 2).await.unwrap_err(), GateRefusal::SoldOut { left: 1 });
}

async fn a_cancelled_caller_gives_back(sale: Sale) {
    drop(sale.take(0, ADA, 2).await.unwrap());
    assert!(sale.admits(0, ADA, 2).await && sale.admits(1, ADA, 2).await);
}

async fn a_row_that_a_load_missed_has_it_loaded_again(sale: Sale) {
    let pass = sale.take(0, ADA, 2).await.unwrap();
    sale.forget().await;
    assert!(sale.admits(1, ADA, 2).await, "loaded before the row was written");
    sale.rows.lock().push((ADA, 2));
    pass.keep().await;
    assert!(!sale.admits(1, ADA, 1).await && sale.admits(1, BEN, 2).await, "loaded again");
}

async fn units_of_older_counters_are_not_returned(sale: Sale) {
    let pass = sale.take(0, ADA, 2).await.unwrap();
    sale.forget().await;
    sale.rows.lock().push((BEN, 2));
    assert!(sale.admits(1, ADA, 2).await, "loaded without them");
    pass.give_back().await;
    assert_eq!(sale.take(0, UserId(3), 3).await.unwrap_err(), GateRefusal::LimitReached { limit: 2 });
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    assert!(!sale.admits(0, UserId(3), 1).await, "four units and no more");
}

async fn what_the_rows_return_is_there_again(sale: Sale) {
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    sale.rows.lock().push((ADA, 2));
    let doubt = sale.nodes[1].doubt().await;
    sale.rows.lock().clear();
    doubt.settle(&Ok(vec![GivenBack { group: GROUP, gate: 0, user: ADA, quantity: 2 }])).await;
    assert!(sale.admits(0, ADA, 2).await);
    sale.take(0, ADA, 2).await.unwrap().keep().await;
    sale.nodes[1].doubt().await.settle(&Err(Error::not_found("reservation"))).await;
    assert!(!sale.admits(0, ADA, 1).await, "nothing was returned");
}

async fn a_doubt_has_the_counters_loaded_again(sale: Sale) {
    for cancelled in [true, false] {
        sale.take(0, ADA, 2).await.unwrap().keep().await;
        assert!(!sale.admits(1, ADA, 1).await);
        let doubt = sale.nodes[0].doubt().await;
        // The rows have returned the units, or have never held them.
        if cancelled {
            drop(doubt);
        } else {
            doubt.settle(&Err(StoreError::Unknown.into())).await;
        }
        assert!(sale.admits(0, ADA, 2).await, "the node that is in doubt");
        assert!(sale.admits(1, ADA, 2).await, "and the other one");
        sale.forget().await;
    }
}
