//! The embedded engine from outside: durability, crashes, faults.

mod crash;
mod durable;
mod model;
mod rows;
mod stepped;
