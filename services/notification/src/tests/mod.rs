//! Notifications on the memory engine, with a small shop answering for the other services.

mod desk;
mod inbox;
mod sending;
mod smtp;
mod templates;
