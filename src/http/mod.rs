//! The HTTP edge: listener, TLS, limits, routing; a request becomes an operation and its reply a response.
//!
//! Invariants: a route exists only for a registered operation; only `edge/status.rs` picks a status; internal causes
//! are logged here once and never sent; an operation that changes something runs to its end, whether its client waits
//! or not.

mod account;
mod actuator;
mod description;
mod edge;
pub(crate) mod ports;
mod server;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub use actuator::health::{AsyncComponent, Component, Health};
pub use actuator::metrics::Metrics;
pub(crate) use edge::response::stored_refusal;
pub use edge::router::Conflict;
pub use server::{BindError, Server};
