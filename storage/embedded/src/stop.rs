//! How an engine ends: what happened, and the exit code that the process is to leave with.

use std::fmt;
use std::sync::Arc;

/// Why an engine stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// 74 for failed input or output, 65 for damaged data.
    pub code: i32,
    /// What happened.
    pub reason: String,
}

impl Stop {
    /// A failed read, write or sync.
    pub(crate) fn io(what: &str, cause: impl fmt::Display) -> Self {
        Self { code: 74, reason: format!("{what}: {cause}") }
    }

    /// Damaged data.
    pub(crate) fn damaged(cause: impl fmt::Display) -> Self {
        Self { code: 65, reason: cause.to_string() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What is done when an engine stops by itself, once everything that waited has been told.
pub type StopHook = Arc<dyn Fn(&Stop) + Send + Sync>;

/// Leaves the process: after a failed write only a restart knows what survived.
pub fn leave_process() -> StopHook {
    Arc::new(|stop| {
        tracing::error!(%stop, code = stop.code, "the store has stopped; exiting, a restart recovers what was \
             acknowledged");
        std::process::exit(stop.code)
    })
}
