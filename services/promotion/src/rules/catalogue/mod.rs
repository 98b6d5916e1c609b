//! Finding the promotions that may apply, and the CATALOG stage: what price rules make of list prices.

mod bands;
pub(crate) mod index;
pub(crate) mod prices;
