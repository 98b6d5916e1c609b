//! The rate of renewals, by which evictions stop when the network is suspected instead of the instances.

use std::time::Duration;

use promox_kernel::Timestamp;

/// Renewals in this and the last whole minute.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renewals {
    minute: i64,
    current: u64,
    last: u64,
}

impl Renewals {
    fn turn(&mut self, now: Timestamp) {
        let minute = now.seconds().div_euclid(60);
        match minute - self.minute {
            0 => {}
            1 => (self.last, self.current) = (self.current, 0),
            _ => (self.last, self.current) = (0, 0),
        }
        self.minute = minute;
    }

    /// Counts a renewal.
    pub(crate) fn record(&mut self, now: Timestamp) {
        self.turn(now);
        self.current += 1;
    }

    /// The renewals in the last whole minute.
    pub(crate) fn last_minute(mut self, now: Timestamp) -> u64 {
        self.turn(now);
        self.last
    }
}

/// The number of renewals a minute at or below which evictions stop: `percent` of those that instances with these renewal
/// intervals send.
pub(crate) fn threshold(intervals: impl Iterator<Item = Duration>, percent: u64) -> u64 {
    // In thousandths of a renewal, so that intervals of more than a minute count.
    let expected: u64 = intervals.map(|interval| 60_000 / interval.as_secs().max(1)).sum();
    expected * percent / 100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_counted_by_whole_minutes() {
        let mut renewals = Renewals::default();
        let at = Timestamp::from_seconds;
        (0..10).for_each(|second| renewals.record(at(600 + second)));
        assert_eq!(renewals.last_minute(at(659)), 0);
        assert_eq!(renewals.last_minute(at(660)), 10);
        renewals.record(at(665));
        assert_eq!(
            (renewals.last_minute(at(719)), renewals.last_minute(at(720)), renewals.last_minute(at(790))),
            (10, 1, 0)
        );
    }

    #[test]
    fn the_threshold_is_a_share_of_the_expected_renewals() {
        let thirty = Duration::from_secs(30);
        assert_eq!(threshold([thirty; 10].into_iter(), 85), 17);
        assert_eq!(threshold([Duration::from_secs(120); 4].into_iter(), 85), 1);
        assert_eq!(threshold([].into_iter(), 85), 0);
    }
}
