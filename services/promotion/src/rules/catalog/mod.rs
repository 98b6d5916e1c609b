//! The index of promotions, and the CATALOG stage, in which price rules turn list prices into catalog prices.

mod bands;
pub(crate) mod index;
pub(crate) mod prices;
