//! What changes stock. Every command loads, decides by the rules, and writes through the [`Book`], which keeps the ledger
//! and tells what others need to know.

pub(crate) mod aside;
pub(crate) mod book;
pub(crate) mod holds;
pub(crate) mod stock;

pub(crate) use book::Book;
