//! Lists of products: an in-memory projection of the catalog, a full-text index beside it, and cached results.
//!
//! The projection catches up with a transaction's epoch before it is used, so that lists are as fresh as rows. Only
//! searches for words use the index, which follows within a second. The products on a page are always read from rows.

mod cursor;
mod facets;
mod hits;
mod index;
mod projection;
mod results;
mod select;
#[cfg(test)]
mod tests;
mod values;

pub use index::IndexPlace;
pub(crate) use index::SearchIndex;
pub(crate) use projection::Projection;
pub(crate) use results::{ResultCache, ResultSet};
pub(crate) use select::Query;
