//! Writes: projections of events, visits of shoppers, and generations of the projections.

pub(crate) mod deltas;
pub(crate) mod entry_writer;
pub(crate) mod generations;
pub(crate) mod project;
pub(crate) mod rollups;
pub(crate) mod visits;
