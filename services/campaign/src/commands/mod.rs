//! Commands on campaigns. Each loads rows, decides, writes rows and emits events in one transaction.

pub(crate) mod budgets;
pub(crate) mod campaigns;
pub(crate) mod segments;
pub(crate) mod transitions;
