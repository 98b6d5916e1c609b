//! Codes in and out, streamed: the export of a batch, and codes that were issued elsewhere.

mod export;
mod import;
mod rows;

pub(crate) use export::export;
pub(crate) use import::import;
