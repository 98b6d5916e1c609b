//! Whole catalogues in and out: CSV with a row a variant, or JSON with a product a line. What the export writes, the
//! import takes.

mod columns;
mod export;
mod import;
mod parse;

pub(crate) use export::{export, format};
pub(crate) use import::{import, import_rows};
