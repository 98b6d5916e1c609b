//! Opening hours in a time zone: they are open while a wall clock there shows them.
//!
//! A clock change therefore needs no rule of its own. Hours that it skips do not occur on that day, and hours that it
//! repeats occur twice.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use promox_kernel::{FieldError, Timestamp};

use super::hours::{Hours, Schedule, weekday};

/// The number of days in which every hour of the week occurs at least once, in spite of clock changes.
const DAYS_WITH_EVERY_HOUR: i32 = 16;

/// Opening hours of the week in a time zone. Without a schedule, it is always open.
#[derive(Clone, Debug)]
pub struct Timetable {
    zone: TimeZone,
    hours: Option<Hours>,
}

/// Always open, in UTC.
impl Default for Timetable {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, hours: None }
    }
}

impl Timetable {
    /// Parses the `timezone` and the `schedule` of the document at the pointer `at`. The error lists every fault.
    pub fn read(timezone: &str, schedule: Option<&Schedule>, at: &str) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let zone = TimeZone::get(timezone).map_err(|_| {
            let detail = format!("must be an IANA time zone such as Europe/London; got \"{timezone}\"");
            faults.push(FieldError::new(format!("{at}/timezone"), detail));
        });
        let hours = schedule.and_then(|schedule| Hours::read(schedule, &format!("{at}/schedule"), &mut faults));
        match zone {
            Ok(zone) if faults.is_empty() => Ok(Self { zone, hours }),
            _ => Err(faults),
        }
    }

    /// Whether a wall clock in the time zone shows these hours.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let Some(hours) = &self.hours else { return true };
        let local = self.local(now);
        let minute = u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs());
        hours.contain(weekday(local.weekday()), minute)
    }

    /// Whether it is open at any time from `start` until before `end`.
    pub fn ever_opens(&self, start: Timestamp, end: Timestamp) -> bool {
        let Some(hours) = &self.hours else { return start < end };
        let (first, last) = (self.date(start), self.date(end));
        if first.until(last).is_ok_and(|span| span.get_days() >= DAYS_WITH_EVERY_HOUR) {
            return true;
        }
        let is_open = |at: Timestamp| start <= at && at < end && self.is_open(at);
        let mut date = first;
        while date <= last {
            if is_open(start) || self.openings(hours, date).into_iter().any(is_open) {
                return true;
            }
            date = date.saturating_add(1.day());
        }
        false
    }

    /// A period around `now` in which it neither opens nor closes, the date stays the same and the clocks do not change:
    /// its start, and its end, exclusive. Both are `None` if it is always open.
    pub fn steady(&self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some(hours) = &self.hours else { return (None, None) };
        let today = self.date(now);
        let mut boundaries = Vec::with_capacity(24);
        for date in [-1, 0, 1, 2].map(|days| today.saturating_add(days.days())) {
            for minute in [0, hours.from, hours.to] {
                boundaries.extend(self.instants_of(date, minute));
            }
        }
        // A clock change at this very instant counts as past.
        let (at, after) = (now.to_jiff(), (now + Duration::from_micros(1)).to_jiff());
        let changes = self.zone.preceding(after).next().into_iter().chain(self.zone.following(at).next());
        boundaries.extend(changes.map(|change| Timestamp::from_jiff(change.timestamp())));
        let since = boundaries.iter().filter(|boundary| **boundary <= now).max().copied();
        (since, boundaries.into_iter().filter(|boundary| *boundary > now).min())
    }

    /// The instants at which a clock in the time zone shows a minute of a day: one, two, or the clock change that skips
    /// it.
    fn instants_of(&self, date: Date, minute: u32) -> impl Iterator<Item = Timestamp> {
        let as_i8 = |part: u32| i8::try_from(part).unwrap_or(0);
        let (date, minute) = if minute < 24 * 60 { (date, minute) } else { (date.saturating_add(1.day()), 0) };
        let time = Time::new(as_i8(minute / 60), as_i8(minute % 60), 0, 0).unwrap_or(Time::MIN);
        let shown = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
        [shown.earlier(), shown.later()].into_iter().filter_map(Result::ok).map(Timestamp::from_jiff)
    }

    /// The day of the week (Monday is 0) and the hour in the time zone.
    pub fn day_and_hour(&self, now: Timestamp) -> (usize, i64) {
        let local = self.local(now);
        (weekday(local.weekday()), i64::from(local.hour()))
    }

    /// The IANA name of its time zone.
    pub fn zone_name(&self) -> Option<&str> {
        self.zone.iana_name()
    }

    /// The date in the time zone.
    pub fn date(&self, now: Timestamp) -> Date {
        self.local(now).date()
    }

    /// The instant at which a date begins in the time zone.
    pub fn start_of(&self, date: Date) -> Timestamp {
        date.to_zoned(self.zone.clone()).map_or(Timestamp(i64::MAX), |zoned| Timestamp::from_jiff(zoned.timestamp()))
    }

    /// The instants at which the hours may begin on a date: at their start time (at both instants if a clock change
    /// repeats it), at midnight, or at the clock change that skips the start time.
    fn openings(&self, hours: &Hours, date: Date) -> Vec<Timestamp> {
        let as_i8 = |part: u32| i8::try_from(part).unwrap_or(0);
        let time = Time::new(as_i8(hours.from / 60), as_i8(hours.from % 60), 0, 0);
        let begin = date.to_datetime(time.unwrap_or(Time::MIN));
        let midnight = date.to_datetime(Time::MIN);
        let fixed = [
            self.zone.to_ambiguous_timestamp(begin).earlier(),
            self.zone.to_ambiguous_timestamp(begin).later(),
            self.zone.to_ambiguous_timestamp(midnight).compatible(),
        ];
        let mut found: Vec<jiff::Timestamp> = fixed.into_iter().filter_map(Result::ok).collect();
        let before = self.zone.to_ambiguous_timestamp(midnight).earlier().ok();
        let clock_change = before.and_then(|before| self.zone.following(before).next());
        found.extend(clock_change.map(|clock_change| clock_change.timestamp()));
        found.into_iter().map(Timestamp::from_jiff).collect()
    }

    fn local(&self, now: Timestamp) -> Zoned {
        now.to_jiff().to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(days: &[&str], from: &str, to: &str) -> Schedule {
        Schedule {
            days: (!days.is_empty()).then(|| days.iter().map(|day| (*day).to_owned()).collect()),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
        }
    }

    fn timetable(zone: &str, days: &[&str], from: &str, to: &str) -> Timetable {
        Timetable::read(zone, Some(&schedule(days, from, to)), "").unwrap()
    }

    #[test]
    fn hours_follow_the_time_zone() {
        let evenings = timetable("America/New_York", &["FRI", "SAT"], "17:00", "22:00");
        for (time, open) in [
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T02:59:59Z", true),
            ("2026-11-28T03:00:00Z", false),
            ("2026-11-28T22:00:00Z", true),
            ("2026-11-29T22:30:00Z", false),
            ("2026-07-03T21:00:00Z", true),
        ] {
            assert_eq!(evenings.is_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_they_begin_on() {
        let night = timetable("UTC", &["SAT"], "22:00", "02:00");
        for (time, open) in [
            ("2026-11-28T21:59:00Z", false),
            ("2026-11-28T22:00:00Z", true),
            ("2026-11-29T01:59:00Z", true),
            ("2026-11-29T02:00:00Z", false),
            ("2026-11-28T01:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn a_clock_change_skips_or_repeats_hours() {
        // In London, clocks go from 01:00 to 02:00 on 29 March 2026 and from 02:00 back to 01:00 on 25 October.
        let hour = timetable("Europe/London", &["SUN"], "01:15", "02:15");
        for (time, open) in [
            ("2026-03-29T00:59:59Z", false),
            ("2026-03-29T01:00:00Z", true),
            ("2026-03-29T01:15:00Z", false),
            ("2026-10-25T00:15:00Z", true),
            ("2026-10-25T00:59:00Z", true),
            ("2026-10-25T01:00:00Z", false),
            ("2026-10-25T01:15:00Z", true),
            ("2026-10-25T02:14:00Z", true),
            ("2026-10-25T02:15:00Z", false),
        ] {
            assert_eq!(hour.is_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn nothing_changes_within_a_steady_period() {
        for (zone, days, from, to) in [
            ("UTC", &["SAT"][..], "22:00", "02:00"),
            ("Europe/London", &["SUN"], "01:15", "02:15"),
            ("Australia/Lord_Howe", &["SUN"], "01:45", "02:00"),
            ("America/New_York", &[], "17:00", "24:00"),
            ("Pacific/Apia", &[], "00:00", "24:00"),
        ] {
            let table = timetable(zone, days, from, to);
            for start in
                ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-10-03T06:00:00Z", "2011-12-29T12:00:00Z"]
            {
                let (mut now, end) = (at(start), Timestamp(at(start).0 + 2 * 24 * 3_600_000_000));
                while now < end {
                    let (since, until) = table.steady(now);
                    let (since, until) = (since.unwrap_or(now), until.unwrap());
                    assert!(since <= now && now < until, "{zone} {now}: {since} to {until}");
                    for moment in [since, Timestamp(until.0 - 1)] {
                        assert_eq!(table.is_open(moment), table.is_open(now), "{zone} {now}: {moment}");
                        assert_eq!(table.steady(moment), table.steady(now), "{zone} {now}: {moment}");
                    }
                    now = Timestamp(now.0 + 15 * 60_000_000);
                }
            }
        }
        assert_eq!(Timetable::default().steady(at("2026-11-28T00:00:00Z")), (None, None));
    }

    #[test]
    fn a_schedule_that_never_applies_is_detected() {
        let opens = |zone: &str, days: &[&str], from: &str, to: &str, start: &str, end: &str| {
            timetable(zone, days, from, to).ever_opens(at(start), at(end))
        };
        // The period from Monday to Thursday has no Saturday. The night of Saturday extends into Sunday.
        assert!(!opens("UTC", &["SAT"], "10:00", "12:00", "2026-11-23T00:00:00Z", "2026-11-26T00:00:00Z"));
        assert!(!opens("UTC", &["SAT"], "10:00", "12:00", "2026-11-28T12:00:00Z", "2026-12-05T10:00:00Z"));
        assert!(opens("UTC", &["SAT"], "10:00", "12:00", "2026-11-28T12:00:00Z", "2026-12-05T10:01:00Z"));
        assert!(opens("UTC", &["SAT"], "22:00", "02:00", "2026-11-29T00:30:00Z", "2026-11-29T01:00:00Z"));
        // The hours lie in the skipped hour, begin in it, or occur only when the hour is repeated.
        let spring = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
        assert!(!opens("Europe/London", &["SUN"], "01:15", "01:45", spring.0, spring.1));
        assert!(opens("Europe/London", &["SUN"], "01:15", "02:15", spring.0, spring.1));
        assert!(opens("Europe/London", &["SUN"], "01:15", "01:45", spring.0, "2026-04-30T12:00:00Z"));
        assert!(opens("Europe/London", &["SUN"], "01:15", "01:45", "2026-10-25T00:50:00Z", "2026-10-25T01:20:00Z"));
        assert!(!timetable("UTC", &[], "00:00", "24:00").ever_opens(at(spring.1), at(spring.0)));
    }

    #[test]
    fn faults_have_pointers() {
        let faults = |zone: &str, schedule: &Schedule| {
            let faults = Timetable::read(zone, Some(schedule), "/it").unwrap_err();
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(faults("Mars/Olympus", &schedule(&[], "00:00", "01:00")), ["/it/timezone"]);
        assert_eq!(
            faults("UTC", &schedule(&["MON", "FUN"], "10:00", "10:00")),
            ["/it/schedule/days/1", "/it/schedule/to"]
        );
        assert_eq!(faults("UTC", &schedule(&[], "24:00", "9:00")), ["/it/schedule/from", "/it/schedule/to"]);
        let dayless = Schedule { days: Some(Vec::new()), from: None, to: None };
        assert_eq!(faults("UTC", &dayless), ["/it/schedule/days"]);
    }
}
