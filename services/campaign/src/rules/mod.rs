//! Rules of the campaign state machine. They use neither storage nor the clock.

pub(crate) mod machine;
