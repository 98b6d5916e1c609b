//! Collected latencies and their percentiles.

use std::time::Duration;

/// Latencies of one measurement.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds a latency.
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds all latencies of another measurement.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The number of latencies.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The percentile at `mille` per mille, or zero when there are no latencies.
    pub(crate) fn per_mille(&mut self, mille: usize) -> Duration {
        self.0.sort_unstable();
        let at = (self.0.len() * mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default()
    }

    /// A line of the table: the rate over a span of time, p50, p99 and p99.9.
    pub(crate) fn line(&mut self, name: &str, over: Duration) -> String {
        let rate = u128::from(self.count() as u64) * 1_000_000 / over.as_micros().max(1);
        let [p50, p99, p999] = [500, 990, 999].map(|mille| milliseconds(self.per_mille(mille)));
        format!("{name:<44} {rate:>9}/s {p50:>9} {p99:>9} {p999:>9}")
    }

    /// The heading of the table.
    pub(crate) fn heading() -> String {
        format!("{:<44} {:>11} {:>9} {:>9} {:>9}", "", "rate", "p50 ms", "p99 ms", "p99.9 ms")
    }
}

fn milliseconds(span: Duration) -> String {
    let micros = span.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
