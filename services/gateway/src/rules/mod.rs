//! The rules of the gateway: which route a request takes, which addresses an application may have, and when a service
//! or an instance gets no requests. Nothing here does I/O; the time is an argument.

pub(crate) mod address;
pub(crate) mod balance;
pub(crate) mod budget;
pub(crate) mod identity;
pub(crate) mod latency;
pub(crate) mod route;
pub(crate) mod table;
