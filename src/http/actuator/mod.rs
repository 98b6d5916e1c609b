//! Tools for operators: health, metrics, log levels, settings.

pub(crate) mod endpoints;
pub(crate) mod health;
pub(crate) mod metrics;
