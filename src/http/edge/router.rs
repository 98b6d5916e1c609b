//! Routes from the registry. Method and path lead to an operation with its counters, rate and service's permits.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use promox_contract::codes;
use promox_gateway::{Permit, Policy, Traffic};
use promox_kernel::{Access, BodyKind, Entry, Error, Kind, Method, Registry, Replay, did_you_mean};

use crate::config::Limits;
use crate::http::actuator::metrics::{Metrics, Operation};
use crate::http::edge::buckets::Rate;
use crate::http::edge::scope::Scope;

/// Why the operations cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The operations contradict each other: a bug.
    Operations(String),
    /// The settings name operations that do not exist.
    Settings(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Operations(sentence) | Self::Settings(sentence)) = self;
        f.write_str(sentence)
    }
}

impl std::error::Error for Conflict {}

/// An operation as the edge serves it.
pub(crate) struct Route {
    /// The operation's index in the registry.
    pub(crate) entry: usize,
    pub(crate) access: Access,
    pub(crate) body: BodyKind,
    pub(crate) status: u16,
    /// Whether a successful reply has content.
    pub(crate) has_content: bool,
    pub(crate) method: Method,
    /// Whether the operation accepts idempotency keys.
    pub(crate) keyed: bool,
    /// The policies of its service.
    pub(crate) policy: Arc<Policy>,
    /// The rate limit, or none for monitoring operations.
    pub(crate) rate: Option<Rate>,
    pub(crate) counters: Arc<Operation>,
    /// Whether the operation computes for long whatever its body.
    pub(crate) computes: bool,
    parameters: Vec<&'static str>,
}

impl Route {
    /// Permits a request at `now`, the time since the start, as far as the policies of the service allow it.
    pub(crate) fn enter(&self, now: Duration) -> Result<Permit, Error> {
        // A monitor must get an answer while the breaker is open.
        let is_probe = self.rate.is_none();
        if is_probe { self.policy.enter_unbroken(now) } else { self.policy.enter(now) }
    }
}

/// The operations of one path.
struct Methods {
    routes: BTreeMap<Method, usize>,
    allow: HeaderValue,
}

/// All routes.
pub(crate) struct Router {
    paths: matchit::Router<Methods>,
    routes: Vec<Route>,
}

/// The result of a lookup by method and path.
pub(crate) enum Lookup<'a> {
    /// An operation and its path parameters.
    Route(&'a Route, Vec<(String, String)>),
    /// The methods that the path allows; the requested one is not among them.
    OtherMethods(&'a HeaderValue),
    /// No operation has the path.
    Nothing,
}

/// 404 `NO_SUCH_ROUTE`: neither an operation nor an application has the path.
pub(crate) fn no_such_route() -> Error {
    Error::new(Kind::NotFound, codes::NO_SUCH_ROUTE, "There is nothing at this address.")
}

impl Router {
    /// Builds the routes of all operations that have a path.
    pub(crate) fn new(
        registry: &Registry,
        limits: &Limits,
        metrics: &Metrics,
        traffic: &Traffic,
    ) -> Result<Self, Conflict> {
        let mut shapes: BTreeMap<String, BTreeMap<Method, usize>> = BTreeMap::new();
        let (mut routes, mut names): (Vec<Route>, HashSet<&str>) = (Vec::new(), HashSet::new());
        for (index, entry) in registry.entries().iter().enumerate().filter(|(_, entry)| !entry.path.is_empty()) {
            let (shape, parameters) = shape(entry.path);
            let methods = shapes.entry(shape).or_default();
            if let Some(first) = methods.insert(entry.method, routes.len()) {
                let other = routes.get(first).and_then(|route| registry.entries().get(route.entry));
                return Err(Conflict::Operations(format!("{entry:?} and {other:?} are the same route")));
            }
            if !names.insert(entry.name) {
                return Err(Conflict::Operations(format!("{entry:?} has the name of another operation")));
            }
            routes.push(Route {
                entry: index,
                access: entry.access,
                body: entry.body,
                status: entry.status,
                has_content: entry.has_content,
                method: entry.method,
                keyed: is_keyed(entry)?,
                policy: traffic.service(entry.service),
                rate: rate(entry.name, index, limits),
                counters: metrics.operation(entry.service, entry.name, entry.method.as_str(), entry.path),
                computes: COMPUTING.contains(&entry.name),
                parameters,
            });
        }
        check_rates(registry, limits)?;
        Ok(Self { paths: paths(shapes)?, routes })
    }

    /// Finds the route for a method and a raw request path on a listener with this scope.
    pub(crate) fn find(&self, scope: Scope, method: Option<Method>, path: &str) -> Result<Lookup<'_>, Error> {
        let path = scope.resolve(path);
        let Ok(found) = self.paths.at(&path) else { return Ok(Lookup::Nothing) };
        let mut routes = found.value.routes.values().filter_map(|index| self.routes.get(*index));
        if !routes.any(|route| scope.includes(route.policy.name(), &path)) {
            return Ok(Lookup::Nothing);
        }
        let index = method.and_then(|method| found.value.routes.get(&method));
        let Some(route) = index.and_then(|index| self.routes.get(*index)) else {
            return Ok(Lookup::OtherMethods(&found.value.allow));
        };
        let values = found.params.iter().zip(&route.parameters);
        let values = values.map(|((_, raw), name)| Ok(((*name).to_owned(), decode(raw)?)));
        Ok(Lookup::Route(route, values.collect::<Result<_, Error>>()?))
    }
}

fn decode(raw: &str) -> Result<String, Error> {
    let text = percent_decode_str(raw).decode_utf8();
    let fault = || Error::new(Kind::Malformed, codes::MALFORMED_PATH, "The path is not percent-encoded UTF-8.");
    text.map(std::borrow::Cow::into_owned).map_err(|_| fault())
}

/// Returns the path with numbered parameters, so that the names of parameters do not distinguish routes, and the names.
fn shape(path: &'static str) -> (String, Vec<&'static str>) {
    let mut names = Vec::new();
    let parts: Vec<String> = path
        .split('/')
        .map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => {
                let rest = name.strip_prefix('*');
                names.push(rest.unwrap_or(name));
                format!("{{{}p{}}}", if rest.is_some() { "*" } else { "" }, names.len())
            }
            None => part.to_owned(),
        })
        .collect();
    (parts.join("/"), names)
}

fn paths(shapes: BTreeMap<String, BTreeMap<Method, usize>>) -> Result<matchit::Router<Methods>, Conflict> {
    let mut paths = matchit::Router::new();
    for (shape, routes) in shapes {
        let mut names: Vec<&str> = routes.keys().map(|method| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.push("OPTIONS");
        let allow = HeaderValue::try_from(names.join(", ")).map_err(|error| Conflict::Operations(error.to_string()))?;
        let fault = |error| Conflict::Operations(format!("the path {shape} cannot be served: {error}"));
        paths.insert(shape.clone(), Methods { routes, allow }).map_err(fault)?;
    }
    Ok(paths)
}

/// Whether an operation accepts idempotency keys, which its service then stores.
fn is_keyed(entry: &Entry) -> Result<bool, Conflict> {
    if entry.keeps_keys() {
        return Ok(entry.replay == Replay::Keyed);
    }
    Err(Conflict::Operations(format!("{entry:?} takes idempotency keys, but its service has no table for them")))
}

/// Operations that are expensive or invite guessing, with default limits per minute that `limits.rates` overrides.
const SENSITIVE: [(&str, u32); 8] = [
    ("user.register", 120),
    ("user.login", 120),
    ("user.refresh", 240),
    ("user.forgot_password", 30),
    ("user.reset_password", 30),
    ("user.verify_email", 30),
    ("order.look_up", 60),
    ("analytics.record", 240),
];

/// Operations that compute for long: they evaluate all orders of a period.
const COMPUTING: [&str; 1] = ["promotion.backtest"];

/// Operations that cost more of the common limit than a page: those that try codes, and those that compute, with default
/// costs that `limits.costs` overrides.
const COSTS: [(&str, u32); 5] = [
    ("cart.set_codes", 10),
    ("coupon.validate", 10),
    ("order.quote", 2),
    ("order.place", 2),
    ("promotion.calculate", 2),
];

/// Operations without a rate limit: monitoring may share an address with clients, and a server that refuses these would
/// be taken for dead.
const PROBES: [&str; 5] = ["ops.health", "ops.liveness", "ops.readiness", "ops.health_component", "ops.prometheus"];

/// The rate limit of an operation: its own with buckets of its own, the common one at its cost, or none for a probe.
fn rate(name: &str, index: usize, limits: &Limits) -> Option<Rate> {
    let configured = limits.rates.iter().find(|rate| rate.operation == name).map(|own| (own.count, own.seconds));
    let built_in = || SENSITIVE.iter().find(|(sensitive, _)| *sensitive == name).map(|(_, count)| (*count, 60));
    let rate = match configured.or_else(built_in) {
        Some((count, seconds)) => Rate::new(index + 1, count, count, seconds),
        None if PROBES.contains(&name) => return None,
        None => {
            common_rate(limits).costing(COSTS.iter().find(|(costly, _)| *costly == name).map_or(1, |(_, cost)| *cost))
        }
    };
    let cost = limits.costs.iter().find(|cost| cost.operation == name);
    Some(cost.map_or(rate, |cost| rate.costing(cost.requests)))
}

/// The rate that all operations without one of their own share.
pub(crate) fn common_rate(limits: &Limits) -> Rate {
    Rate::new(0, limits.burst, limits.requests_per_minute, 60)
}

fn check_rates(registry: &Registry, limits: &Limits) -> Result<(), Conflict> {
    let names = || registry.entries().iter().filter(|entry| !entry.path.is_empty()).map(|entry| entry.name);
    let rates = limits.rates.iter().map(|rate| ("limits.rates", &rate.operation));
    let costs = limits.costs.iter().map(|cost| ("limits.costs", &cost.operation));
    let fault = |(key, operation): (&str, &String)| {
        format!("{key}: there is no operation {operation}{}", did_you_mean(operation, names()))
    };
    let unknown = rates.chain(costs).filter(|(_, operation)| !names().any(|name| name == operation.as_str()));
    let faults: Vec<String> = unknown.map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(Conflict::Settings(faults.join("; "))) }
}
