//! The rules language: promotions as documents, and the checks on their parts.

pub(crate) mod action;
pub(crate) mod faults;
pub(crate) mod filter;
pub(crate) mod promotion;
mod scale;
pub(crate) mod schedule;
