//! The settings of the gateway: its policies, and the routes to applications.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use promox_gateway::{BreakerSettings, RouteLimits, RouteRule};
use promox_kernel::Subnet;
use serde::{Deserialize, Serialize};

/// The gateway: its policies, and the routes to applications.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// Deadline for the head of an application's response.
    pub deadline_ms: u64,
    /// Deadline for a connection to an instance.
    pub connect_timeout_ms: u64,
    /// A stream or an upgraded connection on which nothing is sent is closed after this.
    pub stream_idle_ms: u64,
    /// Maximum number of idle connections kept to an instance.
    pub idle_connections: usize,
    /// A PEM file of the certificates that instances with HTTPS are trusted by; if empty, those of the machine.
    pub roots: PathBuf,
    /// How long a new instance takes to get its full share of the requests.
    pub slow_start_ms: u64,
    /// A breaker opens at this percentage of failed calls.
    pub breaker_failure_percent: u32,
    /// A breaker opens at this percentage of slow calls.
    pub breaker_slow_percent: u32,
    /// A call that takes this long is slow.
    pub breaker_slow_ms: u64,
    /// The number of calls that a breaker's percentages are of.
    pub breaker_window: usize,
    /// The number of calls from which on a breaker's percentages count.
    pub breaker_minimum_calls: usize,
    /// How long a breaker stays open.
    pub breaker_open_ms: u64,
    /// The number of calls that a half-open breaker lets through.
    pub breaker_half_open_calls: usize,
    /// Routes to applications by the name of the application.
    pub apps: BTreeMap<String, AppRoute>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            deadline_ms: 30_000,
            connect_timeout_ms: 1_000,
            stream_idle_ms: 300_000,
            idle_connections: 128,
            roots: PathBuf::new(),
            slow_start_ms: 30_000,
            breaker_failure_percent: 50,
            breaker_slow_percent: 100,
            breaker_slow_ms: 60_000,
            breaker_window: 100,
            breaker_minimum_calls: 100,
            breaker_open_ms: 60_000,
            breaker_half_open_calls: 10,
            apps: BTreeMap::new(),
        }
    }
}

/// A route to an application. An empty text and 0 mean "not set".
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppRoute {
    /// The beginning of the paths; `/api/` and the name if not set.
    pub path: String,
    /// Only these methods.
    pub methods: Vec<String>,
    /// Only requests to this host.
    pub host: String,
    /// Only requests with these headers.
    pub headers: BTreeMap<String, String>,
    /// `anyone`, `user` or a permission.
    pub access: String,
    /// The networks that instances must be in.
    pub networks: Vec<Subnet>,
    /// Addresses of instances that do not register themselves.
    pub instances: Vec<String>,
    /// The weight among routes with the same conditions.
    pub weight: Option<u32>,
    /// What instances get in place of the path.
    pub rewrite: String,
    /// The application that replaces it.
    pub fallback: String,
    /// Requests per minute from one client.
    pub requests_per_minute: u32,
    /// Requests that one client may send at once after a pause.
    pub burst: u32,
    /// What a request costs of a client's limit.
    pub cost: u32,
    /// Maximum number of concurrent requests.
    pub concurrent: usize,
    /// Deadline for the head of the response.
    pub deadline_ms: u64,
}

/// The value, unless it stands for "not set".
fn given<T: Clone + Default + PartialEq>(value: &T) -> Option<T> {
    (*value != T::default()).then(|| value.clone())
}

impl AppRoute {
    fn rule(&self, app: &str) -> RouteRule {
        let path = given(&self.path).unwrap_or_else(|| format!("/api/{}", app.to_lowercase()));
        RouteRule {
            app: app.to_owned(),
            path,
            methods: self.methods.clone(),
            host: given(&self.host),
            headers: self.headers.clone(),
            access: given(&self.access),
            networks: self.networks.clone(),
            instances: self.instances.clone(),
            weight: self.weight,
            rewrite: given(&self.rewrite),
            limits: RouteLimits {
                requests_per_minute: given(&self.requests_per_minute),
                burst: given(&self.burst),
                cost: given(&self.cost),
                concurrent: given(&self.concurrent),
                deadline_ms: given(&self.deadline_ms),
            },
            fallback: given(&self.fallback),
        }
    }
}

impl Gateway {
    /// The settings of breakers.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            failure_percent: self.breaker_failure_percent,
            slow_percent: self.breaker_slow_percent,
            slow_call: Duration::from_millis(self.breaker_slow_ms),
            window: self.breaker_window,
            minimum_calls: self.breaker_minimum_calls,
            open_for: Duration::from_millis(self.breaker_open_ms),
            half_open_calls: self.breaker_half_open_calls,
        }
    }

    /// The routes to applications.
    pub fn routes(&self) -> Vec<RouteRule> {
        self.apps.iter().map(|(app, route)| route.rule(app)).collect()
    }

    /// The ranges of its numbers.
    pub(super) fn ranges(&self) -> Vec<(&'static str, u64, u64, u64)> {
        let to_u64 = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let hour = 3_600_000;
        vec![
            ("gateway.deadline_ms", self.deadline_ms, 1, hour),
            ("gateway.connect_timeout_ms", self.connect_timeout_ms, 1, 60_000),
            ("gateway.stream_idle_ms", self.stream_idle_ms, 10, 24 * hour),
            ("gateway.idle_connections", to_u64(self.idle_connections), 0, 10_000),
            ("gateway.slow_start_ms", self.slow_start_ms, 0, hour),
            ("gateway.breaker_failure_percent", self.breaker_failure_percent.into(), 1, 100),
            ("gateway.breaker_slow_percent", self.breaker_slow_percent.into(), 1, 100),
            ("gateway.breaker_slow_ms", self.breaker_slow_ms, 1, hour),
            ("gateway.breaker_window", to_u64(self.breaker_window), 1, 10_000),
            ("gateway.breaker_minimum_calls", to_u64(self.breaker_minimum_calls), 1, 10_000),
            ("gateway.breaker_open_ms", self.breaker_open_ms, 1, hour),
            ("gateway.breaker_half_open_calls", to_u64(self.breaker_half_open_calls), 1, 1_000),
        ]
    }

    /// What is wrong with the routes.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let fault = |app: &String, fault: promox_kernel::FieldError| {
            let member = fault.pointer.trim_start_matches('/').replace('/', ".");
            ("gateway.apps", format!("{app}.{member} {}", fault.detail))
        };
        let of_route = |(app, route): (&String, &AppRoute)| {
            route.rule(app).form_faults().into_iter().map(|found| fault(app, found)).collect::<Vec<_>>()
        };
        self.apps.iter().flat_map(of_route).collect()
    }
}
