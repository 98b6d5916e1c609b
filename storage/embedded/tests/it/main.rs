//! The embedded engine from outside: durability, crashes, faults.

mod durable;
mod model;
mod rows;
mod stepped;
