//! Analytics on the memory engine, with simulated orders.

mod model;
mod projecting;
mod rebuilding;
mod visiting;
mod world;
