//! Commands. Each loads rows, decides by the rules, and writes through the [`Book`], which keeps the ledger and emits
//! events.

pub(crate) mod allocations;
pub(crate) mod book;
pub(crate) mod holds;
pub(crate) mod stock;

pub(crate) use book::Book;
