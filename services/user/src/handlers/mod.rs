//! What each operation does: authorise, one read or write, convert.

mod account;
mod administration;
mod asked;
mod auth;
