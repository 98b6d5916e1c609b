//! What changes flash sales, each in one transaction: load, decide by the rules, write, tell.

pub(crate) mod claims;
pub(crate) mod holds;
pub(crate) mod sales;
