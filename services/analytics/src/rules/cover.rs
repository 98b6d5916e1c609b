//! Buckets of time, and the composition of a period from them.
//!
//! Buckets are hours, days and months in UTC, independent of the store's zone. A day in any zone is a run of hours, and
//! buckets do not move when the zone or the clocks change. Times that no whole hour covers are read entry by entry, so
//! that every period is exact.

use promox_kernel::{Timestamp, text_enum};

use super::sum::Sign;

/// The microseconds of an hour.
const HOUR: i64 = 3_600_000_000;
/// The microseconds of a day.
const DAY: i64 = 24 * HOUR;

text_enum! {
    /// The size of a bucket.
    Level {
        Hour = "HOUR",
        Day = "DAY",
        Month = "MONTH",
    }
}

impl Level {
    /// The start of the bucket that contains a time.
    pub(crate) fn floor(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Hour => Timestamp(at.0 - at.0.rem_euclid(HOUR)),
            Self::Day => Timestamp(at.0 - at.0.rem_euclid(DAY)),
            Self::Month => Timestamp(first_of_month(at.0.div_euclid(DAY), 0) * DAY),
        }
    }

    /// The start of the bucket after the one that begins at `start`.
    pub(crate) fn next(self, start: Timestamp) -> Timestamp {
        match self {
            Self::Hour => Timestamp(start.0.saturating_add(HOUR)),
            Self::Day => Timestamp(start.0.saturating_add(DAY)),
            Self::Month => Timestamp(first_of_month(start.0.div_euclid(DAY), 1) * DAY),
        }
    }

    /// The first start of a bucket at or after `at`.
    pub(crate) fn ceil(self, at: Timestamp) -> Timestamp {
        let floor = self.floor(at);
        if floor == at { at } else { self.next(floor) }
    }

    /// The start of a bucket that is nearest to `at`.
    fn nearest(self, at: Timestamp) -> Timestamp {
        let (before, after) = (self.floor(at), self.ceil(at));
        if at.0.abs_diff(before.0) <= at.0.abs_diff(after.0) { before } else { after }
    }

    /// The next coarser level; `None` above the month.
    fn coarser(self) -> Option<Self> {
        match self {
            Self::Hour => Some(Self::Day),
            Self::Day => Some(Self::Month),
            Self::Month => None,
        }
    }

    /// The next finer level; `None` below the hour.
    fn finer(self) -> Option<Self> {
        match self {
            Self::Hour => None,
            Self::Day => Some(Self::Hour),
            Self::Month => Some(Self::Day),
        }
    }
}

/// The first day of the month that is `later` months after the month of a day. Days are counted from 1970.
///
/// It uses Howard Hinnant's algorithms, <https://howardhinnant.github.io/date_algorithms.html>.
fn first_of_month(day: i64, later: i64) -> i64 {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March, so that a leap day ends its year.
    let months = (era * 400 + year_of_era) * 12 + (5 * of_year + 2) / 153 + later;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Consecutive buckets of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) level: Level,
    /// The start, on a boundary of the level's buckets.
    pub(crate) from: Timestamp,
    /// The end, exclusive, also on a boundary.
    pub(crate) to: Timestamp,
}

/// The hours that lie completely in `[from,to)`. Entries before and after them are read one by one. If there is no such
/// hour, the hours are empty and begin and end at `to`.
pub(crate) fn whole_hours(from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
    let (start, end) = (Level::Hour.ceil(from), Level::Hour.floor(to));
    if start < end { (start, end) } else { (to, to) }
}

/// The runs of buckets that make up `[from,to)`, whose ends are full hours: as few buckets as possible.
pub(crate) fn cover(from: Timestamp, to: Timestamp) -> Vec<Run> {
    let mut runs = Vec::new();
    cover_by(Level::Month, from, to, &mut runs);
    runs
}

/// Adds the runs of `[from,to)`, with buckets of `level` at most.
fn cover_by(level: Level, from: Timestamp, to: Timestamp, runs: &mut Vec<Run>) {
    if from >= to {
        return;
    }
    let Some(finer) = level.finer() else { return runs.push(Run { level, from, to }) };
    let (start, end) = (level.ceil(from), level.floor(to));
    if start >= end {
        return cover_by(finer, from, to, runs);
    }
    cover_by(finer, from, start, runs);
    runs.push(Run { level, from: start, to: end });
    cover_by(finer, end, to, runs);
}

/// The runs of buckets whose sums make up the sum of `[from,to)`, whose ends are full hours. Where that takes fewer
/// buckets, a larger bucket is added and the part of it outside the period is subtracted.
pub(crate) fn signed_cover(from: Timestamp, to: Timestamp) -> Vec<(Sign, Run)> {
    let mut runs = Vec::new();
    let (mut level, mut from, mut to) = (Level::Hour, from, to);
    while from < to {
        let coarser = level.coarser();
        let ends = coarser.map(|coarser| (coarser.nearest(from), coarser.nearest(to)));
        // Going to the nearest boundaries of coarser buckets pays only if it takes fewer buckets than the period has.
        let worth = |(start, end): &(Timestamp, Timestamp)| {
            start < end && start.0.abs_diff(from.0) + end.0.abs_diff(to.0) < to.0.abs_diff(from.0)
        };
        let (Some(coarser), Some((start, end))) = (coarser, ends.filter(worth)) else {
            runs.push((Sign::Plus, Run { level, from, to }));
            break;
        };
        push_difference(level, from, start, &mut runs);
        push_difference(level, end, to, &mut runs);
        (level, from, to) = (coarser, start, end);
    }
    runs
}

/// Adds the buckets of `[from,to)`, or subtracts those of `[to,from)`.
fn push_difference(level: Level, from: Timestamp, to: Timestamp, runs: &mut Vec<(Sign, Run)>) {
    if from < to {
        runs.push((Sign::Plus, Run { level, from, to }));
    }
    if to < from {
        runs.push((Sign::Minus, Run { level, from: to, to: from }));
    }
}
