//! The pure part: codes and patterns, where a coupon stands, who a buyer is. No storage, no clock.

pub(crate) mod code;
pub(crate) mod pattern;
pub(crate) mod person;
pub(crate) mod standing;
