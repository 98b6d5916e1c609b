//! Commands on campaigns. Each loads, decides, writes and publishes in one transaction.

pub(crate) mod budgets;
pub(crate) mod campaigns;
pub(crate) mod moves;
pub(crate) mod segments;
