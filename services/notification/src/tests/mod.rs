//! Notifications on the memory engine, with a small shop in place of the other services.

mod desk;
mod inbox;
mod sending;
mod smtp;
mod templates;
