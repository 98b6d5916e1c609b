//! Commands on flash sales. Each loads rows, decides, writes rows and emits events in one transaction.

pub(crate) mod order_claims;
pub(crate) mod reservations;
pub(crate) mod sales;
