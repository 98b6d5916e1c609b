//! The pure rules of the service: they use no tables and no context, and get the time as an argument.

pub(crate) mod addresses;
pub(crate) mod chain;
pub(crate) mod passwords;
pub(crate) mod permissions;
pub(crate) mod profile;
pub(crate) mod rotation;
pub(crate) mod secrets;
pub(crate) mod terms;
