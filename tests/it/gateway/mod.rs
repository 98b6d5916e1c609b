//! The gateway: routes to applications, what passes through, and what happens when instances fail.

mod bad_upstreams;
mod https;
mod policies;
mod proxying;
mod resilience;
mod routes;
mod streams;
mod upstream;

pub(crate) use routes::shop_with;
pub(crate) use upstream::Upstream;
