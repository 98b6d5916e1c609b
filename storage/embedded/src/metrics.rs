//! The metrics of an engine, which the server exports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters and gauges of an engine.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) groups: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) last_group: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) last_sync_micros: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) refused_busy: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) last_checkpoint_micros: AtomicU64,
    pub(crate) checkpointed_at: AtomicU64,
    pub(crate) position: AtomicU64,
}

/// A snapshot of the metrics of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Transactions waiting in the queue.
    pub queue_depth: u64,
    /// Groups written since the start.
    pub groups: u64,
    /// Transactions answered since the start.
    pub transactions: u64,
    /// Transactions in the latest group.
    pub last_group: u64,
    /// Time spent writing and syncing the journal since the start.
    pub sync_total: Duration,
    /// Time spent writing and syncing the latest group.
    pub last_sync: Duration,
    /// Bytes of journal written since the start.
    pub journal_bytes: u64,
    /// Bytes of committed rows in memory.
    pub memory_table_bytes: u64,
    /// Transactions refused because they waited too long or the queue was full.
    pub refused_busy: u64,
    /// Transactions refused because the disk was full.
    pub refused_full: u64,
    /// Checkpoints since the start.
    pub checkpoints: u64,
    /// How long the latest checkpoint took.
    pub last_checkpoint: Duration,
    /// How long ago the latest checkpoint ended.
    pub checkpoint_age: Duration,
    /// The number of the latest group.
    pub position: u64,
    /// The number of the latest group that the checkpoint contains.
    pub applied_position: u64,
    /// Whether the disk is full, so that only reads are served.
    pub read_only: bool,
}

pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

pub(crate) fn set(gauge: &AtomicU64, to: u64) {
    gauge.store(to, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Converts a duration to whole microseconds.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
