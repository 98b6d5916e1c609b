//! Reads the rows of an import line by line, on a blocking thread. This is possible because codes contain no line
//! breaks.

use std::io::{BufRead, BufReader, Read};

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::import::RowError;
use promox_kernel::{Timestamp, UserId, bind_json};
use serde::Deserialize;

/// Maximum bytes of a line.
const MAX_LINE: u64 = 64 << 10;
/// The known columns.
const COLUMNS: &[&str] = &["code", "promotionId", "maxRedemptions", "perUserLimit", "userId", "startsAt", "endsAt"];

/// A row of the import.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) code: String,
    #[serde(default)]
    pub(super) promotion_id: Option<PromotionId>,
    #[serde(default)]
    pub(super) max_redemptions: Option<u32>,
    #[serde(default)]
    pub(super) per_user_limit: Option<u32>,
    #[serde(default)]
    pub(super) user_id: Option<UserId>,
    #[serde(default)]
    pub(super) starts_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) ends_at: Option<Timestamp>,
}

/// A row with its number, or the reason why it could not be read.
pub(super) type Parsed = Result<(u64, Row), RowError>;

/// Passes each row to `handle` until that returns false.
pub(super) fn read(reader: impl Read, is_csv: bool, mut handle: impl FnMut(Parsed) -> bool) {
    let mut lines = Lines { reader: BufReader::new(reader), line: Vec::new() };
    let header = if is_csv { Some(lines.header()) } else { None };
    if let Some(Err(fault)) = header {
        handle(Err(fault));
        return;
    }
    let mut row = 0;
    while let Some(line) = lines.next(row + 1) {
        row += 1;
        let parsed = match (line, &header) {
            (Err(fault), _) => Err(fault),
            (Ok(line), Some(Ok(header))) => csv_row(row, line, header),
            (Ok(line), _) => bind_json(line).map(|fields| (row, fields)).map_err(|error| RowError::of(row, &error)),
        };
        let unreadable = parsed.as_ref().is_err_and(|fault| fault.code == codes::UNREADABLE);
        if !handle(parsed) || unreadable {
            return;
        }
    }
}

struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// The next line that is not blank.
    fn next(&mut self, row: u64) -> Option<Result<&[u8], RowError>> {
        loop {
            self.line.clear();
            match (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(_) if self.line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(read) if u64::try_from(read).is_ok_and(|read| read == MAX_LINE) => {
                    return Some(Err(RowError::new(row, codes::UNREADABLE, "a line is longer than 64 KiB")));
                }
                Ok(_) => return Some(Ok(&self.line)),
                Err(error) => return Some(Err(RowError::new(row, codes::UNREADABLE, error.to_string()))),
            }
        }
    }

    fn header(&mut self) -> Result<csv::StringRecord, RowError> {
        let bad = |detail: String| RowError::new(0, codes::BAD_HEADER, detail);
        let line =
            self.next(0).ok_or_else(|| bad("a header with at least the column \"code\" is required".to_owned()))??;
        let names = record(0, line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line))?;
        if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(name)) {
            return Err(bad(format!("there is no column \"{unknown}\"; the columns are {}", COLUMNS.join(", "))));
        }
        if names.iter().any(|name| name == "code") {
            return Ok(names);
        }
        Err(bad("the column \"code\" is required".to_owned()))
    }
}

fn record(row: u64, line: &[u8]) -> Result<csv::StringRecord, RowError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .buffer_capacity(line.len().max(64))
        .trim(csv::Trim::All)
        .from_reader(line);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(_) => Ok(record),
        Err(error) => Err(RowError::new(row, codes::NOT_CSV, error.to_string())),
    }
}

fn csv_row(row: u64, line: &[u8], header: &csv::StringRecord) -> Parsed {
    let record = record(row, line)?;
    if record.len() != header.len() {
        let detail = format!("the row has {} fields, but the header has {}", record.len(), header.len());
        return Err(RowError::new(row, codes::FIELD_COUNT, detail));
    }
    record
        .deserialize(Some(header))
        .map(|fields| (row, fields))
        .map_err(|error| RowError::new(row, codes::INVALID_VALUE, error.to_string()))
}
