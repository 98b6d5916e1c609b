//! The cart service on the memory engine, with stubs of the services that it calls.

mod checkout;
mod jobs;
mod shop;
mod shopping;
