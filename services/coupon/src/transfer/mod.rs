//! Streaming export of batches, and import of codes that were issued elsewhere.

mod export;
mod import;
mod rows;

pub(crate) use export::export;
pub(crate) use import::import;
