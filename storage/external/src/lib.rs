//! The storage engines that several nodes share: tables in PostgreSQL, and gates and the cache in Redis.
//!
//! Nothing in a service knows that they exist. Each meets the contract of `storage/core`, and passes the same
//! conformance suite as the embedded engine.

pub mod postgres;
pub mod redis;
