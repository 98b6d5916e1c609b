//! Rules of codes, patterns, eligibility and the identity of buyers. They use neither storage nor the clock.

pub(crate) mod code;
pub(crate) mod eligibility;
pub(crate) mod pattern;
pub(crate) mod person;
