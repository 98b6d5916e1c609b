//! The rules of settings, without I/O: how each group is patched, normalised and validated.

mod groups;

pub(crate) use groups::Group;
pub use groups::MAX_NAME_LEN;
