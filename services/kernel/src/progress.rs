//! The progress of long work, shared between the thread that does it and those that show it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much of some work is done, in units that its owner names, such as rows or bytes.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    /// The total, or 0 while it is unknown.
    total: AtomicU64,
}

impl Progress {
    /// Sets the expected total. It may be an estimate.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Counts `units` as done.
    pub fn add(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }

    /// Sets what is done.
    pub fn reach(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// The units that are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The expected total, never less than what is done; `None` if it is unknown.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0).map(|total| total.max(self.done()))
    }
}
