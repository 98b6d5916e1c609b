//! Errors of the store.

use std::fmt;

use promox_kernel::codes;
use promox_kernel::{Error, Kind};

/// Why the store failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another row has this value.
    Duplicate {
        /// The unique index, or the table for its key.
        index: &'static str,
    },
    /// A row or an index entry whose checksum fails or that does not decode; others of its table may be intact.
    DamagedRow {
        /// The table, or the index.
        table: String,
        /// File, table, key: as far as known.
        place: String,
    },
    /// Bytes whose checksum fails or that do not decode.
    Damaged {
        /// File, offset, table: as far as known.
        place: String,
    },
    /// The transaction exceeds a limit of the store.
    TooLarge {
        /// The limit.
        limit: &'static str,
    },
    /// A value that not every engine can store.
    Unstorable {
        /// The table and the column.
        column: String,
        /// What it contains.
        what: &'static str,
    },
    /// Concurrent changes invalidated the transaction's reads repeatedly: it has done nothing and may be retried.
    Conflict,
    /// The connection was lost during the commit: it is unknown whether the transaction was committed.
    Unknown,
    /// A row that was read has not been fetched. An engine fetches it and runs the closure again, so no one else sees
    /// this error.
    Unfetched,
    /// The queue is full or the work waited too long: it has not run.
    Busy,
    /// The disk is full: reads continue.
    Full,
    /// The engine has stopped after a failed write; whether the last transactions survived is unknown until it is
    /// reopened.
    Stopped,
    /// Input or output failed.
    Io(String),
}

impl StoreError {
    /// Whether a service's error says that it is unknown whether its transaction was committed.
    pub fn is_unknown(error: &Error) -> bool {
        error.code() == codes::OUTCOME_UNKNOWN
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { index } => write!(f, "there is already a row with this value in {index}"),
            Self::Damaged { place } | Self::DamagedRow { place, .. } => write!(f, "damaged data: {place}"),
            Self::TooLarge { limit } => write!(f, "the transaction is over the limit: {limit}"),
            Self::Unstorable { column, what } => write!(f, "{column} holds {what}, which cannot be stored"),
            Self::Conflict => f.write_str("concurrent changes kept invalidating what the transaction read"),
            Self::Unknown => f.write_str("it is not known whether the transaction was committed"),
            Self::Unfetched => f.write_str("a row that was read has not been fetched"),
            Self::Busy => f.write_str("the store is busy"),
            Self::Full => f.write_str("the disk is full"),
            Self::Stopped => f.write_str("the store has stopped after a failed write"),
            Self::Io(cause) => write!(f, "input or output failed: {cause}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::unavailable(codes::BUSY, "The store is busy; try again.", 1),
            StoreError::Conflict => Self::unavailable(
                codes::CONFLICTING_CHANGES,
                "Other requests are changing the same data; try again.",
                1,
            ),
            StoreError::Unknown => Self::unavailable(
                codes::OUTCOME_UNKNOWN,
                "It is not known whether this was done. Check, or repeat the request with the same Idempotency-Key.",
                3,
            ),
            StoreError::Unstorable { column, what } => {
                Self::new(Kind::Schema, codes::INVALID_VALUE, format!("{column} holds {what}, which cannot be stored."))
            }
            StoreError::Full => Self::new(Kind::Full, codes::DISK_FULL, "The disk is full; reads continue."),
            StoreError::Stopped => Self::unavailable(codes::STOPPED, "The store is restarting.", 3),
            StoreError::Duplicate { index } => {
                Self::conflict(codes::DUPLICATE, format!("This value is already in use ({index})."))
            }
            StoreError::DamagedRow { table, place } => Self::damaged(&table, place),
            other => Self::internal(other),
        }
    }
}
