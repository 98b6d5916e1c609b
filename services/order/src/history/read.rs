//! Reads documents from CSV or NDJSON, and reports every refused row.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};

use csv::{ByteRecord, StringRecord};
use promox_contract::codes;
use promox_contract::import::RowError;
use promox_kernel::{Body, BodyReader, Error, Kind};
use serde_json::{Map, Value};

use super::check::{self, Checked, Terms};
use super::document::{Document, DocumentType};
use super::table::{Row, Table};
use super::{CHUNK_DOCUMENTS, CHUNK_ROWS};

/// Maximum length of an NDJSON line.
const LONGEST_LINE: usize = 4 << 20;

/// Documents for one transaction, and the rows that were refused among them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Each with its first row.
    pub(crate) documents: Vec<(u64, Checked)>,
    pub(crate) errors: Vec<RowError>,
    weight: usize,
}

/// Reads the whole stream on a blocking thread.
pub(crate) fn read(body: Body, terms: Terms, out: flume::Sender<Chunk>) -> Result<(), Error> {
    let Some(reader) = body.reader else { return Ok(()) };
    let mut gather = Collector { terms, out, chunk: Chunk::default(), open: None, seen: HashSet::new() };
    if body.media_type == "application/x-ndjson" {
        read_lines(reader, &mut gather)?;
    } else {
        read_csv(reader, &mut gather)?;
    }
    gather.close();
    gather.flush();
    Ok(())
}

fn read_csv(reader: BodyReader, gather: &mut Collector) -> Result<(), Error> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(reader);
    let mut record = ByteRecord::new();
    csv.read_byte_record(&mut record).map_err(|error| unreadable(&error))?;
    let header = StringRecord::from_byte_record_lossy(std::mem::take(&mut record));
    let table = Table::of(&header)?;
    let mut row = 0;
    while csv.read_byte_record(&mut record).map_err(|error| unreadable(&error))? {
        row += 1;
        let read = table.row(&record);
        if table.passes_over(&read) {
            gather.fail(row, codes::INVALID_PRICE, "a row without a price is not a sale and is left out");
        } else {
            gather.row(row, read);
        }
    }
    Ok(())
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Malformed, codes::MALFORMED_CSV, format!("The file cannot be read: {error}"))
}

fn read_lines(reader: BodyReader, gather: &mut Collector) -> Result<(), Error> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut row = 0;
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|error| unreadable(&error))?;
        row += 1;
        if read == 0 {
            return Ok(());
        }
        if read > LONGEST_LINE {
            let message = format!("Line {row} is longer than {LONGEST_LINE} bytes.");
            return Err(Error::new(Kind::TooLarge, codes::LINE_TOO_LONG, message));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Document>(&line) {
            Err(error) => gather.fail(row, codes::UNREADABLE, error.to_string()),
            Ok(document) => gather.document(&document, &[row], row),
        }
    }
}

/// A document being read.
struct Open {
    /// Its number as first written.
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
    open: Option<Open>,
    seen: HashSet<(DocumentType, String)>,
}

impl Collector {
    fn fail(&mut self, row: u64, code: &str, detail: impl Into<String>) {
        self.refuse(vec![RowError::new(row, code, detail)]);
    }

    fn refuse(&mut self, errors: Vec<RowError>) {
        self.chunk.errors.extend(errors);
        if self.chunk.errors.len() >= CHUNK_ROWS {
            self.flush();
        }
    }

    /// Adds a row to the current document, or starts the next one with it.
    fn row(&mut self, at: u64, row: Row) {
        let same = |open: &Open| open.number.eq_ignore_ascii_case(row.number.trim()) && open.kind == row.kind;
        if !self.open.as_ref().is_some_and(same) {
            self.close();
        }
        let Row { number, kind, members, line, faults } = row;
        let open = self.open.get_or_insert_with(|| Open {
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

    /// Finishes the current document.
    fn close(&mut self) {
        let Some(Open { mut members, lines, rows, faults, .. }) = self.open.take() else { return };
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

    /// Validates a document, or reports the faults of its rows.
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
            let detail = format!("{} came before; rows of a document must be consecutive", checked.number);
            return self.fail(first, codes::NUMBER_TWICE, detail);
        }
        self.chunk.weight += checked.weight();
        self.chunk.documents.push((first, checked));
        if self.chunk.weight >= CHUNK_ROWS || self.chunk.documents.len() >= CHUNK_DOCUMENTS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // When the receiver is gone, the request is over and reading ends with its stream.
        let _ = self.out.send(std::mem::take(&mut self.chunk));
    }
}
