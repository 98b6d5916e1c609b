//! Tests of the gateway service: choosing instances, and its routes on the memory engine.

mod instances;
mod routes;
