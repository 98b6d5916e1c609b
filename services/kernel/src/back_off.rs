//! Pauses between retries.

use std::time::Duration;

/// Pauses that double with each consecutive failure, up to a maximum.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The maximum number of doublings.
    pub doublings: u32,
}

impl BackOff {
    /// The pause after this many consecutive failures; zero before the first.
    pub fn after<N: TryInto<u32>>(self, failures: N) -> Duration {
        let failures = failures.try_into().unwrap_or(u32::MAX);
        let doublings = failures.saturating_sub(1).min(self.doublings).min(31);
        if failures == 0 { Duration::ZERO } else { self.first.saturating_mul(1 << doublings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let pauses = BackOff { first: Duration::from_secs(2), doublings: 3 };
        let seconds: Vec<u64> = (0..7).map(|failures: u32| pauses.after(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 2, 4, 8, 16, 16, 16]);
        assert_eq!(pauses.after(u64::MAX), Duration::from_secs(16));
    }
}
