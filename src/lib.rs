//! promox as a library: its settings, its HTTP server, its wiring and its command line, so that tests start a whole
//! node in process.

pub mod background;
pub mod cli;
mod cluster;
mod compute;
pub mod config;
mod descriptors;
pub mod engine;
pub mod exit;
mod files;
pub mod http;
mod idempotency;
mod job_log;
pub mod log;
pub mod node;
pub mod ops;
mod parts;
pub mod permissions;
mod setup;
mod systemd;
mod traces;
pub mod verify;
