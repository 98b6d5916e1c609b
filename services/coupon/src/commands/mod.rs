//! What changes coupons: each command loads, decides, writes and tells in one transaction.

pub(crate) mod batches;
pub(crate) mod coupons;
pub(crate) mod redeeming;
