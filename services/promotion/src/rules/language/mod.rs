//! The rules language: promotions as documents, and how their parts are checked.

pub(crate) mod action;
pub(crate) mod faults;
pub(crate) mod filter;
pub(crate) mod promotion;
mod scale;
pub(crate) mod schedule;
