//! Reads the rows of an import, on a blocking thread.

use std::io::Read;

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::import::RowError;
use promox_contract::import::csv::CsvRows;
use promox_contract::import::lines::JsonLines;
use promox_kernel::{Timestamp, UserId, bind_json, did_you_mean};
use serde::Deserialize;

/// Maximum bytes of a line.
const MAX_LINE: usize = 64 << 10;
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
    if !is_csv {
        return read_lines(reader, handle);
    }
    let opened = CsvRows::open(reader, MAX_LINE, COLUMNS).and_then(|(rows, names)| Ok((rows, header(&names)?)));
    let (mut rows, header) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            handle(Err(error));
            return;
        }
    };
    let mut record = csv::ByteRecord::new();
    loop {
        let parsed = match rows.read(&mut record) {
            Ok(false) => break,
            Ok(true) => csv_row(rows.row(), &record, &header),
            Err(error) => Err(error),
        };
        if !handle(parsed) {
            break;
        }
    }
}

/// The columns of a file. An unknown one is refused, because it could be a limit.
fn header(names: &[String]) -> Result<csv::StringRecord, RowError> {
    let bad = |detail: String| Err(RowError::new(0, codes::BAD_HEADER, detail));
    if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        let suggestion = did_you_mean(unknown, COLUMNS.iter().copied());
        return bad(format!("there is no column \"{unknown}\"{suggestion}; the columns are {}", COLUMNS.join(", ")));
    }
    if names.iter().any(|name| name == "code") {
        return Ok(csv::StringRecord::from(names.to_vec()));
    }
    bad("the first line must have the column \"code\"".to_owned())
}

/// Passes each line of JSON to `handle` until that returns false.
fn read_lines(reader: impl Read, mut handle: impl FnMut(Parsed) -> bool) {
    let mut lines = JsonLines::new(reader, MAX_LINE);
    let parse = |row, line: &[u8]| bind_json(line).map(|it| (row, it)).map_err(|error| RowError::of(row, &error));
    while let Some(parsed) = lines.next(parse) {
        if !handle(parsed) {
            return;
        }
    }
}

fn csv_row(row: u64, record: &csv::ByteRecord, header: &csv::StringRecord) -> Parsed {
    if record.len() != header.len() {
        let detail = format!("the row has {} fields, but the header has {}", record.len(), header.len());
        return Err(RowError::new(row, codes::FIELD_COUNT, detail));
    }
    let not_text = |_| RowError::new(row, codes::NOT_UTF8, "the row is not UTF-8");
    let mut record = csv::StringRecord::from_byte_record(record.clone()).map_err(not_text)?;
    record.trim();
    record
        .deserialize(Some(header))
        .map(|fields| (row, fields))
        .map_err(|error| RowError::new(row, codes::INVALID_VALUE, error.to_string()))
}
