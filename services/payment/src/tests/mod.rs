//! The payment service on the memory engine. Every scenario ends with an audit.

mod cancellations;
mod charges;
mod refunds;
mod shipments;
mod shop;
mod unpaid;
mod webhooks;
