//! Operations of the gateway for other services.

use std::collections::BTreeMap;
use std::net::IpAddr;

use promox_kernel::{json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks whether an instance at this address could get requests: whether the networks of a route that names the application
/// contain it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckAddress {
    /// The application, in upper case.
    pub app: String,
    /// The address.
    pub address: IpAddr,
}
operation! {
    CheckAddress => AddressCheck, "gateway.check_address", internal,
    "Whether an instance at an address could get requests."
}

/// The answer to [`CheckAddress`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressCheck {
    /// Whether it could, or no route names the application yet.
    pub permitted: bool,
}
json_reply!(AddressCheck);

text_enum! {
    /// The state of a circuit breaker.
    BreakerState {
        /// Calls are let through.
        Closed = "CLOSED",
        /// Calls are refused.
        Open = "OPEN",
        /// A few calls are let through.
        HalfOpen = "HALF_OPEN",
    }
}

text_enum! {
    /// Whether an instance gets requests.
    Reachability {
        /// It does.
        In = "IN",
        /// It could not be reached, and gets requests again when a probe reaches it.
        Out = "OUT",
        /// Its address is not in the networks of the route.
        Refused = "REFUSED",
    }
}

/// Gets what the gateway knows of the services of promox and of the instances of applications.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTrafficStates {}
operation! {
    GetTrafficStates => TrafficStates, "gateway.traffic_states", internal,
    "The breakers of services and the reachability of instances."
}

/// The answer to [`GetTrafficStates`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficStates {
    /// The breakers of the services of promox by their names, such as `order`.
    pub services: BTreeMap<String, BreakerState>,
    /// The breakers of the applications that routes name, by their names in upper case.
    pub apps: BTreeMap<String, BreakerState>,
    /// The instances of these applications that requests could be sent to so far.
    pub instances: Vec<InstanceState>,
}
json_reply!(TrafficStates);

/// What the gateway knows of an instance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceState {
    /// The application, in upper case.
    pub app: String,
    /// The id of the instance.
    pub id: String,
    /// Whether it gets requests. If routes differ, it is REFUSED only where none permits its address.
    pub reachability: Reachability,
    /// Its breaker.
    pub breaker: BreakerState,
}
