//! Flash sales on the memory engine, beside a simulated catalogue, warehouse and campaigns. Every scenario ends with
//! the auditor, which also compares the gates with the rows.

mod buying;
mod market;
mod moving;
mod random;
mod reserving;
mod selling;
mod streaming;
