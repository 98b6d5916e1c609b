//! The order service on the memory engine: steps of sagas, parcels, returns, import and export.

mod fixture;
mod history;
mod matrix;
mod returns;
mod round_trip;
mod saga;
mod stub_services;
