//! What changes: projections by events, visits by what shoppers' browsers tell, generations by a rebuild.

pub(crate) mod books;
pub(crate) mod deltas;
pub(crate) mod generations;
pub(crate) mod project;
pub(crate) mod visits;
