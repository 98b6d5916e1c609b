//! The embedded engine from outside: durability, crashes, faults.

mod conforms;
mod crash;
mod durable;
mod model;
mod rows;
mod stepped;
