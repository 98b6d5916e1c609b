//! The checkpoint: sorted rows in one redb file, a table each space.

/// The file in the data directory.
pub(crate) const FILE: &str = "data.redb";
