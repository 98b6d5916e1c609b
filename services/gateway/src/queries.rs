//! Reads: stored routes and keys, what of promox is reserved, and the routes with their figures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use promox_contract::gateway::{InstanceState, Reachability, TrafficStates};
use promox_contract::jwks::{Jwk, Jwks};
use promox_kernel::Registry;
use promox_storage::{StoreError, Tx};

use crate::api::{BreakerView, FiguresView, GatewayInstance, RouteView};
use crate::app::Instance;
use crate::policy::Reported;
use crate::records::{IdentityKey, RouteId, StoredRoute};
use crate::routed::{Route, RouteSource};
use crate::rules::address;
use crate::rules::identity::base64url;
use crate::rules::route::{Reserved, RouteLimits, RouteRule};
use crate::traffic::Traffic;
use promox_outbound::breaker::{BreakerCounts, BreakerState};

/// Maximum stored routes and keys, which is more than there ever are.
const MAX_ROWS: usize = 1_000;

/// All routes made at run time, in the order of their ids.
pub(crate) fn stored_routes(tx: &Tx<'_>) -> Result<Vec<StoredRoute>, StoreError> {
    tx.scan::<StoredRoute>().collect(MAX_ROWS)
}

/// All identity keys.
pub(crate) fn identity_keys(tx: &Tx<'_>) -> Result<Vec<IdentityKey>, StoreError> {
    tx.scan::<IdentityKey>().collect(MAX_ROWS)
}

/// The public keys of all identity keys.
pub(crate) fn jwks(mut keys: Vec<IdentityKey>) -> Jwks {
    keys.sort_by_key(|key| std::cmp::Reverse(key.signs_from));
    Jwks { keys: keys.into_iter().map(|key| Jwk::ed25519(key.kid, base64url(&key.public_key))).collect() }
}

/// What the operations of a node reserve for promox.
pub(crate) fn reserved(registry: &Registry) -> Reserved {
    let served = registry.entries().iter().filter(|entry| !entry.path.is_empty());
    let prefixes: BTreeSet<&str> = served.map(|entry| literal_prefix(entry.path)).collect();
    let services: BTreeSet<&'static str> = registry.entries().iter().map(|entry| entry.service).collect();
    let permissions: BTreeSet<&'static str> =
        registry.entries().iter().filter_map(|entry| entry.access.permission()).collect();
    Reserved {
        prefixes: prefixes.into_iter().filter(|prefix| *prefix != "/").map(str::to_owned).collect(),
        services: services.into_iter().collect(),
        permissions: permissions.into_iter().collect(),
    }
}

/// The path before its first parameter.
fn literal_prefix(path: &str) -> &str {
    let literal = path.split("/{").next().unwrap_or(path);
    if literal.is_empty() { "/" } else { literal }
}

/// The routes to use: those of the configuration and the stored ones. A stored one that names a permission which no longer
/// exists is left out, because it would be open to nobody.
pub(crate) fn routes(
    traffic: &Traffic,
    configured: &[RouteRule],
    stored: &[StoredRoute],
    permissions: &[&'static str],
) -> Vec<Arc<Route>> {
    let stored = stored.iter().map(|route| (Some(route.id), &route.rule.0));
    let all = configured.iter().map(|rule| (None, rule)).chain(stored);
    let route = |(id, rule): (Option<RouteId>, &RouteRule)| {
        let access = rule.access(permissions)?;
        let fallback = rule.fallback.as_deref().map(|name| traffic.app(name));
        let end = id.map(|id| traffic.end_of(id));
        Some(Route::new(id, rule.clone(), access, traffic.app(&rule.app), fallback, end))
    };
    all.filter_map(route).collect()
}

/// Whether an instance of an application at this address could get requests of a route. An application without a route may
/// have any address, which is checked when a request is passed on.
pub(crate) fn permits(routes: &[Arc<Route>], app: &str, address: IpAddr) -> bool {
    let names = |route: &&Arc<Route>| route.rule.app == app || route.rule.fallback.as_deref() == Some(app);
    let mut own = routes.iter().filter(names).peekable();
    own.peek().is_none() || own.any(|route| address::is_allowed(address, &route.rule.networks))
}

/// All routes with their figures: those to applications, then those of promox by service and path.
pub(crate) fn views(traffic: &Traffic, registry: &Registry) -> Vec<RouteView> {
    let mut views: Vec<RouteView> = traffic.routes().iter().map(|route| view(traffic, route)).collect();
    let mut own: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for entry in registry.entries().iter().filter(|entry| !entry.path.is_empty()) {
        own.entry(entry.service).or_default().insert(service_prefix(entry.path));
    }
    for policy in traffic.services() {
        let report = policy.report(traffic.now());
        for path in own.get(policy.name()).into_iter().flatten() {
            views.push(RouteView {
                id: None,
                source: RouteSource::BuiltIn,
                service: policy.name().to_owned(),
                path: path.clone(),
                methods: Vec::new(),
                host: None,
                headers: BTreeMap::new(),
                access: None,
                networks: Vec::new(),
                weight: 1,
                rewrite: None,
                limits: RouteLimits::default(),
                fallback: None,
                breaker: breaker_view(report.state, report.counts),
                figures: figures_view(report.in_flight, &report.figures),
                instances: Vec::new(),
            });
        }
    }
    views
}

/// The first segments of a path: `/api/orders` for `/api/orders/{id}/notes`.
fn service_prefix(path: &str) -> String {
    let literal = literal_prefix(path);
    let count = if literal.starts_with("/api/") { 3 } else { 2 };
    literal.split('/').take(count).collect::<Vec<_>>().join("/")
}

/// A route to an application with its figures.
pub(crate) fn view(traffic: &Traffic, route: &Route) -> RouteView {
    let rule = route.rule.clone();
    let (in_flight, figures) = route.report();
    let now = traffic.now();
    let report = route.app.policy().report(now);
    let instances = route.app.instances();
    RouteView {
        id: route.id,
        source: if route.id.is_some() { RouteSource::Runtime } else { RouteSource::Configuration },
        service: rule.app,
        path: rule.path,
        methods: rule.methods,
        host: rule.host,
        headers: rule.headers,
        access: rule.access,
        weight: rule.weight.unwrap_or(1),
        rewrite: rule.rewrite,
        limits: rule.limits,
        fallback: rule.fallback,
        breaker: breaker_view(report.state, report.counts),
        figures: figures_view(in_flight, &figures),
        instances: instances.iter().map(|instance| instance_view(instance, &rule.networks, now)).collect(),
        networks: rule.networks,
    }
}

/// The breakers of services, and the state of the instances of all applications.
pub(crate) fn traffic_states(traffic: &Traffic) -> TrafficStates {
    let now = traffic.now();
    let services = traffic.services().into_iter().map(|policy| (policy.name().to_owned(), policy.report(now).state));
    let mut states = TrafficStates { services: services.collect(), ..TrafficStates::default() };
    let routes = traffic.routes();
    for app in traffic.apps() {
        states.apps.insert(app.name().to_owned(), app.policy().report(now).state);
        for instance in app.instances().iter() {
            let permitted = instance.host.parse().map_or(true, |ip| permits(&routes, app.name(), ip));
            let report = instance.report(now);
            states.instances.push(InstanceState {
                app: app.name().to_owned(),
                id: instance.id.clone(),
                reachability: reachability(permitted, report.is_out),
                breaker: report.state,
            });
        }
    }
    states
}

fn reachability(is_permitted: bool, is_out: bool) -> Reachability {
    match (is_permitted, is_out) {
        (false, _) => Reachability::Refused,
        (true, true) => Reachability::Out,
        (true, false) => Reachability::In,
    }
}

fn instance_view(instance: &Instance, networks: &[promox_kernel::Subnet], now: std::time::Duration) -> GatewayInstance {
    let report = instance.report(now);
    let is_permitted = instance.host.parse().map_or(true, |ip: IpAddr| address::is_allowed(ip, networks));
    GatewayInstance {
        id: instance.id.clone(),
        address: instance.address(),
        secure: instance.is_secure,
        status: report.status,
        reachability: reachability(is_permitted, report.is_out),
        breaker: breaker_view(report.state, report.counts),
        figures: figures_view(report.in_flight, &report.figures),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn breaker_view(state: BreakerState, counts: BreakerCounts) -> BreakerView {
    BreakerView {
        state,
        buffered: count(counts.buffered),
        failed: count(counts.failed),
        slow: count(counts.slow),
        not_permitted: counts.not_permitted,
    }
}

fn figures_view(in_flight: usize, figures: &Reported) -> FiguresView {
    let [p50_micros, p95_micros, p99_micros] = figures.micros;
    let tenths = (figures.failures * 1_000).checked_div(figures.calls);
    FiguresView {
        in_flight: count(in_flight),
        requests: figures.calls,
        failures: figures.failures,
        error_percent: tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
        p50_micros,
        p95_micros,
        p99_micros,
    }
}
