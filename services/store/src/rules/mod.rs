//! The pure domain of settings: how each group is validated and patched.

mod groups;

pub(crate) use groups::Group;
