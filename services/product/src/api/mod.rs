//! Requests and replies of the service: products, categories, search, transfer.

mod categories;
mod products;
mod search;
mod transfer;

pub use categories::*;
pub use products::*;
pub use search::*;
pub use transfer::*;
