//! The handlers: each authorises, makes one read or write, and converts the result.

mod account;
mod administration;
mod auth;
mod keys;
mod queries;
