//! The atomics and locks of the gate. The model checker in `tests/gate.rs` replaces them with instrumented ones.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicI64, Ordering};
