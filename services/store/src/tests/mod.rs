//! The store service's transactions on the memory engine.

mod currency;
mod desk;
mod settings;
