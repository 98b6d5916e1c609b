//! Errors of the store.

use std::fmt;

use promox_kernel::codes;
use promox_kernel::{Error, Kind};

/// Why the store failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another row has the same key, or the same value in a unique index.
    Duplicate {
        /// The name of the unique index, or of the table for its key.
        index: &'static str,
    },
    /// A row or an index entry fails its checksum or does not decode. Others of its table may be intact.
    DamagedRow {
        /// The name of the table or index.
        table: String,
        /// The file, table and key, as far as they are known.
        place: String,
    },
    /// Stored bytes fail their checksum or do not decode.
    Damaged {
        /// The file, offset and table, as far as they are known.
        place: String,
    },
    /// The transaction exceeds a limit of the store.
    TooLarge {
        /// The limit, such as `"4 MiB of changes"`.
        limit: &'static str,
    },
    /// A row has a value that not every engine can store.
    Unstorable {
        /// The table and the column.
        column: String,
        /// The part of the value that cannot be stored.
        what: &'static str,
    },
    /// Concurrent changes invalidated the transaction's reads repeatedly. It had no effect and may be retried.
    Conflict,
    /// The connection was lost during the commit, so it is unknown whether the transaction was committed.
    Unknown,
    /// A row that was read has not been fetched. The engine fetches it and runs the closure again, so callers never see
    /// this error.
    Unfetched,
    /// The queue is full, or the transaction waited too long. It did not run.
    Busy,
    /// The disk is full. Reads continue.
    Full,
    /// The engine has stopped after a failed write. Until it is reopened, it is unknown whether the last transactions
    /// survived.
    Stopped,
    /// Input or output failed.
    Io(String),
}

impl StoreError {
    /// Whether an error means that it is unknown whether the transaction was committed.
    pub fn is_unknown(error: &Error) -> bool {
        error.code() == codes::OUTCOME_UNKNOWN
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { index } => write!(f, "there is already a row with this value in {index}"),
            Self::Damaged { place } | Self::DamagedRow { place, .. } => write!(f, "damaged data: {place}"),
            Self::TooLarge { limit } => write!(f, "the transaction exceeds the limit of {limit}"),
            Self::Unstorable { column, what } => write!(f, "{column} contains {what}, which cannot be stored"),
            Self::Conflict => f.write_str("concurrent changes repeatedly invalidated what the transaction had read"),
            Self::Unknown => f.write_str("it is unknown whether the transaction was committed"),
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
                "It is unknown whether the request took effect. Check, or repeat it with the same Idempotency-Key.",
                3,
            ),
            StoreError::Unstorable { column, what } => Self::new(
                Kind::Schema,
                codes::INVALID_VALUE,
                format!("{column} contains {what}, which cannot be stored."),
            ),
            StoreError::Full => {
                Self::new(Kind::Full, codes::DISK_FULL, "The disk is full: only reads are served until there is space.")
            }
            StoreError::Stopped => Self::unavailable(codes::STOPPED, "The store is restarting.", 3),
            StoreError::Duplicate { index } => {
                Self::conflict(codes::DUPLICATE, format!("This value is already in use ({index})."))
            }
            StoreError::DamagedRow { table, place } => Self::damaged(&table, place),
            other => Self::internal(other),
        }
    }
}
