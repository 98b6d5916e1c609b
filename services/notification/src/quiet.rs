//! Quiet hours: the time of day, in the recipient's zone, at which marketing messages wait.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use promox_kernel::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time of day to the minute, as `21:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// The minutes since midnight.
    pub(crate) fn minutes(self) -> u32 {
        self.0
    }

    /// The time this many minutes after midnight; `None` for a day or more.
    pub(crate) fn from_minutes(minutes: u32) -> Option<Self> {
        (minutes < 24 * 60).then_some(Self(minutes))
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "must be a time of day such as 21:30".to_owned();
        let (hour, minute) = text.split_once(':').ok_or_else(fault)?;
        let number = |part: &str, end: u32| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u32>().ok().filter(|number| digits && *number < end).ok_or_else(fault)
        };
        Ok(Self(number(hour, 24)? * 60 + number(minute, 60)?))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TimeOfDay {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})
    }
}

/// The hours in which marketing messages wait, over midnight if `from` is later than `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// When they begin.
    pub from: TimeOfDay,
    /// When they end; waiting messages are sent then.
    pub until: TimeOfDay,
}

impl QuietHours {
    /// When the quiet hours end that a time is in; `None` if it is in none. An end that the change to summer time skips
    /// is as much later as the clocks are put forward.
    pub(crate) fn end(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_jiff().to_zoned(zone.clone());
        let minute = u32::try_from(here.hour()).unwrap_or(0) * 60 + u32::try_from(here.minute()).unwrap_or(0);
        let (from, until) = (self.from.0, self.until.0);
        let is_quiet = if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until };
        if !is_quiet {
            return None;
        }
        let day = if minute < until { here.date() } else { here.date().tomorrow().ok()? };
        let (hour, minute) = (i8::try_from(until / 60).ok()?, i8::try_from(until % 60).ok()?);
        let end = zone.to_ambiguous_zoned(day.at(hour, minute, 0, 0));
        // When the clocks are put back, a time of day comes twice.
        let first = end.clone().compatible().ok().map(|end| Timestamp::from_jiff(end.timestamp()));
        first.filter(|end| *end > now).or_else(|| Some(Timestamp::from_jiff(end.later().ok()?.timestamp())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(hours: (&str, &str), now: &str, zone: &str) -> Option<String> {
        let hours = QuietHours { from: hours.0.parse().unwrap(), until: hours.1.parse().unwrap() };
        hours.end(now.parse().unwrap(), &TimeZone::get(zone).unwrap()).map(|end| end.to_string())
    }

    #[test]
    fn times_of_day_are_read_and_written() {
        assert_eq!("09:05".parse::<TimeOfDay>().unwrap().to_string(), "09:05");
        for bad in ["", "9:05", "24:00", "12:60", "12", "1a:00", "12:00:00", "+1:00"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn quiet_hours_follow_the_zone_and_end_the_next_morning() {
        let night = ("21:00", "08:00");
        for (now, zone, expected) in [
            ("2026-07-01T18:59:00Z", "Europe/Berlin", None),
            ("2026-07-01T19:00:00Z", "Europe/Berlin", Some("2026-07-02T06:00:00.000Z")),
            ("2026-07-02T05:59:59Z", "Europe/Berlin", Some("2026-07-02T06:00:00.000Z")),
            ("2026-07-02T06:00:00Z", "Europe/Berlin", None),
            ("2026-01-01T20:30:00Z", "Europe/Berlin", Some("2026-01-02T07:00:00.000Z")),
            ("2026-07-02T06:00:00Z", "America/New_York", Some("2026-07-02T12:00:00.000Z")),
            ("2026-07-02T06:00:00Z", "Asia/Kolkata", None),
        ] {
            assert_eq!(end(night, now, zone).as_deref(), expected, "{now} {zone}");
        }
        assert_eq!(end(("12:00", "13:30"), "2026-07-01T12:10:00Z", "UTC").as_deref(), Some("2026-07-01T13:30:00.000Z"));
    }

    #[test]
    fn the_clocks_are_put_forward_and_back() {
        let berlin = "Europe/Berlin";
        // The night of the change has an hour less or more; the morning is at the same time of day.
        let night = ("21:00", "08:00");
        assert_eq!(end(night, "2026-03-28T22:00:00Z", berlin).as_deref(), Some("2026-03-29T06:00:00.000Z"));
        assert_eq!(end(night, "2026-10-24T22:00:00Z", berlin).as_deref(), Some("2026-10-25T07:00:00.000Z"));
        // 02:30 does not exist on the 29th of March, and comes twice on the 25th of October.
        let early = ("01:00", "02:30");
        assert_eq!(end(early, "2026-03-29T00:30:00Z", berlin).as_deref(), Some("2026-03-29T01:30:00.000Z"));
        assert_eq!(end(early, "2026-10-25T00:15:00Z", berlin).as_deref(), Some("2026-10-25T00:30:00.000Z"));
        assert_eq!(end(early, "2026-10-25T01:15:00Z", berlin).as_deref(), Some("2026-10-25T01:30:00.000Z"));
    }

    proptest::proptest! {
        #[test]
        fn the_end_is_later_than_now_and_not_quiet(
            from in 0_u32..1_440, length in 1_u32..1_440, minute in 0_i64..2_000_000, zone in 0_usize..4,
        ) {
            let zone = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"][zone];
            let zone = TimeZone::get(zone).unwrap();
            let hours = QuietHours { from: TimeOfDay(from), until: TimeOfDay((from + length) % 1_440) };
            let now = Timestamp::from_seconds(1_760_000_000 + minute * 60);
            if let Some(end) = hours.end(now, &zone) {
                proptest::prop_assert!(end > now && end.since(now).as_secs() <= 25 * 3_600);
            }
        }
    }
}
