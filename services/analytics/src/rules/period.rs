//! Periods `[from,to)` in the store's zone: parsing, the preceding period, and the points of a chart.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit, Zoned, ZonedRound};
use promox_kernel::{Error, Timestamp, text_enum};

/// The microseconds of a minute.
const MINUTE: i64 = 60_000_000;
/// The default length of a period, in days.
const DEFAULT_DAYS: i64 = 30;
/// The supported years.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2200;

text_enum! {
    /// The granularity of a chart.
    Granularity {
        Minute = "minute",
        Hour = "hour",
        Day = "day",
        Week = "week",
        Month = "month",
    }
}

/// A period from one instant up to, but not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// Parses an instant: RFC 3339, or a date or time in the store's zone. Errors point to `pointer`.
fn instant(text: &str, zone: &TimeZone, pointer: &str) -> Result<Timestamp, Error> {
    let fault = || {
        Error::field(pointer, "must be a time such as 2026-11-23T05:33:00Z, or a day of the store such as 2026-11-23")
    };
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time,
        Err(_) => local(text).ok_or_else(fault)?.to_zoned(zone.clone()).map_err(|_| fault())?.timestamp(),
    };
    if !YEARS.contains(&instant.to_zoned(TimeZone::UTC).year()) {
        return Err(Error::field(pointer, "must be between the years 1900 and 2200"));
    }
    Ok(Timestamp::from_jiff(instant))
}

/// Parses a date, which means its midnight, or a time without a zone.
fn local(text: &str) -> Option<DateTime> {
    match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => Some(date.at(0, 0, 0, 0)),
        _ => text.parse::<DateTime>().ok(),
    }
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    at.to_jiff().to_zoned(zone.clone())
}

/// The instant this many days later, at the same time of day in the zone.
fn days_later(at: Timestamp, days: i64, zone: &TimeZone) -> Timestamp {
    let moved = zoned(at, zone).checked_add(days.days());
    moved.map_or(at, |moved| Timestamp::from_jiff(moved.timestamp()))
}

/// Parses a period. The default is the 30 days up to the end of the current minute.
pub(crate) fn period(from: Option<&str>, to: Option<&str>, now: Timestamp, zone: &TimeZone) -> Result<Period, Error> {
    let to = match to {
        Some(text) => instant(text, zone, "?to")?,
        None => Timestamp(now.0 - now.0.rem_euclid(MINUTE) + MINUTE),
    };
    let from = match from {
        Some(text) => instant(text, zone, "?from")?,
        None => days_later(to, -DEFAULT_DAYS, zone),
    };
    if from >= to {
        return Err(Error::field("?from", "must be before to"));
    }
    Ok(Period { from, to })
}

fn is_midnight(at: Timestamp, zone: &TimeZone) -> bool {
    let local = zoned(at, zone);
    local.start_of_day().is_ok_and(|start| start.timestamp() == local.timestamp())
}

impl Period {
    /// The preceding period of equal length. The length is measured in days if both ends are midnights of the zone,
    /// else in microseconds.
    pub(crate) fn previous(self, zone: &TimeZone) -> Self {
        let whole = is_midnight(self.from, zone) && is_midnight(self.to, zone);
        let days = whole.then(|| days_between(self, zone)).flatten();
        let from = match days {
            Some(days) => days_later(self.from, -days, zone),
            None => Timestamp(self.from.0.saturating_sub(self.to.0 - self.from.0)),
        };
        Self { from, to: self.from }
    }

    /// The points of a chart, oldest first. The ends of the period may cut the first and the last one short. `None` if
    /// there would be too many points.
    pub(crate) fn parts(self, granularity: Granularity, zone: &TimeZone) -> Option<Vec<Self>> {
        let mut parts = Vec::new();
        let mut from = self.from;
        while from < self.to {
            if parts.len() == granularity.max_points() {
                return None;
            }
            let to = granularity.end(from, zone).min(self.to);
            parts.push(Self { from, to });
            from = to;
        }
        Some(parts)
    }
}

impl Period {
    /// The point of a chart in which the period begins. A day begins at midnight in the zone, any other point when the
    /// period begins.
    pub(crate) fn first_part(self, granularity: Granularity, zone: &TimeZone) -> Self {
        let end = granularity.end(self.from, zone);
        let start = match granularity {
            Granularity::Day => {
                zoned(self.from, zone).start_of_day().ok().map(|start| Timestamp::from_jiff(start.timestamp()))
            }
            _ => None,
        };
        Self { from: start.unwrap_or(self.from), to: end }
    }
}

/// The number of calendar days of a period in the zone.
fn days_between(period: Period, zone: &TimeZone) -> Option<i64> {
    let (from, to) = (zoned(period.from, zone).date(), zoned(period.to, zone).date());
    let span = from.until((Unit::Day, to)).ok()?;
    Some(i64::from(span.get_days()))
}

impl Granularity {
    /// The maximum number of points of a chart.
    pub(crate) fn max_points(self) -> usize {
        match self {
            Self::Minute => 1_440,
            Self::Hour => 31 * 24,
            Self::Day => 2 * 366,
            Self::Week => 10 * 53,
            Self::Month => 50 * 12,
        }
    }

    /// The end of the chart point that contains a time.
    fn end(self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let local = zoned(at, zone);
        let end = match self {
            // Offsets of zones have been whole minutes for a long time.
            Self::Minute => return Timestamp(at.0 - at.0.rem_euclid(MINUTE) + MINUTE),
            Self::Hour => return next_hour(&local).max(Timestamp(at.0 + 1)),
            Self::Day => local.start_of_day().and_then(|start| start.checked_add(1.day())),
            Self::Week => {
                let days_passed = i64::from(local.weekday().to_monday_zero_offset());
                let monday = local.date().checked_add((7 - days_passed).days());
                monday.and_then(|monday| monday.to_zoned(zone.clone()))
            }
            Self::Month => {
                let next = local.date().last_of_month().checked_add(1.day());
                next.and_then(|first| first.to_zoned(zone.clone()))
            }
        };
        end.map_or(Timestamp(i64::MAX), |end| Timestamp::from_jiff(end.timestamp()))
    }
}

/// The next full hour on the wall clock. A point is never longer than an hour, even when the clocks are set back.
fn next_hour(local: &Zoned) -> Timestamp {
    let start = local.round(ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor));
    let start = start.map_or(local.timestamp(), |start| start.timestamp());
    Timestamp::from_jiff(start) + Duration::from_hours(1)
}
