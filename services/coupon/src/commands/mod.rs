//! Commands on coupons. Each loads rows, decides, writes rows and emits events in one transaction.

pub(crate) mod batches;
pub(crate) mod coupons;
pub(crate) mod redemptions;
