//! The atomics and locks of the gate. Its model check gives it watched ones in their place.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicI64, Ordering};
