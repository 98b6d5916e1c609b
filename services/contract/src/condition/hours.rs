//! Opening hours of the week: the form of a schedule, and the minutes that it covers.

use jiff::civil::Weekday;
use promox_kernel::FieldError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The names of the days, Monday first.
pub const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
/// The minutes of a day.
const MINUTES_PER_DAY: u32 = 24 * 60;

/// Opening hours of the week.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The days on which the hours begin, `MON` to `SUN`; every day by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "days_schema")]
    pub days: Option<Vec<String>>,
    /// The time at which the hours begin, such as `17:00`; midnight by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The time at which the hours end, exclusive, such as `22:00`; the next midnight, `24:00`, by default. A time
    /// before `from` is on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

fn days_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "null"], "minItems": 1, "items": {"type": "string", "enum": DAYS}})
}

/// The index of a day of the week: 0 for Monday to 6 for Sunday.
pub fn weekday(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// Opening hours of the week, in minutes from midnight. If `to` is at or before `from`, it is on the next day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hours {
    days: [bool; 7],
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Hours {
    /// Parses a schedule. Faults are added to `faults` with pointers below `at`.
    pub(super) fn read(schedule: &Schedule, at: &str, faults: &mut Vec<FieldError>) -> Option<Self> {
        let faults_before = faults.len();
        let mut fault = |pointer: &str, detail: &str| faults.push(FieldError::new(format!("{at}{pointer}"), detail));
        let mut days = [schedule.days.is_none(); 7];
        for (i, name) in schedule.days.iter().flatten().enumerate() {
            match DAYS.iter().position(|day| day == name).and_then(|day| days.get_mut(day)) {
                Some(day) => *day = true,
                None => fault(&format!("/days/{i}"), &format!("must be one of {}; got \"{name}\"", DAYS.join(", "))),
            }
        }
        if schedule.days.as_ref().is_some_and(Vec::is_empty) {
            fault("/days", "a schedule must have at least one day");
        }
        let from = minute(schedule.from.as_deref().unwrap_or("00:00"));
        let to = minute(schedule.to.as_deref().unwrap_or("24:00"));
        if from.is_none_or(|from| from == MINUTES_PER_DAY) {
            fault("/from", "must be a time of day such as 17:00");
        }
        if to.is_none() {
            fault("/to", "must be a time of day such as 22:00, or 24:00 for the end of the day");
        }
        if from.is_some() && from == to {
            fault("/to", "must differ from the start time");
        }
        (faults.len() == faults_before).then_some(Self { days, from: from?, to: to? })
    }

    /// Whether a minute of a day (Monday is 0) is within the hours.
    pub(super) fn contain(&self, day: usize, minute: u32) -> bool {
        if self.from < self.to {
            return self.begins_on(day) && (self.from..self.to).contains(&minute);
        }
        (self.begins_on(day) && minute >= self.from) || (self.begins_on(day + 6) && minute < self.to)
    }

    /// Whether the hours begin on a day; 7 is Monday again.
    fn begins_on(&self, day: usize) -> bool {
        self.days.get(day % 7).copied().unwrap_or(false)
    }
}

/// Parses a time such as `"17:00"` into minutes from midnight.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    let (hour, minute): (u32, u32) = (two_digits(hour)??, two_digits(minute)??);
    (minute < 60 && hour * 60 + minute <= MINUTES_PER_DAY).then_some(hour * 60 + minute)
}
