//! Web Push: messages to browsers that a user has subscribed, encrypted for each.

pub mod api;
pub(crate) mod commands;
mod encryption;
mod handlers;
pub(crate) mod records;
mod sender;

pub(crate) use encryption::Identity;
pub(crate) use sender::{PushOutcome, unhex};
