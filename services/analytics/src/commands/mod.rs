//! Changes: projections from events, visits from shoppers' browsers, generations of a rebuild.

pub(crate) mod books;
pub(crate) mod deltas;
pub(crate) mod generations;
pub(crate) mod project;
pub(crate) mod rollups;
pub(crate) mod visits;
