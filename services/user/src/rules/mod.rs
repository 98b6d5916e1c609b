//! The pure domain: no tables, no context, `now` is an argument.

pub(crate) mod addresses;
pub(crate) mod chain;
pub(crate) mod passwords;
pub(crate) mod permissions;
pub(crate) mod profile;
pub(crate) mod rotation;
pub(crate) mod secrets;
pub(crate) mod terms;
