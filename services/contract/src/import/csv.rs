//! Rows of CSV as programs write it.
//!
//! The text is UTF-8, or UTF-16 as Excel saves "Unicode text"; the separator is the comma, semicolon or tab that the header
//! has most of. A quote that is never closed costs only its own row: reading continues on the next line.

use std::borrow::Cow;
use std::io::{self, Read};

use ::csv::ByteRecord;
use promox_kernel::did_you_mean;

use super::{ImportWarning, RowError};
use crate::codes;

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;
/// How many times as long as a row may be a quoted field is searched for its end, so that the lines of one that is too long
/// are not taken for rows.
const LOOKAHEAD: usize = 8;
/// Maximum warnings about columns, so that a report stays small whatever the header.
const MAX_WARNINGS: usize = 100;
/// Maximum characters of a column's name that a message shows.
const MAX_SHOWN: usize = 100;
/// The separators, by preference.
const SEPARATORS: [u8; 3] = *b",;\t";

/// The rows of a CSV with a header, which are read one at a time.
#[derive(Debug)]
pub struct CsvRows<R> {
    text: Utf8<R>,
    /// The maximum bytes of a row.
    max_len: usize,
    separator: u8,
    /// What has been read; `start` is where the next row begins.
    buffer: Vec<u8>,
    start: usize,
    at_end: bool,
    /// The number of the row that was read last, and of the line where the next one begins.
    row: u64,
    line: u64,
    field: Vec<u8>,
}

/// How a row ends.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// It has this many bytes, with the line break.
    Whole(usize),
    /// The bytes end in it, behind a quote or not.
    Cut { in_quotes: bool },
    /// A quote is followed by more text of its field, after a line break: another row's quote has been taken for the one
    /// that closes.
    Astray,
}

/// Where the last quote of a row opened: the offset, and the number of the field from 1.
#[derive(Clone, Copy, Default)]
struct Opened {
    offset: usize,
    field: usize,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header. Returns the rows and the names of the columns: trimmed, and written as in `known`, whatever their
    /// case. A name in `known` that ends in a point is the beginning of names. A row may have `max_len` bytes.
    pub fn open(reader: R, max_len: usize, known: &[&str]) -> Result<(Self, Vec<String>), RowError> {
        let text = Utf8 { reader, encoding: None, raw: Vec::new() };
        let (buffer, field) = (Vec::new(), Vec::new());
        let mut rows = Self { text, max_len, separator: b',', buffer, start: 0, at_end: false, row: 0, line: 1, field };
        let of_header = |error: RowError| RowError { row: 0, ..error };
        rows.fill(BLOCK.min(max_len)).map_err(|error| of_header(rows.unreadable(&error)))?;
        rows.separator = separator(&rows.buffer);
        let mut header = ByteRecord::new();
        rows.read(&mut header).map_err(of_header)?;
        rows.row = 0;
        let names: Vec<String> =
            header.iter().map(|name| as_known(String::from_utf8_lossy(name).trim(), known)).collect();
        check_header(&names)?;
        Ok((rows, names))
    }

    /// The number of the row that was read last, from 1.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Reads the next row; returns `false` after the last one. Blank lines are skipped. A row that cannot be read is an
    /// error, after which reading can continue.
    pub fn read(&mut self, record: &mut ByteRecord) -> Result<bool, RowError> {
        loop {
            if self.skip_blank_lines() {
                return Ok(false);
            }
            let mut opened = Opened::default();
            let unread = self.buffer.len() - self.start;
            match self.scan(record, &mut opened) {
                Ending::Whole(len) => {
                    self.consume(len);
                    self.row += 1;
                    return if len > self.max_len { Err(self.row_too_long()) } else { Ok(true) };
                }
                Ending::Astray => return Err(self.unclosed(opened)),
                Ending::Cut { in_quotes: true } if self.at_end || unread >= LOOKAHEAD * self.max_len => {
                    return Err(self.unclosed(opened));
                }
                Ending::Cut { in_quotes: false } if unread >= self.max_len => return Err(self.skip_long_row()),
                Ending::Cut { in_quotes } => {
                    let most = if in_quotes { LOOKAHEAD * self.max_len } else { self.max_len };
                    let wanted = (2 * unread).max(BLOCK).min(most);
                    self.fill(wanted).map_err(|error| self.unreadable(&error))?;
                }
            }
        }
    }

    /// Goes to the next line that is not empty. Returns whether there is none.
    fn skip_blank_lines(&mut self) -> bool {
        while let Some(rest) = self.buffer.get(self.start..) {
            let len = if rest.starts_with(b"\n") { 1 } else { 2 };
            if len == 2 && !rest.starts_with(b"\r\n") {
                return rest.is_empty() && self.at_end;
            }
            self.consume(len);
        }
        self.at_end
    }

    /// Reads a row from the buffer.
    fn scan(&mut self, record: &mut ByteRecord, opened: &mut Opened) -> Ending {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            Start,
            Bare,
            Quoted,
            Closed,
        }
        record.clear();
        self.field.clear();
        let (mut state, mut has_break) = (State::Start, false);
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        for (offset, byte) in rest.iter().copied().enumerate() {
            match (state, byte) {
                (State::Quoted, b'"') => state = State::Closed,
                (State::Quoted, _) => {
                    has_break |= byte == b'\n';
                    self.field.push(byte);
                }
                (State::Closed, b'"') => {
                    self.field.push(byte);
                    state = State::Quoted;
                }
                (_, b'\n') => {
                    if state == State::Bare && self.field.last() == Some(&b'\r') {
                        self.field.pop();
                    }
                    record.push_field(&self.field);
                    return Ending::Whole(offset + 1);
                }
                (_, byte) if byte == self.separator => {
                    record.push_field(&self.field);
                    self.field.clear();
                    (state, has_break) = (State::Start, false);
                }
                (State::Closed, b'\r') => {}
                (State::Closed, b' ') if has_break => {}
                (State::Closed, _) if has_break => return Ending::Astray,
                (State::Start, b'"') => {
                    *opened = Opened { offset, field: record.len() + 1 };
                    state = State::Quoted;
                }
                _ => {
                    self.field.push(byte);
                    state = State::Bare;
                }
            }
        }
        if !self.at_end || state == State::Quoted {
            return Ending::Cut { in_quotes: state == State::Quoted };
        }
        record.push_field(&self.field);
        Ending::Whole(rest.len())
    }

    /// The error of a quote that is never closed. Reading continues on the line after it.
    fn unclosed(&mut self, opened: Opened) -> RowError {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let before = rest.get(..opened.offset).unwrap_or_default();
        let line = self.line + breaks(before);
        let end = rest.iter().skip(opened.offset).position(|byte| *byte == b'\n');
        self.consume(end.map_or(rest.len(), |end| opened.offset + end + 1));
        self.row += 1;
        let detail = format!("line {line}: the quote that opens field {} is never closed", opened.field);
        RowError::new(self.row, codes::UNCLOSED_QUOTE, detail)
    }

    fn row_too_long(&self) -> RowError {
        RowError::new(self.row, codes::ROW_TOO_LONG, format!("a row is longer than {} bytes", self.max_len))
    }

    /// The error of a row that is too long to be kept. The buffer belongs to it, with the lines of its quoted fields.
    /// Reading continues on the next line.
    fn skip_long_row(&mut self) -> RowError {
        self.row += 1;
        let error = self.row_too_long();
        self.consume(self.buffer.len() - self.start);
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.consume(end + 1);
                return error;
            }
            self.consume(rest.len());
            match self.fill(BLOCK) {
                Ok(()) if self.at_end && self.buffer.len() == self.start => return error,
                Ok(()) => {}
                Err(fault) => return self.unreadable(&fault),
            }
        }
    }

    /// The error of a file that cannot be read further.
    fn unreadable(&mut self, error: &io::Error) -> RowError {
        self.at_end = true;
        self.start = self.buffer.len();
        RowError::new(self.row + 1, codes::UNREADABLE, error.to_string())
    }

    /// Takes bytes of the buffer.
    fn consume(&mut self, len: usize) {
        let taken = self.buffer.get(self.start..self.start + len).unwrap_or_default();
        self.line += breaks(taken);
        self.start += len;
    }

    /// Reads until the buffer has `wanted` bytes, or to the end.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < wanted && !self.at_end {
            self.at_end = !self.text.read_into(&mut self.buffer)?;
        }
        Ok(())
    }

    /// The separator of the columns.
    pub fn separator(&self) -> u8 {
        self.separator
    }
}

/// An amount with a point for its decimal comma, which there can be where columns are separated by something else.
pub fn decimal(separator: u8, text: &str) -> Cow<'_, str> {
    let has_comma = separator != b',' && !text.contains('.') && text.matches(',').count() == 1;
    if has_comma { Cow::Owned(text.replace(',', ".")) } else { Cow::Borrowed(text) }
}

/// A name as it is written in `known`, if it differs by case only.
fn as_known(name: &str, known: &[&str]) -> String {
    let renamed = known.iter().find_map(|known| {
        let (begin, rest) = name.split_at_checked(if known.ends_with('.') { known.len() } else { name.len() })?;
        begin.eq_ignore_ascii_case(known).then(|| format!("{known}{rest}"))
    });
    renamed.unwrap_or_else(|| name.to_owned())
}

/// Refuses a header that would have its rows read otherwise than they are meant: one that ends in a single carriage return,
/// so that the whole file would be its header, and one that names a column twice.
fn check_header(names: &[String]) -> Result<(), RowError> {
    let refuse = |detail: String| Err(RowError::new(0, codes::BAD_HEADER, detail));
    if names.iter().any(|name| name.contains('\r')) {
        return refuse("the lines end in CR alone: save the file with LF or CRLF".to_owned());
    }
    // The names of attributes, which have a point, differ by case.
    let normal = |name: &String| if name.contains('.') { name.clone() } else { name.to_lowercase() };
    let mut sorted: Vec<String> = names.iter().filter(|name| !name.is_empty()).map(normal).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        Some([name, ..]) => refuse(format!("the column \"{}\" is named twice", shown(name))),
        _ => Ok(()),
    }
}

/// The beginning of a name, for a message.
fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}

/// What to tell of the columns that none of `known` is, and that are therefore ignored.
pub fn unknown_columns<'n>(
    names: impl IntoIterator<Item = &'n String>,
    known: &[&str],
    is_known: impl Fn(&str) -> bool,
) -> Vec<ImportWarning> {
    let warning = |name: &String| {
        let suggestion = did_you_mean(name, known.iter().copied());
        let column = shown(name);
        let detail = format!("there is no column \"{column}\", so it was ignored{suggestion}");
        ImportWarning { column, detail }
    };
    names.into_iter().filter(|name| !is_known(name)).take(MAX_WARNINGS).map(warning).collect()
}

/// The number of line breaks.
fn breaks(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// The separator that the first line has most of outside quotes.
fn separator(text: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in text {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => SEPARATORS
                .iter()
                .zip(&mut counts)
                .filter(|(known, _)| *known == byte)
                .for_each(|(_, count)| *count += 1),
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    SEPARATORS.into_iter().zip(counts).find(|(_, count)| *count == most).map_or(b',', |(separator, _)| separator)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { is_little_endian: bool },
}

/// A reader of text, which is turned into UTF-8 without a byte order mark.
#[derive(Debug)]
struct Utf8<R> {
    reader: R,
    /// `None` before the first bytes.
    encoding: Option<Encoding>,
    /// Bytes that are not converted yet.
    raw: Vec<u8>,
}

impl<R: Read> Utf8<R> {
    /// Appends some text. Returns whether there may be more.
    fn read_into(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let held = self.raw.len();
        self.raw.resize(held + BLOCK, 0);
        let read = loop {
            match self.reader.read(self.raw.get_mut(held..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.raw.truncate(held + read);
        if read > 0 && self.encoding.is_none() && self.raw.len() < 3 {
            return Ok(true);
        }
        let encoding = *self.encoding.get_or_insert_with(|| {
            let (encoding, mark) = encoding(&self.raw);
            self.raw.drain(..mark);
            encoding
        });
        match encoding {
            Encoding::Utf8 => out.append(&mut self.raw),
            Encoding::Utf16 { is_little_endian } => self.convert(is_little_endian, read == 0, out),
        }
        Ok(read > 0)
    }

    /// Converts what there is of UTF-16, except for half a character, unless it is the last.
    fn convert(&mut self, is_little_endian: bool, is_last: bool, out: &mut Vec<u8>) {
        let unit =
            |pair: &[u8; 2]| if is_little_endian { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) };
        let (pairs, _) = self.raw.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        let is_half = |unit: &u16| (0xD800..0xDC00).contains(unit);
        if !is_last && units.last().is_some_and(is_half) {
            units.pop();
        }
        self.raw.drain(..2 * units.len());
        let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        out.extend_from_slice(text.as_bytes());
    }
}

/// The encoding of a text that begins so, and the length of its byte order mark. Without a mark, a text that begins with an
/// ASCII character tells its encoding by the zero beside it.
fn encoding(start: &[u8]) -> (Encoding, usize) {
    match start {
        [0xEF, 0xBB, 0xBF, ..] => (Encoding::Utf8, 3),
        [0xFF, 0xFE, ..] => (Encoding::Utf16 { is_little_endian: true }, 2),
        [0xFE, 0xFF, ..] => (Encoding::Utf16 { is_little_endian: false }, 2),
        [1..=0x7F, 0, ..] => (Encoding::Utf16 { is_little_endian: true }, 0),
        [0, 1..=0x7F, ..] => (Encoding::Utf16 { is_little_endian: false }, 0),
        _ => (Encoding::Utf8, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(buffer.len()).min(self.0.len());
            self.0.read(&mut buffer[..len])
        }
    }

    /// The rows, as fields joined by `|`, and the errors as `row code: detail`.
    fn rows(text: &[u8], step: usize) -> Vec<String> {
        let (mut rows, names) = CsvRows::open(Slow(text, step), 1 << 10, &[]).unwrap();
        let mut found = vec![names.join("|")];
        let mut record = ByteRecord::new();
        loop {
            match rows.read(&mut record) {
                Ok(false) => return found,
                Ok(true) => {
                    let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
                    found.push(fields.join("|"));
                }
                Err(error) => found.push(format!("{} {}: {}", error.row, error.code, error.detail)),
            }
        }
    }

    #[test]
    fn the_lines_of_a_quoted_field_that_is_too_long_are_no_rows() {
        let cell = "GHOST,1\n".repeat(300);
        let text = format!("a,b\n1,\"{cell}\"\n2,x\n3,\"{cell}\",{}\n4,y\n", "z".repeat(9_000));
        let expected = ["a|b", "1 ROW_TOO_LONG: a row is longer than 1024 bytes", "2|x"];
        let expected = [&expected[..], &["3 ROW_TOO_LONG: a row is longer than 1024 bytes", "4|y"]].concat();
        assert_rows(text.as_bytes(), &expected);
    }

    #[test]
    fn headers_that_would_be_misread_are_refused() {
        let refused = |text: &str| CsvRows::open(text.as_bytes(), 1 << 10, &[]).map(drop).unwrap_err();
        for (text, part) in [
            ("sku,name\rA,x\r", "CR alone"),
            ("sku,name,Name\nA,x,y\n", "\"name\" is named twice"),
            ("sku,attr.c,attr.c\nA,x,y\n", "\"attr.c\" is named twice"),
        ] {
            let error = refused(text);
            assert!(error.code == codes::BAD_HEADER && error.detail.contains(part), "{text:?}: {error:?}");
        }
        assert!(CsvRows::open("sku,attr.c,attr.C,,\nA,x,y,,\n".as_bytes(), 1 << 10, &[]).is_ok());
        let known = ["sku", "promotionId", "attr."];
        let (_, names) = CsvRows::open("SKU,PROMOTIONID,Attr.Size,Other\n".as_bytes(), 1 << 10, &known).unwrap();
        assert_eq!(names, ["sku", "promotionId", "attr.Size", "Other"]);
    }

    #[test]
    fn warnings_about_columns_are_limited() {
        let names: Vec<String> = (0..1_000).map(|number| format!("{number}{}", "x".repeat(1_000))).collect();
        let warnings = unknown_columns(&names, &["sku"], |_| false);
        assert_eq!(warnings.len(), MAX_WARNINGS);
        assert!(warnings.iter().all(|warning| warning.detail.len() < 300));
    }

    fn assert_rows(text: &[u8], expected: &[&str]) {
        for step in [1, 2, 3, 7, 1 << 20] {
            assert_eq!(rows(text, step), expected, "{:?} by {step}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn rows_are_read_as_programs_write_them() {
        assert_rows(
            b"a,b\n1,2\r\n\n\"x, \"\"y\"\"\",\"two\nlines\"\n,\n3,4",
            &["a|b", "1|2", "x, \"y\"|two\nlines", "|", "3|4"],
        );
        assert_rows(b"a;b,c;d\n1;2,5;3\n", &["a|b,c|d", "1|2,5|3"]);
        assert_rows(b"\xEF\xBB\xBFa\tb\n5\"\t\"6\" x\n", &["a|b", "5\"|6 x"]);
        assert_rows(b"a\n", &["a"]);
        let text = "a,b\nM\u{fc}hle,\u{1F600}\n";
        let (little, big): (Vec<[u8; 2]>, Vec<[u8; 2]>) =
            text.encode_utf16().map(|unit| (unit.to_le_bytes(), unit.to_be_bytes())).unzip();
        let expected = ["a|b", "M\u{fc}hle|\u{1F600}"];
        assert_rows(&[&[0xFF, 0xFE], little.concat().as_slice()].concat(), &expected);
        assert_rows(&[&[0xFE, 0xFF], big.concat().as_slice()].concat(), &expected);
        assert_rows(&little.concat(), &expected);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_one_row() {
        let unclosed = |row, line, field| {
            format!("{row} UNCLOSED_QUOTE: line {line}: the quote that opens field {field} is never closed")
        };
        assert_rows(b"a,b\n1,\"2\n3,4\n5,\"6\"\n7,8\n", &["a|b", &unclosed(1, 2, 2), "3|4", "5|6", "7|8"]);
        assert_rows(b"a,b\n1,2\n\"3,4\n5,6", &["a|b", "1|2", &unclosed(2, 3, 1), "5|6"]);
        assert_rows(b"a,b\n\"1\n1\",\"2\n3,4\n", &["a|b", &unclosed(1, 3, 2), "3|4"]);
        let long = [b"a,b\n1,\"2\n".as_slice(), &b"3,4\n".repeat(1_000)].concat();
        let found = rows(&long, 100);
        assert_eq!((found.len(), &found[1]), (1_002, &unclosed(1, 2, 2)));
        assert!(found[2..].iter().all(|row| row == "3|4"));
    }

    #[test]
    fn a_row_that_is_too_long_costs_no_other() {
        let text = [b"a,b\n".as_slice(), &b"x".repeat(5_000), b",1\n3,4\n"].concat();
        assert_rows(&text, &["a|b", "1 ROW_TOO_LONG: a row is longer than 1024 bytes", "3|4"]);
    }

    #[test]
    fn a_comma_is_decimal_where_it_separates_no_columns() {
        for (separator, text, expected) in
            [(b';', "2,50", "2.50"), (b',', "2,50", "2,50"), (b';', "1.234,50", "1.234,50"), (b'\t', "1,2,3", "1,2,3")]
        {
            assert_eq!(decimal(separator, text), expected);
        }
    }
}
