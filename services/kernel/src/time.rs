//! Points in time: microseconds since 1970 in UTC, formatted as RFC 3339 with milliseconds.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A point in time in microseconds since 1970-01-01T00:00:00Z, a precision that every storage engine preserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

const SECOND: i64 = 1_000_000;

/// A wait in whole seconds, rounded up and at least one, so that a client that waits this long is admitted.
pub fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);
    /// The start of year 1: the earliest time that a row can hold.
    pub const EARLIEST: Self = Self(-62_135_596_800_000_000);
    /// The last microsecond of year 9999: the latest time that a row can hold.
    pub const LATEST: Self = Self(253_402_300_799_999_999);

    /// The time this many whole seconds after the start of 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The duration since an earlier time; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time for the `jiff` crate. A time outside its range (years −9999 to 9999) becomes the latest one.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// A time of the `jiff` crate, truncated to microseconds.
    pub fn from_jiff(time: jiff::Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}
impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self::from_jiff)
            .map_err(|_| "must be an RFC 3339 time such as 2026-11-23T05:33:00Z".to_owned())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // Nodes exchange the full precision; clients get milliseconds.
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if !d.is_human_readable() {
            return i64::deserialize(d).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_written_and_offsets_are_read() {
        let time: Timestamp = "2026-11-23T06:33:00.5+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-23T05:33:00.500Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn whoever_waits_as_long_as_told_has_waited_long_enough() {
        let told = [0, 1, 999, 1_000, 1_001, 59_500].map(|wait| whole_seconds(Duration::from_millis(wait)));
        assert_eq!(told, [1, 1, 1, 1, 2, 60]);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
    }
}
