//! Analytics on the memory engine, beside orders that are played.

mod model;
mod projecting;
mod rebuilding;
mod visiting;
mod world;
