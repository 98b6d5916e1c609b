//! What happens when an engine stops by itself: the reason, and the exit code of the process.

use std::fmt;
use std::sync::Arc;

/// Why an engine stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code of the process: 74 for failed input or output, 65 for damaged data.
    pub code: i32,
    /// The reason.
    pub reason: String,
}

impl Stop {
    /// A stop because of a failed read, write or sync.
    pub(crate) fn io(what: &str, cause: impl fmt::Display) -> Self {
        Self { code: 74, reason: format!("{what}: {cause}") }
    }

    /// A stop because of damaged data.
    pub(crate) fn damaged(cause: impl fmt::Display) -> Self {
        Self { code: 65, reason: cause.to_string() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A function that is called when an engine stops by itself, after the waiting transactions have failed.
pub type StopHook = Arc<dyn Fn(&Stop) + Send + Sync>;

/// Returns a hook that exits the process, because after a failed write only a restart can find out what survived.
pub fn exit_process() -> StopHook {
    Arc::new(|stop| {
        tracing::error!(
            %stop, code = stop.code,
            "the store has stopped and the process exits; a restart recovers all acknowledged changes"
        );
        std::process::exit(stop.code)
    })
}
