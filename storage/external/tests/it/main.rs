//! The engines against servers that the tests start.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code, whose tasks end with the test"
)]

mod postgres;
mod redis;
