//! Requests and replies of the service: products, categories, search, import and export.

mod categories;
mod products;
mod search;
mod transfer;

pub use categories::*;
pub use products::*;
pub use search::*;
pub use transfer::*;
