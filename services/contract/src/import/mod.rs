//! Imports: reading CSV and NDJSON, and reports.

pub mod csv;
pub mod lines;

use promox_kernel::{Error, Kind, json_reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes;

/// The maximum number of errors that a report lists. It counts them all.
const MAX_ERRORS: usize = 1_000;

/// The report of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// The number of rows that created something.
    pub created: u64,
    /// The number of rows that changed something.
    pub updated: u64,
    /// The number of rows that changed nothing.
    pub skipped: u64,
    /// The number of rows that were refused.
    pub failed: u64,
    /// The errors of the first 1,000 refused rows.
    pub errors: Vec<RowError>,
    /// The columns of the file that were ignored.
    pub warnings: Vec<ImportWarning>,
}
json_reply!(ImportReport);

/// The error of a row that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowError {
    /// The number of the row, from 1. The header of a CSV file is not counted.
    pub row: u64,
    /// The stable code in `UPPER_SNAKE`.
    pub code: String,
    /// What is wrong, for humans.
    pub detail: String,
}

/// A column that an import ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportWarning {
    /// The name of the column.
    pub column: String,
    /// What was ignored, for humans; with the known column that may have been meant.
    pub detail: String,
}

/// The effect of an accepted row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It created something.
    Created,
    /// It changed something.
    Updated,
    /// It changed nothing.
    Skipped,
}

impl RowError {
    /// The error of a row.
    pub fn new(row: u64, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { row, code: code.into(), detail: detail.into() }
    }

    /// The error of the operation that a row requested, with the code of its first fault if that is more specific.
    pub fn of(row: u64, error: &Error) -> Self {
        let first = error.errors().first().map(|first| first.code.to_string());
        let code = first.filter(|code| code != codes::INVALID_VALUE).unwrap_or_else(|| error.code().to_owned());
        Self::new(row, code, error.message())
    }
}

impl ImportReport {
    /// Counts a row.
    pub fn count(&mut self, row: Result<RowOutcome, RowError>) {
        match row {
            Ok(RowOutcome::Created) => self.created += 1,
            Ok(RowOutcome::Updated) => self.updated += 1,
            Ok(RowOutcome::Skipped) => self.skipped += 1,
            Err(error) => self.refuse(error),
        }
    }

    /// Records a refused row.
    pub fn refuse(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }
}

/// 400 `BODY_MISSING`: the request of an import has no body.
pub fn body_missing() -> Error {
    Error::new(Kind::Malformed, codes::BODY_MISSING, "Send the rows as the body.")
}

/// Whether an error is the fault of a row, so that the import can continue with the other rows.
pub fn is_row_fault(error: &Error) -> bool {
    matches!(error.kind(), Kind::Schema | Kind::Refused | Kind::Conflict | Kind::NotFound)
}
