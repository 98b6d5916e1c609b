//! The atomics and locks of the gate. Its model check substitutes instrumented ones.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicI64, Ordering};
