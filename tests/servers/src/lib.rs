//! Starts the servers that tests need, as child processes that end with the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test reports what is wrong by panicking"
)]

mod postgres;

pub use postgres::Postgres;
