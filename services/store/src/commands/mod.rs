//! Changes to settings, and the lock that fixes the currency.

pub(crate) mod currency;
pub(crate) mod settings;
