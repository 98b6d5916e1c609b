//! What an import answers: what became of its rows, and why some were refused.

use promox_kernel::{Error, Kind, json_reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Errors that a report lists at most; all are counted.
const MOST_ERRORS: usize = 1_000;

/// What became of the rows of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Rows that made something new.
    pub created: u64,
    /// Rows that changed what was there.
    pub updated: u64,
    /// Rows that said nothing new.
    pub skipped: u64,
    /// Rows that were refused.
    pub failed: u64,
    /// Why, for the first 1,000 of them.
    pub errors: Vec<RowError>,
}
json_reply!(ImportReport);

/// Why a row was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowError {
    /// Which row, from 1; a CSV's header is not counted.
    pub row: u64,
    /// Stable code, UPPER_SNAKE.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// What a row that was taken did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It made something new.
    Created,
    /// It changed what was there.
    Updated,
    /// It said nothing new.
    Skipped,
}

impl RowError {
    /// A row's fault.
    pub fn new(row: u64, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { row, code: code.into(), detail: detail.into() }
    }

    /// What an operation refused a row with, by the code of its first fault where that says more than the whole.
    pub fn of(row: u64, error: &Error) -> Self {
        let first = error.errors().first().map(|first| first.code.to_string());
        let code = first.filter(|code| code != "INVALID_VALUE").unwrap_or_else(|| error.code().to_owned());
        Self::new(row, code, error.message())
    }
}

impl ImportReport {
    /// Notes what became of a row.
    pub fn count(&mut self, row: Result<RowOutcome, RowError>) {
        match row {
            Ok(RowOutcome::Created) => self.created += 1,
            Ok(RowOutcome::Updated) => self.updated += 1,
            Ok(RowOutcome::Skipped) => self.skipped += 1,
            Err(error) => self.refuse(error),
        }
    }

    /// Notes a refused row.
    pub fn refuse(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(error);
        }
    }
}

/// Whether a row of an import failed by its own fault, so that the others can go on.
pub fn is_row_fault(error: &Error) -> bool {
    matches!(error.kind(), Kind::Schema | Kind::Refused | Kind::Conflict | Kind::NotFound)
}
