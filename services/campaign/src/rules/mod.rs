//! Domain rules: the state machine. No storage, no clock.

pub(crate) mod machine;
