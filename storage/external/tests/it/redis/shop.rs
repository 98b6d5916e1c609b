//! A shop with one flash sale, whose rows are in memory and whose gates are in Redis.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use promox_external::redis::RedisGates;
use promox_kernel::{Entropy, Error, UserId};
use promox_storage::{GateCounts, GateEngine, Gates, LoadedGates, ReturnedUnits};
use tokio::task::JoinSet;

use super::server::Server;

/// The gates of a node.
pub(super) fn gates(server: &Server) -> Arc<dyn GateEngine> {
    Arc::new(RedisGates::new(server.connect(), Entropy::system()))
}

/// What became of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bought {
    Sold,
    RefusedByGate,
    RefusedByRows,
}

const SALE: i64 = 7;

/// Two nodes.
pub(super) struct Shop {
    nodes: [Gates<i64, ()>; 2],
    units: i64,
    limit: Option<u32>,
    /// The units of each user.
    rows: Mutex<HashMap<UserId, i64>>,
    /// How often the counters were loaded.
    pub(super) loads: AtomicUsize,
}

impl Shop {
    pub(super) fn open(units: i64, limit: Option<u32>, engines: [Arc<dyn GateEngine>; 2]) -> Arc<Self> {
        let nodes = engines.map(|engine| Gates::new(engine, "flash sale"));
        Arc::new(Self { nodes, units, limit, rows: Mutex::default(), loads: AtomicUsize::new(0) })
    }

    /// The units sold, according to the rows.
    pub(super) fn sold(&self) -> i64 {
        self.rows.lock().values().sum()
    }

    fn counts(&self) -> Vec<GateCounts> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let users: Vec<_> = self.rows.lock().iter().map(|(user, taken)| (*user, *taken)).collect();
        vec![GateCounts {
            left: self.units - users.iter().map(|(_, taken)| taken).sum::<i64>(),
            limit: self.limit,
            users,
        }]
    }

    /// Writes the row, if the rows allow it.
    fn write(&self, user: UserId) -> bool {
        let mut rows = self.rows.lock();
        let within_limit = self.limit.is_none_or(|limit| rows.get(&user).copied().unwrap_or(0) < i64::from(limit));
        let allowed = within_limit && rows.values().sum::<i64>() < self.units;
        if allowed {
            *rows.entry(user).or_default() += 1;
        }
        allowed
    }

    /// Buys a unit at a node, as a reservation does.
    pub(super) async fn buy(&self, node: usize, user: i64) -> Bought {
        let (gates, user) = (&self.nodes[node], UserId(user));
        let load = || ready(Ok::<_, Error>(LoadedGates { about: (), gates: self.counts() }));
        let Ok(pass) = gates.take((SALE, 0), user, 1, load).await.unwrap() else { return Bought::RefusedByGate };
        tokio::task::yield_now().await;
        if self.write(user) {
            pass.keep().await;
            return Bought::Sold;
        }
        pass.release().await;
        gates.forget(SALE).await;
        Bought::RefusedByRows
    }

    /// Many requests of some users at both nodes at once.
    pub(super) async fn rush(self: &Arc<Self>, requests: usize, users: usize) -> Vec<Bought> {
        let mut buyers = JoinSet::new();
        for number in 0..requests {
            let shop = self.clone();
            buyers.spawn(async move { shop.buy(number % 2, i64::try_from(number % users).unwrap()).await });
        }
        buyers.join_all().await
    }

    /// Returns the units of this many users at the second node.
    pub(super) async fn give_back(&self, users: usize) {
        let doubt = self.nodes[1].doubt().await;
        let returned: Vec<_> = {
            let mut rows = self.rows.lock();
            let holders: Vec<UserId> = rows.keys().copied().take(users).collect();
            let unit = |user: UserId| Some((user, u32::try_from(rows.remove(&user)?).ok()?));
            holders.into_iter().filter_map(unit).collect()
        };
        let returned =
            returned.into_iter().map(|(user, quantity)| ReturnedUnits { group: SALE, gate: 0, user, quantity });
        doubt.settle(&Ok(returned.collect())).await;
    }
}
