//! Requests and replies of the user service.

mod account;
mod admin;
mod auth;
mod keys;

pub use account::*;
pub use admin::*;
pub use auth::*;
pub use keys::*;
