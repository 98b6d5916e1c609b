//! One request from its head to its response: routing, limits, headers, body, operation, reply.

pub(crate) mod buckets;
pub(crate) mod context;
pub(crate) mod cors;
pub(crate) mod etag;
pub(crate) mod exchange;
pub(crate) mod forwarding;
pub(crate) mod if_match;
pub(crate) mod incoming;
pub(crate) mod problem;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod scope;
pub(crate) mod status;
