//! Commands, one module per topic. All checks come before the first write.

pub(crate) mod accounts;
pub(crate) mod addresses;
pub(crate) mod administration;
pub(crate) mod api_keys;
pub(crate) mod audit_log;
pub(crate) mod erasures;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod prune;
pub(crate) mod roles;
pub(crate) mod sessions;
