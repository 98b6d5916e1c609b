//! Commands on rewards. Each loads, decides, writes and publishes in one transaction.

pub(crate) mod accounts;
pub(crate) mod achievements;
pub(crate) mod book;
pub(crate) mod catalogue;
pub(crate) mod orders;
pub(crate) mod referrals;
