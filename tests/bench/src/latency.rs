//! Latencies gathered, and what is said of them.

use std::time::Duration;

/// Latencies of one measurement.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that so many per mille stay under.
    pub(crate) fn per_mille(&mut self, mille: usize) -> Duration {
        self.0.sort_unstable();
        let at = (self.0.len() * mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default()
    }

    /// A line of a table: rate, p50, p99, p99.9.
    pub(crate) fn line(&mut self, name: &str, over: Duration) -> String {
        let rate = u128::from(self.count() as u64) * 1_000_000 / over.as_micros().max(1);
        let [half, most, nearly] = [500, 990, 999].map(|mille| milliseconds(self.per_mille(mille)));
        format!("{name:<44} {rate:>9}/s {half:>9} {most:>9} {nearly:>9}")
    }

    /// The heading over such lines.
    pub(crate) fn heading() -> String {
        format!("{:<44} {:>11} {:>9} {:>9} {:>9}", "", "rate", "p50 ms", "p99 ms", "p99.9 ms")
    }
}

fn milliseconds(span: Duration) -> String {
    let micros = span.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
