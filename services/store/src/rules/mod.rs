//! The pure domain of settings: what each group may be, and how it is patched.

mod groups;

pub(crate) use groups::Group;
