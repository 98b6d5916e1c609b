//! The state of the gateway in memory: policies of services, applications with their instances, and the routes in use.
//! The edge and the gateway service share it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::app::App;
use crate::policy::Policy;
use crate::records::RouteId;
use crate::routed::Route;
use crate::rules::address::OwnAddresses;
use crate::rules::table::{Head, Table};
use promox_outbound::breaker::BreakerSettings;
use tokio::sync::watch;

/// The settings of the policies.
#[derive(Clone, Copy, Debug)]
pub struct TrafficSettings {
    /// Maximum number of concurrent requests of a service.
    pub max_running: usize,
    /// The breakers of services and instances.
    pub breaker: BreakerSettings,
    /// How long a new instance takes to get its full share.
    pub slow_start: Duration,
}

/// What a request is routed by.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// The host without its port, in lower case.
    pub host: &'a str,
}

/// The policies, applications and routes of this process.
#[derive(Debug)]
pub struct Traffic {
    settings: TrafficSettings,
    started: Instant,
    services: Mutex<BTreeMap<&'static str, Arc<Policy>>>,
    apps: Mutex<BTreeMap<String, Arc<App>>>,
    table: RwLock<Arc<Table>>,
    own: OwnAddresses,
    /// The ends of routes that were made at run time. Dropping one tells the streams of its route that it is removed.
    ends: Mutex<BTreeMap<RouteId, watch::Sender<()>>>,
    dice: AtomicU64,
}

impl Traffic {
    /// A state without routes.
    pub fn new(settings: TrafficSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            started: Instant::now(),
            services: Mutex::default(),
            apps: Mutex::default(),
            table: RwLock::default(),
            own: OwnAddresses::default(),
            ends: Mutex::default(),
            dice: AtomicU64::new(RandomState::new().hash_one(0)),
        })
    }

    /// The addresses that promox itself listens on.
    pub fn own(&self) -> &OwnAddresses {
        &self.own
    }

    /// The time since the start, which all policies are measured by.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A number below `bound`, spread evenly (`SplitMix64`). It decides which of equal instances gets a request, and names
    /// traces; nothing secret depends on it.
    pub fn random(&self, bound: u64) -> u64 {
        let seed = self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u64::try_from((u128::from(mixed ^ (mixed >> 31)) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// The policies of a service of promox.
    pub fn service(&self, name: &'static str) -> Arc<Policy> {
        let new = || Policy::new(name, self.settings.max_running, self.settings.breaker);
        self.services.lock().entry(name).or_insert_with(new).clone()
    }

    /// The policies of all services of promox that have routes.
    pub fn services(&self) -> Vec<Arc<Policy>> {
        self.services.lock().values().cloned().collect()
    }

    /// The application with this name, in upper case.
    pub(crate) fn app(&self, name: &str) -> Arc<App> {
        let settings = &self.settings;
        let new = || App::new(name, settings.max_running, settings.breaker, settings.slow_start);
        self.apps.lock().entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// The applications that routes name.
    pub fn apps(&self) -> Vec<Arc<App>> {
        self.apps.lock().values().cloned().collect()
    }

    /// The end of a route that was made at run time, whichever of its successive states a request has.
    pub(crate) fn end_of(&self, id: RouteId) -> watch::Receiver<()> {
        self.ends.lock().entry(id).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Replaces the routes. Applications that no route names are forgotten, and the streams of removed routes end.
    pub(crate) fn install(&self, routes: Vec<Arc<Route>>) {
        let named: Vec<&Arc<App>> =
            routes.iter().flat_map(|route| [Some(&route.app), route.fallback.as_ref()]).flatten().collect();
        self.apps.lock().retain(|_, app| named.iter().any(|named| Arc::ptr_eq(named, app)));
        for app in &named {
            let stated =
                routes.iter().filter(|route| Arc::ptr_eq(&route.app, app)).flat_map(|route| &route.rule.instances);
            let mut stated: Vec<String> = stated.cloned().collect();
            stated.sort();
            stated.dedup();
            app.state(stated);
        }
        self.ends.lock().retain(|id, _| routes.iter().any(|route| route.id == Some(*id)));
        *self.table.write() = Arc::new(Table::new(routes));
    }

    /// The route of a request to an application, if there is one. `header` returns the value of a header by its name.
    pub fn route<'a>(&self, head: RequestHead<'a>, header: impl Fn(&str) -> Option<&'a str>) -> Option<Arc<Route>> {
        let table = self.table.read().clone();
        let RequestHead { method, path, host } = head;
        table.find(&Head { method, path, host, header }, |bound| self.random(bound))
    }

    /// All routes to applications.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.table.read().routes().cloned().collect()
    }
}
