//! Tests on the memory engine with a simulated catalog, warehouse and campaigns. Every scenario ends with the auditor,
//! which also compares the gates with the rows.

mod buying;
mod market;
mod random;
mod reserving;
mod schedule;
mod selling;
mod streaming;
