//! The embedded engine from outside: durability, crashes, faults, damage.

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
mod model;
mod rows;
mod shortened;
mod stepped;
mod unfinished;
mod weight;
