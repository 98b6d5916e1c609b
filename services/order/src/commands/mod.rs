//! What happens to an order after its checkout, each a transaction: load, decide, write, tell.

pub(crate) mod cancel;
pub(crate) mod fulfil;
pub(crate) mod leaving;
pub(crate) mod returns;
