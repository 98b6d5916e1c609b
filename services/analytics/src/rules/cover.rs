//! Buckets of time, and the composition of a period from them.
//!
//! Buckets are hours, days and months in UTC, independent of the store's zone. A day in any zone is a run of hours, and
//! buckets do not move when the zone or the clocks change. Times that no whole hour covers are read entry by entry, so
//! that every period is exact.

use promox_kernel::{Timestamp, text_enum};

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

    /// The next finer level; `None` below the hour.
    fn finer(self) -> Option<Self> {
        match self {
            Self::Hour => None,
            Self::Day => Some(Self::Hour),
            Self::Month => Some(Self::Day),
        }
    }

    /// The number of buckets read at once. A single busy month has thousands of rows.
    fn buckets_per_read(self) -> usize {
        match self {
            Self::Month => 1,
            Self::Day => 2,
            Self::Hour => 8,
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

/// A part of a period that is read in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The level of the buckets; `None` for single entries.
    pub(crate) level: Option<Level>,
    /// The start, on a boundary of the level's buckets.
    pub(crate) from: Timestamp,
    /// The end, exclusive.
    pub(crate) to: Timestamp,
}

/// The pieces of `[from,to)`, oldest first: as few buckets as possible, and single entries at the edges.
pub(crate) fn cover(from: Timestamp, to: Timestamp) -> Vec<Piece> {
    let mut pieces = Vec::new();
    cover_by(Some(Level::Month), from, to, &mut pieces);
    pieces
}

/// Adds the pieces of `[from,to)`, with buckets of `level` at most; `None` for single entries.
fn cover_by(level: Option<Level>, from: Timestamp, to: Timestamp, pieces: &mut Vec<Piece>) {
    if from >= to {
        return;
    }
    let Some(level) = level else { return pieces.push(Piece { level: None, from, to }) };
    let (start, end) = (level.ceil(from), level.floor(to));
    if start >= end {
        return cover_by(level.finer(), from, to, pieces);
    }
    cover_by(level.finer(), from, start, pieces);
    add_runs(level, start, end, pieces);
    cover_by(level.finer(), end, to, pieces);
}

/// Adds whole buckets in runs of bounded length.
fn add_runs(level: Level, mut start: Timestamp, end: Timestamp, pieces: &mut Vec<Piece>) {
    while start < end {
        let mut next = start;
        for _ in 0..level.buckets_per_read() {
            next = level.next(next).min(end);
        }
        pieces.push(Piece { level: Some(level), from: start, to: next });
        start = next;
    }
}
