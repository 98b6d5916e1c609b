//! The HTTP client for everything that a service calls outside: payment providers, message providers, merchants.
//!
//! It speaks HTTP/1.1, over TLS with the public certificate authorities, keeps a few idle connections for each host,
//! follows no redirects and reads bounded responses. It has no deadline of its own: callers drop the future.
//!
//! [`breaker`] decides whether a service that fails is called at all, and [`standard_webhooks`] signs messages.
//!
//! Where a URL comes from decides which addresses it may lead to ([`Reach`]). The address is checked when the
//! connection is made, so a name that resolves to another address later cannot evade the check.

pub mod breaker;
mod client;
mod connect;
mod reach;
pub mod standard_webhooks;

pub use client::{HttpClient, SendError};
pub use reach::{Reach, check_url, hide_credentials, is_own};
