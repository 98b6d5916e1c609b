//! The HTTP edge: listener, TLS, limits, routing; a request becomes an operation and its reply a response.
//!
//! What always holds: a route exists only for a registered operation, a status is picked only in `edge/status.rs`, internal
//! causes are logged here once and never sent, and an operation that changes something runs to its own end whether its
//! client waits or not.

mod actuator;
mod description;
mod edge;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use actuator::health::{Component, Health};
pub use actuator::metrics::Metrics;
pub(crate) use edge::answer::stored_refusal;
pub use edge::router::Conflict;
pub use server::{BindError, Server};
