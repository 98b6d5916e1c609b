//! Dates: the expiry of points, and birthdays.

use std::time::Duration;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use promox_kernel::Timestamp;

/// The period that counts for a tier: the last 365 days.
pub(crate) const TIER_SPAN: Duration = Duration::from_hours(24 * 365);
/// The resolution of timestamps.
pub(crate) const INSTANT: Duration = Duration::from_micros(1);
/// The expiry of points that never expire.
pub(crate) const END_OF_TIME: Timestamp = Timestamp::LATEST;

/// Returns the time this many calendar months later, in UTC. If that month is too short, its last day is used.
pub(crate) fn months_after(from: Timestamp, months: u32) -> Timestamp {
    let later = from.to_jiff().to_zoned(TimeZone::UTC).checked_add(Span::new().months(months));
    later.map_or(END_OF_TIME, |later| Timestamp::from_jiff(later.timestamp()))
}

/// Returns the time this many days of 24 hours later.
pub(crate) fn days_after(from: Timestamp, days: u32) -> Timestamp {
    from + Duration::from_hours(24 * u64::from(days))
}

/// Returns the date in a time zone; in UTC if the zone is unknown.
pub(crate) fn day(now: Timestamp, timezone: &str) -> Date {
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    now.to_jiff().to_zoned(zone).date()
}

/// Returns the birthdays, as `MM-DD`, that are celebrated on a day. Those on 29 February are celebrated on 28 February
/// if the year is not a leap year.
pub(crate) fn born_on(day: Date) -> Vec<String> {
    let name = |day: Date| day.strftime("%m-%d").to_string();
    let mut days = vec![name(day)];
    if name(day) == "02-28" && !day.in_leap_year() {
        days.push("02-29".to_owned());
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_after_ends_with_a_short_month() {
        for (from, months, want) in [
            ("2026-11-23T05:33:00Z", 12, "2027-11-23T05:33:00.000Z"),
            ("2027-12-31T00:00:00Z", 2, "2028-02-29T00:00:00.000Z"),
            ("2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00.000Z"),
        ] {
            assert_eq!(months_after(from.parse().unwrap(), months).to_string(), want);
        }
    }

    #[test]
    fn a_birthday_on_a_leap_day_is_celebrated_every_year() {
        for (day, want) in [
            ((2027, 2, 28), &["02-28", "02-29"][..]),
            ((2028, 2, 28), &["02-28"]),
            ((2028, 2, 29), &["02-29"]),
            ((2026, 11, 23), &["11-23"]),
        ] {
            assert_eq!(born_on(jiff::civil::date(day.0, day.1, day.2)), want);
        }
        let late = "2026-11-23T23:30:00Z".parse().unwrap();
        assert_eq!(day(late, "Asia/Tokyo").to_string(), "2026-11-24");
        assert_eq!(day(late, "nowhere").to_string(), "2026-11-23");
    }
}
