//! The HTTP edge: listener, TLS, limits, routing; a request becomes an operation and its reply a response.
//!
//! What always holds: a route exists only for a registered operation, a status is picked only in [`status`], internal
//! causes are logged here once and never sent, and an operation that changes something runs to its own end whether its
//! client waits or not.

mod activity;
mod actuator;
mod answer;
mod buckets;
mod compress;
mod conditions;
mod connection;
mod context;
mod cors;
mod docs;
mod edge;
mod health;
mod incoming;
mod metrics;
mod openapi;
mod payload;
mod problem;
mod router;
mod server;
mod status;
mod tls;
mod unread;

#[cfg(test)]
mod tests;

pub(crate) use answer::stored_refusal;
pub use health::{Component, Health};
pub use metrics::Metrics;
pub use router::Conflict;
pub use server::{BindError, Server};
