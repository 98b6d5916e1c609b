//! Reads documents from CSV or NDJSON, and reports every row that is refused.

use std::collections::HashSet;

use csv::ByteRecord;
use promox_contract::codes;
use promox_contract::import::csv::CsvRows;
use promox_contract::import::lines::JsonLines;
use promox_contract::import::{ImportWarning, RowError, body_missing};
use promox_kernel::{Body, BodyReader, Error};
use serde_json::{Map, Value};

use super::check::{self, Checked, Terms};
use super::document::{Document, DocumentType};
use super::table::{Row, Table};
use super::{CHUNK_DOCUMENTS, CHUNK_ROWS};

/// Maximum length of a line of NDJSON or a row of CSV in bytes.
const MAX_LINE_LEN: usize = 4 << 20;

/// Documents for one transaction, and the rows that were refused while they were read.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The documents with the number of their first row.
    pub(crate) documents: Vec<(u64, Checked)>,
    pub(crate) errors: Vec<RowError>,
    /// The approximate number of rows that writing the documents changes.
    weight: usize,
}

/// Reads the whole stream and sends it in chunks. Returns the columns that it ignores. Must run on a blocking thread.
pub(crate) fn read(body: Body, terms: Terms, out: flume::Sender<Chunk>) -> Result<Vec<ImportWarning>, Error> {
    let reader = body.reader.ok_or_else(body_missing)?;
    let mut collector = Collector { terms, out, chunk: Chunk::default(), open: None, seen: HashSet::new() };
    let warnings = if body.media_type == "application/x-ndjson" {
        read_lines(reader, &mut collector);
        Vec::new()
    } else {
        read_csv(reader, &mut collector)
    };
    collector.close();
    collector.flush();
    Ok(warnings)
}

/// Returns the columns that it ignores.
fn read_csv(reader: BodyReader, collector: &mut Collector) -> Vec<ImportWarning> {
    let opened = CsvRows::open(reader, MAX_LINE_LEN, &[]);
    let opened = opened.and_then(|(rows, names)| Ok((Table::of(&names, rows.separator())?, rows, names)));
    let (table, mut csv, names) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            collector.refuse(vec![error]);
            return Vec::new();
        }
    };
    let mut record = ByteRecord::new();
    loop {
        match csv.read(&mut record) {
            Ok(false) => return Table::unknown_columns(&names),
            Ok(true) => {}
            Err(error) => {
                collector.refuse(vec![error]);
                continue;
            }
        }
        let parsed = table.row(&record);
        if table.is_stock_movement(&parsed) {
            collector.fail(csv.row(), codes::INVALID_PRICE, "a row without a price is not a sale and is left out");
        } else {
            collector.row(csv.row(), parsed);
        }
    }
}

fn read_lines(reader: BodyReader, collector: &mut Collector) {
    let mut lines = JsonLines::new(reader, MAX_LINE_LEN);
    let parse = |row, line: &[u8]| {
        let document = serde_json::from_slice::<Document>(line);
        document.map_err(|error| RowError::new(row, codes::UNREADABLE, error.to_string()))
    };
    while let Some(parsed) = lines.next(parse) {
        let row = lines.number();
        match parsed {
            Err(error) => collector.refuse(vec![error]),
            Ok(document) => collector.document(&document, &[row], row),
        }
    }
}

/// A document of which rows are being read.
struct OpenDocument {
    /// The number as it is written in the first row.
    number: String,
    kind: String,
    members: Map<String, Value>,
    lines: Vec<Value>,
    rows: Vec<u64>,
    faults: Vec<RowError>,
}

/// Collects rows into documents and documents into chunks.
struct Collector {
    terms: Terms,
    out: flume::Sender<Chunk>,
    chunk: Chunk,
    open: Option<OpenDocument>,
    seen: HashSet<(DocumentType, String)>,
}

impl Collector {
    /// Reports one fault.
    fn fail(&mut self, row: u64, code: &str, detail: impl Into<String>) {
        self.refuse(vec![RowError::new(row, code, detail)]);
    }

    /// Reports faults.
    fn refuse(&mut self, errors: Vec<RowError>) {
        self.chunk.errors.extend(errors);
        if self.chunk.errors.len() >= CHUNK_ROWS {
            self.flush();
        }
    }

    /// Adds a row to the current document, or finishes it and starts the next one.
    fn row(&mut self, at: u64, row: Row) {
        let is_same =
            |open: &OpenDocument| open.number.eq_ignore_ascii_case(row.number.trim()) && open.kind == row.kind;
        if !self.open.as_ref().is_some_and(is_same) {
            self.close();
        }
        let Row { number, kind, members, line, faults } = row;
        let open = self.open.get_or_insert_with(|| OpenDocument {
            number: number.trim().to_owned(),
            kind,
            members,
            lines: Vec::new(),
            rows: Vec::new(),
            faults: Vec::new(),
        });
        open.lines.push(Value::Object(line));
        open.rows.push(at);
        open.faults.extend(faults.into_iter().map(|(code, detail)| RowError::new(at, code, detail)));
    }

    /// Finishes the current document, if there is one.
    fn close(&mut self) {
        let Some(OpenDocument { mut members, lines, rows, faults, .. }) = self.open.take() else { return };
        if !faults.is_empty() {
            return self.refuse(faults);
        }
        let first = rows.first().copied().unwrap_or_default();
        members.insert("lines".to_owned(), Value::Array(lines));
        match serde_json::from_value::<Document>(Value::Object(members)) {
            Err(error) => self.fail(first, codes::UNREADABLE, error.to_string()),
            Ok(document) => self.document(&document, &rows, first),
        }
    }

    /// Validates a document and adds it to the chunk, or reports its faults.
    fn document(&mut self, document: &Document, rows: &[u64], first: u64) {
        let checked = match check::check(document, &self.terms) {
            Ok(checked) => checked,
            Err(faults) => {
                let row = |line: Option<usize>| line.and_then(|line| rows.get(line)).copied().unwrap_or(first);
                let errors = faults.into_iter().map(|(line, code, detail)| RowError::new(row(line), code, detail));
                return self.refuse(errors.collect());
            }
        };
        if !self.seen.insert((check::kind(document), checked.number.clone())) {
            let detail = format!("{} occurred before; the rows of a document must be consecutive", checked.number);
            return self.fail(first, codes::NUMBER_TWICE, detail);
        }
        self.chunk.weight += checked.weight();
        self.chunk.documents.push((first, checked));
        if self.chunk.weight >= CHUNK_ROWS || self.chunk.documents.len() >= CHUNK_DOCUMENTS {
            self.flush();
        }
    }

    /// Sends the current chunk and starts the next.
    fn flush(&mut self) {
        // An error means that the request has ended. Then the stream ends too, and with it the reading.
        let _ = self.out.send(std::mem::take(&mut self.chunk));
    }
}
