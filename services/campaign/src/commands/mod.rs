//! What changes campaigns: each command loads, decides, writes and tells in one transaction.

pub(crate) mod budgets;
pub(crate) mod campaigns;
pub(crate) mod moves;
pub(crate) mod segments;
