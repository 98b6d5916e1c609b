//! The stop of an engine: the reason and the exit code of the process.

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

/// Called when an engine stops by itself, after everything that waited was failed.
pub type StopHook = Arc<dyn Fn(&Stop) + Send + Sync>;

/// Exits the process: after a failed write only a restart can tell what survived.
pub fn exit_process() -> StopHook {
    Arc::new(|stop| {
        tracing::error!(%stop, code = stop.code, "the store has stopped; exiting, a restart recovers what was \
             acknowledged");
        std::process::exit(stop.code)
    })
}
