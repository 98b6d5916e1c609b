//! The service on the memory engine.
