//! Commands on flash sales. Each loads, decides by the rules, writes and publishes in one transaction.

pub(crate) mod claims;
pub(crate) mod holds;
pub(crate) mod sales;
