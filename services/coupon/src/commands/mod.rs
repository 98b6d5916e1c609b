//! Commands on coupons. Each loads, decides, writes and publishes in one transaction.

pub(crate) mod batches;
pub(crate) mod coupons;
pub(crate) mod redeeming;
