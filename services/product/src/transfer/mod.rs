//! Import and export of whole catalogs, as CSV with one row per variant or as JSON with one product per line. An export
//! can be imported.

mod columns;
mod export;
mod import;
mod parse;

pub(crate) use export::{export, format};
pub(crate) use import::{import, import_rows};
