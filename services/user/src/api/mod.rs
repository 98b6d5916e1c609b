//! Requests and replies of the user service.

mod account;
mod admin;
mod auth;

pub use account::*;
pub use admin::*;
pub use auth::*;
