//! The order service's transactions on the memory engine: steps of a saga, parcels and returns, each alone.

mod desk;
mod history;
mod matrix;
mod others;
mod returns;
mod round_trip;
mod saga;
