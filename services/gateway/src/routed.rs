//! A route in use: its rule, its applications and its figures.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use promox_kernel::{Access, Error, sha256, text_enum};

use crate::app::App;
use crate::policy::{Figures, Reported};
use crate::records::RouteId;
use crate::reject;
use crate::rules::route::RouteRule;
use promox_outbound::breaker::Outcome;
use tokio::sync::watch;

text_enum! {
    /// Where a route comes from.
    RouteSource {
        /// A service of promox itself.
        BuiltIn = "BUILT_IN",
        /// The configuration.
        Configuration = "CONFIGURATION",
        /// Made at run time.
        Runtime = "RUNTIME",
    }
}

/// A route to an application, in use.
#[derive(Debug)]
pub struct Route {
    /// The id of a route that was made at run time.
    pub id: Option<RouteId>,
    /// What it says.
    pub rule: RouteRule,
    /// The access that it requires.
    pub access: Access,
    /// The application.
    pub app: Arc<App>,
    /// The application that replaces it.
    pub fallback: Option<Arc<App>>,
    /// Identifies the route by its application and path, also after a restart.
    pub class: u32,
    /// Its sender is dropped when a route that was made at run time is removed.
    end: Option<watch::Receiver<()>>,
    in_flight: AtomicUsize,
    figures: Figures,
}

/// A request of a route, in flight until it is dropped.
#[derive(Debug)]
pub struct Passage {
    route: Arc<Route>,
    since: Duration,
}

impl Route {
    pub(crate) fn new(
        id: Option<RouteId>,
        rule: RouteRule,
        access: Access,
        app: Arc<App>,
        fallback: Option<Arc<App>>,
        end: Option<watch::Receiver<()>>,
    ) -> Arc<Self> {
        let digest = sha256([rule.app.as_bytes(), b"\0", rule.path.as_bytes()]);
        let class = digest.first_chunk().copied().map_or(0, u32::from_be_bytes);
        let figures = Figures::default();
        Arc::new(Self { id, rule, access, app, fallback, class, end, in_flight: AtomicUsize::new(0), figures })
    }

    /// The weight among routes with the same conditions.
    pub(crate) fn weight(&self) -> u64 {
        self.rule.weight.unwrap_or(1).into()
    }

    /// Begins a request. 503 `SERVICE_BUSY` when the route has as many as its limit permits.
    pub fn enter(self: &Arc<Self>, now: Duration) -> Result<Passage, Error> {
        let running = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let passage = Passage { route: self.clone(), since: now };
        let is_free = self.rule.limits.concurrent.is_none_or(|limit| running < limit);
        if is_free { Ok(passage) } else { Err(reject::busy(self.app.name())) }
    }

    /// The application that gets a request at `now`: its own, or the fallback while its own cannot.
    pub fn app_at(&self, now: Duration) -> &Arc<App> {
        match &self.fallback {
            Some(fallback) if !self.app.is_available(now) => fallback,
            _ => &self.app,
        }
    }

    /// Requests in flight, and the figures since the start.
    pub(crate) fn report(&self) -> (usize, Reported) {
        (self.in_flight.load(Ordering::Relaxed), self.figures.report())
    }
}

impl Passage {
    /// Completes when the route is removed, which ends its streams.
    pub fn route_removed(&self) -> impl Future<Output = ()> + Send + use<> {
        let end = self.route.end.clone();
        async move {
            match end {
                Some(mut end) => while end.changed().await.is_ok() {},
                None => pending().await,
            }
        }
    }

    /// Records the result of the request.
    pub fn settle(&self, outcome: Outcome, now: Duration) {
        self.route.figures.record(outcome, now.saturating_sub(self.since));
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.route.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
