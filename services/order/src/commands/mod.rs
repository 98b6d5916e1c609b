//! Changes to orders after their checkout. Each command loads, decides, writes rows and emits events in one
//! transaction.

pub(crate) mod cancel;
pub(crate) mod erasure;
pub(crate) mod fulfil;
pub(crate) mod returns;
