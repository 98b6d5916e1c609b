//! Import and export of whole catalogs: CSV with one row per variant, or JSON with one product per line. The import
//! accepts every export.

mod columns;
mod export;
mod import;
mod parse;

pub(crate) use export::{export, format};
pub(crate) use import::{import, import_rows};
