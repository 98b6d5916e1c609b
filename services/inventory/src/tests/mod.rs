//! The inventory's commands on the memory engine; every scenario closes with the auditor.

mod allocations;
mod holds;
mod model;
mod shop;
mod stock;
