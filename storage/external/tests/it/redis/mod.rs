//! Gates and the cache in Redis.

mod access;
mod cache;
mod faults;
mod gates;
mod server;
mod shop;
