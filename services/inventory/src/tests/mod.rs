//! Tests of the inventory service on the memory engine. Each scenario ends with an audit.

mod allocations;
mod holds;
mod model;
mod shop;
mod stock;
