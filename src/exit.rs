//! How the program ends: an exit code for scripts and a message for people.

use std::fmt;
use std::process::ExitCode;

use crate::config::Faults;
use crate::http::{BindError, Conflict};

/// The exit code of a failed read or write.
pub(crate) const IO: u8 = 74;

/// The exit codes with their meanings, for the manual.
pub(crate) const STATUSES: [(u8, &str); 7] = [
    (0, "done"),
    (
        64,
        "the command line is wrong, the file to read does not exist, the file or store to create already exists, or the server refused the request",
    ),
    (
        65,
        "the directory contains no store, or the data is damaged, has another layout, is of a newer version, is invalid, or violates the store's invariants; or an import refused rows",
    ),
    (70, "an internal error"),
    (IO, "reading or writing failed, the server cannot be reached, or the run failed"),
    (75, "busy: the port or the data directory is in use, the server answered 503, or the run was cancelled"),
    (78, "the configuration is wrong; the message names the key"),
];

/// Why the program failed.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: String,
}

impl Exit {
    /// 64: the command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: 64, message: message.to_string() }
    }

    /// 65: the data is damaged, of a newer version, or not what was expected.
    pub fn data(message: impl fmt::Display) -> Self {
        Self { code: 65, message: message.to_string() }
    }

    /// 70: a bug in the program.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self { code: 70, message: message.to_string() }
    }

    /// 74: reading or writing failed.
    pub fn io(message: impl fmt::Display) -> Self {
        Self { code: IO, message: message.to_string() }
    }

    /// 75: another process holds a port or a lock.
    pub fn busy(message: impl fmt::Display) -> Self {
        Self { code: 75, message: message.to_string() }
    }

    /// 78: the configuration is wrong.
    pub fn config(message: impl fmt::Display) -> Self {
        Self { code: 78, message: message.to_string() }
    }

    /// The exit code of the process.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

impl From<Faults> for Exit {
    fn from(faults: Faults) -> Self {
        Self::config(faults)
    }
}

impl From<BindError> for Exit {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Busy(..) => Self::busy(error),
            BindError::Address(..) | BindError::Certificate(_) | BindError::Roots(_) => Self::config(error),
        }
    }
}

impl From<Conflict> for Exit {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Settings(_) => Self::config(conflict),
            Conflict::Operations(_) => Self::internal(conflict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_list_every_exit_code() {
        let document = include_str!("../docs/operations.md");
        for (code, meaning) in STATUSES {
            assert!(document.contains(&format!("| {code} | {meaning} |")), "{code}");
        }
    }
}
