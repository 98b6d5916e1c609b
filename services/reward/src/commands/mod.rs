//! Commands. Each loads rows, decides, writes rows and emits events in one transaction.

pub(crate) mod accounts;
pub(crate) mod achievements;
pub(crate) mod book;
pub(crate) mod offers;
pub(crate) mod orders;
pub(crate) mod referrals;
