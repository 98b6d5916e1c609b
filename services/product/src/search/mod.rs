//! Lists of products: a projection of the catalogue in memory, a full-text index beside it, and results kept while they hold.
//!
//! The projection is brought up to a transaction's own epoch before it answers, so that lists are as fresh as rows; only
//! words go through the index, which follows within a second. Whatever is shown is read from rows.

mod cursor;
mod facets;
mod hits;
mod index;
mod projection;
mod results;
mod select;
mod values;

pub use index::IndexPlace;
pub(crate) use index::SearchIndex;
pub(crate) use projection::Projection;
pub(crate) use results::{ResultCache, ResultSet};
pub(crate) use select::Query;
