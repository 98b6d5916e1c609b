//! Times in JSON with microseconds.

use promox_kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time that is written with microseconds if it has any. Other JSON has milliseconds, but an export must keep the
/// exact time.
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
