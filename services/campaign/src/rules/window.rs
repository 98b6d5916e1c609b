//! Hours of the week in a time zone: open while a clock on the wall there shows them.
//!
//! So a clock change needs no rule of its own: hours that it leaves out never come that day, hours that it repeats come
//! twice. `to` at or before `from` is on the next day.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use promox_kernel::{FieldError, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::Campaign;

/// The days as they are written, Monday first.
const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// Days in which every hour of the week comes, whatever the clocks do.
const SURELY: i32 = 16;

/// Hours of the week.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CampaignSchedule")]
pub struct Schedule {
    /// The days on which the hours begin, `MON` to `SUN`; every day unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<String>>,
    /// When they begin, `17:00`; at midnight unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When they end, `22:00`; at the next midnight, `24:00`, unless said. At or before `from`, it is on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Hours of the week in minutes from midnight.
#[derive(Clone, Copy, Debug)]
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

/// The hours of a campaign where it is.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    zone: TimeZone,
    hours: Option<Hours>,
}

impl Window {
    /// Reads a time zone and a schedule; every fault with its pointer.
    pub(crate) fn read(timezone: &str, schedule: Option<&Schedule>) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let zone = TimeZone::get(timezone).map_err(|_| {
            let detail = format!("\"{timezone}\" is no IANA time zone such as Europe/London");
            faults.push(FieldError::new("/timezone", detail));
        });
        let hours = schedule.map(|schedule| hours(schedule, &mut faults));
        match (zone, hours) {
            (Ok(zone), None) => Ok(Self { zone, hours: None }),
            (Ok(zone), Some(Some(hours))) => Ok(Self { zone, hours: Some(hours) }),
            _ => Err(faults),
        }
    }

    /// The hours of a campaign, which were read when it was saved.
    pub(crate) fn of(campaign: &Campaign) -> Self {
        let schedule = campaign.schedule.as_ref().map(|schedule| &schedule.0);
        Self::read(&campaign.timezone, schedule).unwrap_or(Self { zone: TimeZone::UTC, hours: None })
    }

    /// Whether a clock on the wall there shows these hours.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        let Some(hours) = &self.hours else { return true };
        let local = self.local(now);
        let minute = u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs());
        hours.contain(weekday(local.weekday()), minute)
    }

    /// Whether the hours come at all from `start` on and before `end`.
    pub(crate) fn ever_comes(&self, start: Timestamp, end: Option<Timestamp>) -> bool {
        let (Some(hours), Some(end)) = (&self.hours, end) else { return end.is_none_or(|end| start < end) };
        let (first, last) = (self.local(start).date(), self.local(end).date());
        if first.until(last).is_ok_and(|span| span.get_days() >= SURELY) {
            return true;
        }
        let open = |at: Timestamp| start <= at && at < end && self.is_open(at);
        let mut date = first;
        while date <= last {
            if open(start) || self.openings(hours, date).into_iter().any(open) {
                return true;
            }
            date = date.saturating_add(1.day());
        }
        false
    }

    /// When the hours may begin on a date: at their time, the first or the second time that it comes, at midnight, or where a
    /// clock change leaps into them.
    fn openings(&self, hours: &Hours, date: Date) -> Vec<Timestamp> {
        let (hour, minute) = (hours.from / 60, hours.from % 60);
        let time = Time::new(i8::try_from(hour).unwrap_or(0), i8::try_from(minute).unwrap_or(0), 0, 0);
        let begin = date.to_datetime(time.unwrap_or(Time::MIN));
        let midnight = date.to_datetime(Time::MIN);
        let fixed = [
            self.zone.to_ambiguous_timestamp(begin).earlier(),
            self.zone.to_ambiguous_timestamp(begin).later(),
            self.zone.to_ambiguous_timestamp(midnight).compatible(),
        ];
        let mut found: Vec<jiff::Timestamp> = fixed.into_iter().filter_map(Result::ok).collect();
        let before = self.zone.to_ambiguous_timestamp(midnight).earlier().ok();
        let leap = before.and_then(|before| self.zone.following(before).next());
        found.extend(leap.map(|leap| leap.timestamp()));
        found.into_iter().map(Timestamp::from_jiff).collect()
    }

    fn local(&self, now: Timestamp) -> Zoned {
        now.to_jiff().to_zoned(self.zone.clone())
    }
}

/// Monday 0 to Sunday 6.
fn weekday(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

fn hours(schedule: &Schedule, faults: &mut Vec<FieldError>) -> Option<Hours> {
    let mut fault = |pointer: &str, detail: &str| faults.push(FieldError::new(format!("/schedule{pointer}"), detail));
    let mut days = [schedule.days.is_none(); 7];
    for (i, name) in schedule.days.iter().flatten().enumerate() {
        match DAYS.iter().position(|day| day == name).and_then(|day| days.get_mut(day)) {
            Some(day) => *day = true,
            None => fault(&format!("/days/{i}"), &format!("\"{name}\" is none of {}", DAYS.join(", "))),
        }
    }
    if schedule.days.as_ref().is_some_and(Vec::is_empty) {
        fault("/days", "a schedule without days never comes");
    }
    let from = minute(schedule.from.as_deref().unwrap_or("00:00")).filter(|from| *from < DAY);
    let to = minute(schedule.to.as_deref().unwrap_or("24:00"));
    if from.is_none() {
        fault("/from", "a time of the day such as 17:00");
    }
    if to.is_none() {
        fault("/to", "a time of the day such as 22:00, or 24:00 for its end");
    }
    if from.is_some() && from == to {
        fault("/to", "hours that end when they begin never come");
    }
    faults.is_empty().then_some(Hours { days, from: from?, to: to? })
}

/// Minutes from midnight of `"17:00"`.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    let (hour, minute): (u32, u32) = (two(hour)??, two(minute)??);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
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

    fn window(zone: &str, days: &[&str], from: &str, to: &str) -> Window {
        Window::read(zone, Some(&schedule(days, from, to))).unwrap()
    }

    #[test]
    fn hours_are_those_of_the_place() {
        let evenings = window("America/New_York", &["FRI", "SAT"], "17:00", "22:00");
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
    fn nights_belong_to_the_day_they_begin_on() {
        let night = window("UTC", &["SAT"], "22:00", "02:00");
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
    fn a_clock_change_leaves_hours_out_or_repeats_them() {
        // On 29 March 2026 London goes from 01:00 to 02:00, on 25 October from 02:00 back to 01:00.
        let hour = window("Europe/London", &["SUN"], "01:15", "02:15");
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
    fn a_schedule_that_never_comes_is_noticed() {
        let comes = |zone: &str, days: &[&str], from: &str, to: &str, start: &str, end: &str| {
            window(zone, days, from, to).ever_comes(at(start), Some(at(end)))
        };
        // From Monday to Thursday there is no Saturday; its night reaches into Sunday.
        assert!(!comes("UTC", &["SAT"], "10:00", "12:00", "2026-11-23T00:00:00Z", "2026-11-26T00:00:00Z"));
        assert!(!comes("UTC", &["SAT"], "10:00", "12:00", "2026-11-28T12:00:00Z", "2026-12-05T10:00:00Z"));
        assert!(comes("UTC", &["SAT"], "10:00", "12:00", "2026-11-28T12:00:00Z", "2026-12-05T10:01:00Z"));
        assert!(comes("UTC", &["SAT"], "22:00", "02:00", "2026-11-29T00:30:00Z", "2026-11-29T01:00:00Z"));
        // The only hour lies in the gap, or begins in it, or comes the second time only.
        let spring = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
        assert!(!comes("Europe/London", &["SUN"], "01:15", "01:45", spring.0, spring.1));
        assert!(comes("Europe/London", &["SUN"], "01:15", "02:15", spring.0, spring.1));
        assert!(comes("Europe/London", &["SUN"], "01:15", "01:45", spring.0, "2026-04-30T12:00:00Z"));
        assert!(comes("Europe/London", &["SUN"], "01:15", "01:45", "2026-10-25T00:50:00Z", "2026-10-25T01:20:00Z"));
        assert!(!window("UTC", &[], "00:00", "24:00").ever_comes(at(spring.1), Some(at(spring.0))));
    }

    #[test]
    fn faults_are_pointed_at() {
        let faults = |zone: &str, schedule: &Schedule| {
            let faults = Window::read(zone, Some(schedule)).unwrap_err();
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(faults("Mars/Olympus", &schedule(&[], "00:00", "01:00")), ["/timezone"]);
        assert_eq!(faults("UTC", &schedule(&["MON", "FUN"], "10:00", "10:00")), ["/schedule/days/1", "/schedule/to"]);
        assert_eq!(faults("UTC", &schedule(&[], "24:00", "9:00")), ["/schedule/from", "/schedule/to"]);
        let dayless = Schedule { days: Some(Vec::new()), from: None, to: None };
        assert_eq!(faults("UTC", &dayless), ["/schedule/days"]);
    }
}
