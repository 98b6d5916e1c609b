//! How an operator looks after the server: health, metrics, log levels, settings.

pub(crate) mod endpoints;
pub(crate) mod health;
pub(crate) mod metrics;
