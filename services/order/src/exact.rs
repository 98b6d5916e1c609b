//! Times to the microsecond, where they are written as text.

use promox_kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time to the microsecond: answers show milliseconds, and what is taken in again must fall on the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact(pub(crate) Timestamp);

impl std::fmt::Display for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.0.rem_euclid(1_000) == 0 { self.0.fmt(f) } else { write!(f, "{:.6}", self.0.to_jiff()) }
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(d).map(Self)
    }
}
