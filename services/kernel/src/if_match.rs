//! The resource versions that a caller requires with `If-Match`.

use std::fmt;
use std::sync::Arc;

use crate::codes;
use crate::{Error, Kind};

/// The versions at which a resource may be changed. If there are none, because no tag names a version of ours, no
/// change is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(Arc<[i64]>);

impl IfMatch {
    /// Fails with 412 `VERSION_MISMATCH` if the resource's `version` is not among them.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        if self.0.contains(&version) {
            return Ok(());
        }
        let message = format!("{self}, but the resource is at version {version}; read it again.");
        Err(Error::new(Kind::Precondition, codes::VERSION_MISMATCH, message))
    }
}

impl From<i64> for IfMatch {
    fn from(version: i64) -> Self {
        Self(Arc::new([version]))
    }
}

impl FromIterator<i64> for IfMatch {
    fn from_iter<I: IntoIterator<Item = i64>>(versions: I) -> Self {
        Self(versions.into_iter().collect())
    }
}

impl fmt::Display for IfMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [] => f.write_str("If-Match names no version"),
            [only] => write!(f, "If-Match names version {only}"),
            [first, rest @ ..] => {
                write!(f, "If-Match names version {first}")?;
                rest.iter().try_for_each(|version| write!(f, " or {version}"))
            }
        }
    }
}
