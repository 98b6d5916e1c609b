//! Refusals of the gateway.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Error, Kind};

/// 503 `CIRCUIT_OPEN`: too many requests of the service failed lately. It is tried again after `wait`.
pub(crate) fn circuit_open(service: &str, wait: Duration) -> Error {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let message = format!("{service} has failed too often and is given a pause; try again in {seconds} s.");
    Error::unavailable(codes::CIRCUIT_OPEN, message, seconds)
}

/// 503 `SERVICE_BUSY`: the service runs as many requests as it may.
pub(crate) fn busy(service: &str) -> Error {
    let message = format!("The {service} service has reached its limit of concurrent requests.");
    Error::unavailable(codes::SERVICE_BUSY, message, 1)
}

/// 409 `TOO_MANY_ROUTES`.
pub(crate) fn too_many_routes(limit: usize) -> Error {
    Error::conflict(codes::TOO_MANY_ROUTES, format!("There can be at most {limit} routes."))
}

/// 409 `ROUTE_EXISTS`: a route has the same application and conditions.
pub(crate) fn route_exists() -> Error {
    Error::conflict(codes::ROUTE_EXISTS, "A route to this application with the same conditions exists.")
}

/// 503 `NO_INSTANCE`: no instance of the application is up.
pub fn no_instance(app: &str) -> Error {
    Error::unavailable(codes::NO_INSTANCE, format!("No instance of {app} is available."), 1)
}

/// 502 `UPSTREAM_FAILED`: the application failed to answer.
pub fn upstream_failed(app: &str, what: &str) -> Error {
    Error::new(Kind::BadGateway, codes::UPSTREAM_FAILED, format!("{app} failed to answer: {what}."))
}

/// 504 `UPSTREAM_TIMEOUT`: the application did not answer in time.
pub fn upstream_timeout(app: &str) -> Error {
    Error::new(Kind::GatewayTimeout, codes::UPSTREAM_TIMEOUT, format!("{app} did not answer in time."))
}
