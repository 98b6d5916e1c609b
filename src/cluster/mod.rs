//! The sockets of the gateway: requests that are passed on to instances of registered applications.
//!
//! Invariants: an address is checked when it is connected to, whatever was registered; nothing that identifies the caller
//! at promox is passed on, except the identity token; a body is never held as a whole; a request is repeated only while
//! nothing of an answer has arrived.

pub(crate) mod dial;
pub(crate) mod download;
pub(crate) mod forward;
mod headers;
mod pool;
pub(crate) mod trust;
mod tunnel;
mod upload;
