//! The order service's transactions on the memory engine: steps of a saga, parcels and returns, each alone.

mod currency;
mod desk;
mod returns;
mod saga;
