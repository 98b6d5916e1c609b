//! The pure rules of the service: they get the time as an argument.

pub(crate) mod format;
pub(crate) mod registration;
pub(crate) mod renewals;
pub(crate) mod view;
pub(crate) mod xml;
