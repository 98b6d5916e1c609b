//! What changes rewards: each command loads, decides, writes and tells in one transaction.

pub(crate) mod accounts;
pub(crate) mod achievements;
pub(crate) mod book;
pub(crate) mod catalogue;
pub(crate) mod orders;
pub(crate) mod referrals;
