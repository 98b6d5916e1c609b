//! Tests of the analytics service on the memory engine, with a stubbed order service.

mod model;
mod projecting;
mod rebuilding;
mod visiting;
mod world;
