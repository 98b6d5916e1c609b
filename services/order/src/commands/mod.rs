//! Changes to an order after its checkout, one transaction each: load, decide, write, emit.

pub(crate) mod cancel;
pub(crate) mod fulfil;
pub(crate) mod leaving;
pub(crate) mod returns;
