//! Tools for operators: health, metrics, log levels, settings, jobs, the last requests, in the shapes of Spring's actuator.

pub(crate) mod api;
pub(crate) mod breakers;
mod document;
pub(crate) mod endpoints;
mod environment;
pub(crate) mod exchanges;
mod exposition;
pub(crate) mod health;
mod mappings;
mod meters;
pub(crate) mod metrics;
mod process;
