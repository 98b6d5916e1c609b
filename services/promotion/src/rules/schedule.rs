//! When a promotion runs: its start and end, and its hours of the week in its own time zone.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use promox_contract::promotion::RejectReason;
use promox_kernel::Timestamp;

use super::faults::Faults;
use super::language::{Promotion, Schedule};

/// The days as they are written, Monday first.
pub(crate) const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// A span in which every hour of the week comes.
const SURELY: i64 = 9;

/// When a promotion runs.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    zone: TimeZone,
    hours: Option<Hours>,
}

/// Hours of the week in minutes from midnight. `to` at or before `from` is on the next day.
#[derive(Clone, Debug)]
struct Hours {
    days: [bool; 7],
    from: u32,
    to: u32,
}

impl Hours {
    fn on(&self, day: usize) -> bool {
        self.days.get(day % 7).copied().unwrap_or(false)
    }

    fn contain(&self, day: usize, minute: u32) -> bool {
        if self.from < self.to {
            return self.on(day) && (self.from..self.to).contains(&minute);
        }
        (self.on(day) && minute >= self.from) || (self.on(day + 6) && minute < self.to)
    }
}

impl Window {
    /// The window of a promotion; faults are noted.
    pub(crate) fn of(promotion: &Promotion, faults: &mut Faults) -> Self {
        let zone = TimeZone::get(&promotion.timezone).unwrap_or_else(|_| {
            faults.at("/timezone", format!("\"{}\" is no IANA time zone such as Europe/London", promotion.timezone));
            TimeZone::UTC
        });
        let hours = promotion.schedule.as_ref().and_then(|schedule| hours(schedule, faults));
        let window = Self { starts: promotion.starts_at, ends: promotion.ends_at, zone, hours };
        if let (Some(starts), Some(ends)) = (window.starts, window.ends)
            && starts >= ends
        {
            faults.at("/endsAt", "it ends before it starts");
        } else if !window.ever_comes() {
            faults.at("/schedule", "these hours never come between startsAt and endsAt");
        }
        window
    }

    /// Whether it runs, else why not.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), RejectReason> {
        if self.starts.is_some_and(|starts| now < starts) {
            return Err(RejectReason::NotStarted);
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            return Err(RejectReason::Expired);
        }
        self.check_hours(now)
    }

    /// The same without start and end: for orders of the past.
    pub(crate) fn check_hours(&self, now: Timestamp) -> Result<(), RejectReason> {
        let Some(hours) = &self.hours else { return Ok(()) };
        let local = self.local(now);
        let (hour, minute) = (local.hour().unsigned_abs(), local.minute().unsigned_abs());
        let open = hours.contain(weekday(local.weekday()), u32::from(hour) * 60 + u32::from(minute));
        if open { Ok(()) } else { Err(RejectReason::NotStarted) }
    }

    /// The day of the week, Monday 0, and the hour, where the promotion is.
    pub(crate) fn day_and_hour(&self, now: Timestamp) -> (usize, i64) {
        let local = self.local(now);
        (weekday(local.weekday()), i64::from(local.hour()))
    }

    /// The date where the promotion is.
    pub(crate) fn date(&self, now: Timestamp) -> Date {
        self.local(now).date()
    }

    /// When a local date begins.
    pub(crate) fn start_of(&self, date: Date) -> Timestamp {
        date.to_zoned(self.zone.clone()).map_or(Timestamp(i64::MAX), |zoned| Timestamp::from_jiff(zoned.timestamp()))
    }

    fn local(&self, now: Timestamp) -> Zoned {
        now.to_jiff().to_zoned(self.zone.clone())
    }

    /// Whether its hours come at all between its start and its end.
    fn ever_comes(&self) -> bool {
        let (Some(starts), Some(ends), Some(hours)) = (self.starts, self.ends, &self.hours) else { return true };
        let (first, last) = (self.date(starts), self.date(ends));
        if first.until(last).is_ok_and(|span| i64::from(span.get_days()) >= SURELY) {
            return true;
        }
        let inside = |at: Timestamp| at >= starts && at < ends && self.check_hours(at).is_ok();
        if inside(starts) {
            return true;
        }
        // Open times begin when hours begin, or when the clock jumps into them.
        let jumps = self.zone.following(starts.to_jiff()).map(|jump| Timestamp::from_jiff(jump.timestamp()));
        if jumps.take_while(|at| *at < ends).any(inside) {
            return true;
        }
        let mut date = first;
        while date <= last {
            if inside(self.moment(date, hours.from)) {
                return true;
            }
            date = date.saturating_add(1.day());
        }
        false
    }

    fn moment(&self, date: Date, minute: u32) -> Timestamp {
        let part = |part: u32| i8::try_from(part).unwrap_or(0);
        let time = Time::new(part(minute / 60), part(minute % 60), 0, 0).unwrap_or(Time::MIN);
        date.to_datetime(time)
            .to_zoned(self.zone.clone())
            .map_or(Timestamp(i64::MAX), |at| Timestamp::from_jiff(at.timestamp()))
    }
}

/// Monday 0 to Sunday 6.
pub(crate) fn weekday(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

fn hours(schedule: &Schedule, faults: &mut Faults) -> Option<Hours> {
    let mut days = [schedule.days.is_none(); 7];
    for (i, name) in schedule.days.iter().flatten().enumerate() {
        match DAYS.iter().position(|day| day == name).and_then(|day| days.get_mut(day)) {
            Some(day) => *day = true,
            None => faults.at(&format!("/schedule/days/{i}"), format!("\"{name}\" is none of {}", DAYS.join(", "))),
        }
    }
    if schedule.days.as_ref().is_some_and(Vec::is_empty) {
        faults.at("/schedule/days", "a schedule without days never comes");
    }
    let from = minute(schedule.from.as_deref().unwrap_or("00:00"));
    let to = minute(schedule.to.as_deref().unwrap_or("24:00"));
    if from.is_none_or(|from| from == DAY) {
        faults.at("/schedule/from", "a time of the day such as 17:00");
    }
    if to.is_none() {
        faults.at("/schedule/to", "a time of the day such as 22:00, or 24:00 for its end");
    }
    let (from, to) = (from?, to?);
    if from == to {
        faults.at("/schedule/to", "hours that end when they begin never come");
    }
    Some(Hours { days, from, to })
}

/// Minutes from midnight of `"17:00"`.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    let (hour, minute): (u32, u32) = (two(hour)??, two(minute)??);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}
