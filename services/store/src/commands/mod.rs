//! Changes of settings, and the pledge that fixes the currency.

pub(crate) mod currency;
pub(crate) mod settings;
