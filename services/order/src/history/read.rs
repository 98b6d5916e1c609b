//! Reads documents out of CSV or NDJSON, and says of every row that is left out why.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};

use csv::StringRecord;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use promox_contract::import::RowError;
use promox_kernel::{Amount, Body, BodyReader, Currency, Email, Error, Kind, Sku, Timestamp, bounded};
use serde::Deserialize;

use super::{CHUNK_DOCUMENTS, CHUNK_ROWS};

/// An NDJSON line at most.
const LONGEST_LINE: usize = 4 << 20;

/// A past order or credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) number: String,
    pub(crate) is_credit: bool,
    pub(crate) at: Timestamp,
    pub(crate) customer: Option<String>,
    pub(crate) email: Option<Email>,
    pub(crate) first_row: u64,
    pub(crate) lines: Vec<Line>,
}

/// A line of it; negative quantity on a credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) name: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price: Amount,
    /// Quantity × unit price.
    pub(crate) subtotal: Amount,
    /// What was taken off it.
    pub(crate) discount: Amount,
}

impl Document {
    pub(crate) fn subtotal(&self) -> Amount {
        self.lines.iter().map(|line| line.subtotal).sum()
    }

    pub(crate) fn total(&self) -> Amount {
        self.lines.iter().map(Line::total).sum()
    }
}

impl Line {
    pub(crate) fn total(&self) -> Amount {
        self.subtotal - self.discount
    }
}

/// Documents for one transaction, and the rows that were left out on the way.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) documents: Vec<Document>,
    pub(crate) errors: Vec<RowError>,
    rows: usize,
}

/// Reads the whole stream on a blocking thread. Nothing of it is later than `latest`: what is yet to be sold is no history.
pub(crate) fn read(
    body: Body,
    zone: &TimeZone,
    currency: Currency,
    latest: Timestamp,
    out: &flume::Sender<Chunk>,
) -> Result<(), Error> {
    let Some(reader) = body.reader else { return Ok(()) };
    let mut gather = Gather { currency, latest, out, chunk: Chunk::default(), open: None, seen: HashSet::new() };
    if body.media_type == "application/x-ndjson" {
        read_lines(reader, zone, &mut gather)?;
    } else {
        read_csv(reader, zone, &mut gather)?;
    }
    gather.close();
    gather.flush();
    Ok(())
}

/// A row as it was written.
struct Row {
    number: String,
    sku: String,
    name: String,
    quantity: String,
    date: String,
    unit_price: String,
    discount: Option<Amount>,
    customer: String,
    email: String,
}

fn read_csv(reader: BodyReader, zone: &TimeZone, gather: &mut Gather<'_>) -> Result<(), Error> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let header = csv.headers().map_err(|error| unreadable(&error))?.clone();
    let columns = Columns::of(&header)?;
    let mut record = StringRecord::new();
    let mut row = 0;
    loop {
        row += 1;
        match csv.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => gather.row(row, &columns.row(&record), zone),
            Err(error) if error.is_io_error() => return Err(unreadable(&error)),
            Err(error) => gather.fail(row, "UNREADABLE", error.to_string()),
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Malformed, "MALFORMED_CSV", format!("The file cannot be read as CSV: {error}"))
}

/// Where the columns stand.
struct Columns([Option<usize>; 8]);

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, Error> {
        const NAMES: [&[&str]; 8] = [
            &["number", "invoiceno"],
            &["sku", "stockcode"],
            &["name", "description"],
            &["quantity"],
            &["date", "invoicedate"],
            &["unitprice", "price"],
            &["customer", "customerid"],
            &["email"],
        ];
        let find =
            |names: &[&str]| header.iter().position(|column| names.contains(&column.trim().to_lowercase().as_str()));
        let columns = NAMES.map(find);
        let required = columns.iter().zip(NAMES).take(6);
        for (column, names) in required {
            if column.is_none() {
                let name = names.first().copied().unwrap_or_default();
                let message = format!("The header has no column \"{name}\".");
                return Err(Error::new(Kind::Malformed, "MISSING_COLUMN", message).with("column", name));
            }
        }
        Ok(Self(columns))
    }

    fn row(&self, record: &StringRecord) -> Row {
        let mut cells =
            self.0.iter().map(|column| column.and_then(|i| record.get(i)).unwrap_or_default().trim().to_owned());
        let mut cell = || cells.next().unwrap_or_default();
        Row {
            number: cell(),
            sku: cell(),
            name: cell(),
            quantity: cell(),
            date: cell(),
            unit_price: cell(),
            discount: None,
            customer: cell(),
            email: cell(),
        }
    }
}

/// A document as NDJSON writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonDocument {
    number: String,
    date: String,
    #[serde(default)]
    customer: String,
    #[serde(default)]
    email: String,
    lines: Vec<JsonLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonLine {
    sku: String,
    #[serde(default)]
    name: String,
    quantity: i64,
    unit_price: Amount,
    #[serde(default)]
    discount: Option<Amount>,
}

fn read_lines(reader: BodyReader, zone: &TimeZone, gather: &mut Gather<'_>) -> Result<(), Error> {
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
            return Err(Error::new(
                Kind::TooLarge,
                "LINE_TOO_LONG",
                format!("Line {row} is over {LONGEST_LINE} bytes."),
            ));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<JsonDocument>(&line) {
            Err(error) => gather.fail(row, "UNREADABLE", error.to_string()),
            Ok(document) => gather.document(row, document, zone),
        }
    }
}

/// Gathers rows into documents and documents into chunks.
struct Gather<'a> {
    currency: Currency,
    latest: Timestamp,
    out: &'a flume::Sender<Chunk>,
    chunk: Chunk,
    open: Option<Document>,
    seen: HashSet<String>,
}

impl Gather<'_> {
    fn fail(&mut self, row: u64, code: &str, detail: impl Into<String>) {
        self.chunk.errors.push(RowError::new(row, code, detail));
        if self.chunk.errors.len() >= CHUNK_ROWS {
            self.flush();
        }
    }

    fn document(&mut self, row: u64, document: JsonDocument, zone: &TimeZone) {
        self.close();
        if document.lines.is_empty() {
            self.fail(row, "NO_LINES", format!("{} has no lines", document.number));
        }
        for line in document.lines {
            let flat = Row {
                number: document.number.clone(),
                sku: line.sku,
                name: line.name,
                quantity: line.quantity.to_string(),
                date: document.date.clone(),
                unit_price: line.unit_price.to_string(),
                discount: line.discount,
                customer: document.customer.clone(),
                email: document.email.clone(),
            };
            self.row(row, &flat, zone);
        }
        self.close();
    }

    fn row(&mut self, number: u64, row: &Row, zone: &TimeZone) {
        if let Err((code, detail)) = self.take(number, row, zone) {
            self.fail(number, code, detail);
        }
    }

    fn take(&mut self, row_number: u64, row: &Row, zone: &TimeZone) -> Result<(), (&'static str, String)> {
        let number = bounded(&row.number, 1, 40).map_err(|detail| ("INVALID_NUMBER", detail))?.to_uppercase();
        if self.open.as_ref().is_none_or(|open| open.number != number) {
            self.close();
        }
        let is_credit = number.starts_with('C');
        let line = self.line(row, is_credit)?;
        if let Some(open) = &mut self.open {
            open.lines.push(line);
            return Ok(());
        }
        if self.seen.contains(&number) {
            return Err(("NUMBER_TWICE", format!("{number} came before; rows of a document stand together")));
        }
        let at = date(&row.date, zone).ok_or_else(|| ("INVALID_DATE", format!("\"{}\" is no date", row.date)))?;
        if at > self.latest {
            return Err(("DATE_TO_COME", format!("\"{}\" is still to come", row.date)));
        }
        let email = match row.email.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|detail| ("INVALID_EMAIL", detail))?),
        };
        let customer = Some(row.customer.clone()).filter(|customer| !customer.is_empty());
        self.open = Some(Document { number, is_credit, at, customer, email, first_row: row_number, lines: vec![line] });
        Ok(())
    }

    fn line(&self, row: &Row, is_credit: bool) -> Result<Line, (&'static str, String)> {
        let sku: Sku = row.sku.parse().map_err(|detail| ("INVALID_SKU", detail))?;
        let quantity: i64 = row
            .quantity
            .parse()
            .map_err(|_| ("INVALID_QUANTITY", format!("\"{}\" is no whole number", row.quantity)))?;
        if is_credit != (quantity < 0) || quantity == 0 {
            let wanted = if is_credit { "negative on a credit note" } else { "positive on an order" };
            return Err(("INVALID_QUANTITY", format!("{quantity}: quantities are {wanted}")));
        }
        let price: Amount = row.unit_price.parse().map_err(|detail| ("INVALID_PRICE", detail))?;
        let unit_price = self.currency.exact(price).map_err(|detail| ("INVALID_PRICE", detail))?;
        if unit_price.is_negative() || unit_price.is_zero() {
            return Err(("INVALID_PRICE", format!("{unit_price}: prices are positive")));
        }
        let subtotal = unit_price.times(quantity).ok_or_else(|| ("AMOUNT_TOO_LARGE", "over 10^18".to_owned()))?;
        let discount = self.discount(row, is_credit, subtotal)?;
        let name = bounded(&row.name, 0, 500).map_err(|detail| ("INVALID_NAME", detail))?;
        let name = if name.is_empty() { sku.to_string() } else { name };
        Ok(Line { sku, name, quantity, unit_price, subtotal, discount })
    }

    /// What a line's discount is: at most the line, and nothing on a credit note, whose prices are what was given back.
    fn discount(&self, row: &Row, is_credit: bool, subtotal: Amount) -> Result<Amount, (&'static str, String)> {
        let discount = self.currency.exact(row.discount.unwrap_or_default());
        let discount = discount.map_err(|detail| ("INVALID_DISCOUNT", detail))?;
        let most = if is_credit { Amount::ZERO } else { subtotal };
        if discount.is_negative() || discount > most {
            return Err(("INVALID_DISCOUNT", format!("{discount} is not between 0 and {most}")));
        }
        Ok(discount)
    }

    fn close(&mut self) {
        if let Some(document) = self.open.take() {
            self.seen.insert(document.number.clone());
            self.chunk.rows += document.lines.len();
            self.chunk.documents.push(document);
        }
        if self.chunk.rows >= CHUNK_ROWS || self.chunk.documents.len() >= CHUNK_DOCUMENTS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // When nobody takes the chunk, the request is over and reading ends with its stream.
        let _ = self.out.send(std::mem::take(&mut self.chunk));
    }
}

/// RFC 3339, or a civil time in the store's zone.
fn date(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil: DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_jiff(zoned.timestamp()))
}
