//! Domain rules: codes and patterns, a coupon's status, the identity of a buyer. No storage, no clock.

pub(crate) mod code;
pub(crate) mod pattern;
pub(crate) mod person;
pub(crate) mod standing;
