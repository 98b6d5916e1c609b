//! Requests and replies of the gateway's own routes.

use std::collections::BTreeMap;

use promox_contract::discovery::InstanceStatus;
use promox_contract::gateway::{BreakerState, Reachability};
use promox_contract::jwks::Jwks;
use promox_kernel::{Subnet, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::RouteId;
use crate::routed::RouteSource;
use crate::rules::route::{RouteLimits, RouteRule};

/// Lists all routes with their figures: those to applications, and those of promox itself by service and path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRoutes {}
operation! {
    ListRoutes => RouteList, "gateway.routes", Get "/api/gateway/routes", Permission("ops:read"), 200,
    "Lists all routes with their service, instances, breakers and figures."
}

/// Creates a route to a registered application. It is used at once and after a restart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CreateRoute(pub RouteRule);
operation! {
    CreateRoute => RouteView, "gateway.create_route", Post "/api/gateway/routes", Permission("ops:write"), 201,
    "Creates a route to a registered application."
}

/// Deletes a route that was made at run time. Routes of the configuration have no id.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteRoute {
    /// The id.
    pub id: RouteId,
}
operation! {
    DeleteRoute => (), "gateway.delete_route", Delete "/api/gateway/routes/{id}", Permission("ops:write"), 204,
    "Deletes a route that was made at run time."
}

/// Gets the public keys that verify identity tokens (RFC 7517).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct GetIdentityKeys {}
operation! {
    GetIdentityKeys => Jwks, "gateway.identity_keys", Get "/.well-known/identity-jwks.json", Anyone, 200,
    "Gets the public keys that verify identity tokens (RFC 7517)."
}

/// All routes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteList {
    /// The routes: to applications first, then those of promox.
    pub items: Vec<RouteView>,
}
json_reply!(RouteList);

/// The figures of a route, service or instance.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FiguresView {
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Failed requests since the start.
    pub failures: u64,
    /// Failed requests in percent, with one decimal; null without requests.
    pub error_percent: Option<String>,
    /// An upper bound of the median latency in microseconds, at most a quarter too high; null without requests.
    pub p50_micros: Option<u64>,
    /// An upper bound of the 95th percentile.
    pub p95_micros: Option<u64>,
    /// An upper bound of the 99th percentile.
    pub p99_micros: Option<u64>,
}

/// A circuit breaker.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakerView {
    /// The state.
    pub state: BreakerState,
    /// The requests that its percentages are of.
    pub buffered: u64,
    /// Failed ones of them.
    pub failed: u64,
    /// Slow ones of them.
    pub slow: u64,
    /// Requests that it refused since the start.
    pub not_permitted: u64,
}

/// An instance of an application.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayInstance {
    /// The id that it is registered under, or its address.
    pub id: String,
    /// The address.
    pub address: String,
    /// Whether it is reached by HTTPS.
    pub secure: bool,
    /// The status in the registry.
    pub status: InstanceStatus,
    /// Whether it gets requests.
    pub reachability: Reachability,
    /// Its breaker.
    pub breaker: BreakerView,
    /// Its figures.
    pub figures: FiguresView,
}

/// A route with its figures.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The id of a route that was made at run time; null for others.
    pub id: Option<RouteId>,
    /// Where it comes from.
    pub source: RouteSource,
    /// The application, or the service of promox.
    pub service: String,
    /// The beginning of its paths.
    pub path: String,
    /// The methods; all if empty.
    pub methods: Vec<String>,
    /// The host that requests must name; null for any.
    pub host: Option<String>,
    /// The headers that requests must have.
    pub headers: BTreeMap<String, String>,
    /// Who may call it; null for a service of promox, whose operations state it.
    pub access: Option<String>,
    /// The networks that instances must be in; loopback and private networks if empty.
    pub networks: Vec<Subnet>,
    /// The weight among routes with the same conditions.
    pub weight: u32,
    /// What instances get in place of the path; null if it is kept.
    pub rewrite: Option<String>,
    /// The limits.
    pub limits: RouteLimits,
    /// The application that replaces it; null if there is none.
    pub fallback: Option<String>,
    /// The breaker of the service.
    pub breaker: BreakerView,
    /// The figures of the route; of a service of promox, those of the service.
    pub figures: FiguresView,
    /// The instances of the application; none for a service of promox, which is in this process.
    pub instances: Vec<GatewayInstance>,
}
json_reply!(RouteView);
