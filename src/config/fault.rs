//! Invalid settings: the key, the origin of its value, and what to do.

use std::fmt;

use super::Origin;

/// One invalid setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, such as `limits.enabled`.
    pub key: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and what to do.
    pub message: String,
}

/// All invalid settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// A single fault.
    pub fn one(key: impl Into<String>, origin: Origin, message: impl Into<String>) -> Self {
        Self(vec![Fault { key: key.into(), origin, message: message.into() }])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.origin, self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
