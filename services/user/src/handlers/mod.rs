//! The handlers: authorise, one read or write, convert.

mod account;
mod administration;
mod auth;
mod queries;
