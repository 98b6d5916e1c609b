//! The payment service on the memory engine; every scenario ends with the auditor.

mod charges;
mod endings;
mod refunds;
mod shop;
mod unpaid;
mod webhooks;
