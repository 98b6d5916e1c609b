//! The order service's transactions on the memory engine: steps of a saga, parcels and returns, each alone.

mod currency;
mod desk;
mod history;
mod returns;
mod round_trip;
mod saga;
