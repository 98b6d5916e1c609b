//! A histogram of latencies, from which percentiles are read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per doubling of the latency: a percentile is at most a quarter too high.
const STEPS: usize = 4;
/// Doublings from one microsecond: the last bucket begins above a minute.
const DOUBLINGS: usize = 27;

/// Counts calls by their latency since the start.
#[derive(Debug)]
pub(crate) struct Latencies([AtomicU64; STEPS * DOUBLINGS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; STEPS * DOUBLINGS])
    }
}

/// The bucket of a latency in microseconds.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = usize::try_from(micros.ilog2()).unwrap_or(0);
    // The two bits below the highest one.
    let step = if doubling >= 2 { (micros >> (doubling - 2)) & 3 } else { (micros << (2 - doubling)) & 3 };
    (doubling * STEPS + usize::try_from(step).unwrap_or(0)).min(STEPS * DOUBLINGS - 1)
}

/// The exclusive upper bound of a bucket in microseconds.
fn bound_of(bucket: usize) -> u64 {
    let (doubling, step) = (bucket / STEPS, bucket % STEPS);
    let quarters = u64::try_from(STEPS + step + 1).unwrap_or(0);
    (quarters << doubling).div_ceil(4)
}

impl Latencies {
    /// Counts a call.
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.0.get(bucket_of(micros)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Upper bounds of these percentiles in microseconds; null without calls.
    pub(crate) fn percentiles<const N: usize>(&self, percents: [u64; N]) -> [Option<u64>; N] {
        let counts = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        let all: u64 = counts.iter().sum();
        percents.map(|percent| {
            let mut left = (all * percent).div_ceil(100);
            let reached = counts.iter().position(|count| {
                let is_here = left > 0 && *count >= left;
                left = left.saturating_sub(*count);
                is_here
            });
            reached.map(bound_of)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_the_bucket_that_bounds_it() {
        for micros in (1..5_000).chain([10_000, 123_456, 9_999_999]) {
            let bucket = bucket_of(micros);
            assert!(micros <= bound_of(bucket) && bound_of(bucket) <= micros + micros.div_ceil(4) + 1, "{micros}");
        }
        assert_eq!(bucket_of(u64::MAX), STEPS * DOUBLINGS - 1);
    }

    #[test]
    fn percentiles_bound_the_calls() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentiles([50, 99]), [None, None]);
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        let [median, p99] = latencies.percentiles([50, 99]).map(Option::unwrap);
        assert!((50_000..=62_500).contains(&median) && (99_000..=125_000).contains(&p99), "{median} {p99}");
    }
}
