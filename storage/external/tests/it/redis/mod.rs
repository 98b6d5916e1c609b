//! Gates and the cache in Redis.

mod faults;
mod gates;
mod server;
mod shop;
