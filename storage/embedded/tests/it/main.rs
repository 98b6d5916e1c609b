//! Tests of the embedded engine: durability, crashes, faults and damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod backups;
mod chains;
mod conforms;
mod crash;
mod damage;
mod durable;
mod faults;
mod indexes;
mod kill;
mod layouts;
mod memory_limit;
mod model;
mod rows;
mod stepped;
mod truncated;
mod unfinished;
