//! The pure part: the state machine, hours of the week, conditions over customers. No storage, no clock.

pub(crate) mod condition;
pub(crate) mod field;
pub(crate) mod machine;
pub(crate) mod window;
