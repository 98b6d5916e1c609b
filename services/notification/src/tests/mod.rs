//! The notification service on the memory engine, with stubs of the services that it calls.

mod inbox;
mod sending;
mod shop;
mod smtp;
mod templates;
mod webhooks;
