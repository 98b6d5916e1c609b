//! Lines of JSON, each of them a document (NDJSON).

use std::io::{self, BufRead as _, BufReader, Read};

use serde::de::IgnoredAny;

use super::RowError;
use crate::codes;

/// What programs that remove line breaks are told.
const HINT: &str = "end each object with a line break; curl keeps line breaks with --data-binary, not with -d";

/// The lines of a file, which are read one at a time.
#[derive(Debug)]
pub struct JsonLines<R> {
    reader: BufReader<R>,
    /// The maximum bytes of a line.
    max_len: usize,
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    number: u64,
    at_end: bool,
}

impl<R: Read> JsonLines<R> {
    /// Reads from the beginning of a file. A line may have `max_len` bytes.
    pub fn new(reader: R, max_len: usize) -> Self {
        Self { reader: BufReader::new(reader), max_len, line: Vec::new(), number: 0, at_end: false }
    }

    /// The number of the line that was read last, from 1; blank lines count.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line that is not blank and parses it; `None` after the last. After an error, reading can continue.
    pub fn next<T>(&mut self, parse: impl FnOnce(u64, &[u8]) -> Result<T, RowError>) -> Option<Result<T, RowError>> {
        loop {
            if self.at_end {
                return None;
            }
            self.number += 1;
            match self.read_line() {
                Ok(0) => return None,
                Ok(read) if read > self.max_len => return Some(Err(self.skip_long_line())),
                Ok(_) if self.line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => return Some(self.parsed(parse)),
                Err(error) => {
                    self.at_end = true;
                    return Some(Err(RowError::new(self.number, codes::UNREADABLE, error.to_string())));
                }
            }
        }
    }

    /// Reads a line with its break, or one byte more than a line may have.
    fn read_line(&mut self) -> io::Result<usize> {
        self.line.clear();
        let most = u64::try_from(self.max_len).unwrap_or(u64::MAX).saturating_add(1);
        (&mut self.reader).take(most).read_until(b'\n', &mut self.line)
    }

    fn parsed<T>(&self, parse: impl FnOnce(u64, &[u8]) -> Result<T, RowError>) -> Result<T, RowError> {
        // Some programs begin a file with a byte order mark.
        let line = self.line.strip_prefix(b"\xEF\xBB\xBF").filter(|_| self.number == 1).unwrap_or(&self.line);
        let parsed = parse(self.number, line);
        if parsed.is_err() && has_several(line) {
            let detail = format!("the line has more than one object: {HINT}");
            return Err(RowError::new(self.number, codes::MALFORMED_JSON, detail));
        }
        parsed
    }

    fn skip_long_line(&mut self) -> RowError {
        let is_whole = self.line.ends_with(b"\n");
        self.at_end = !is_whole && self.reader.skip_until(b'\n').is_err();
        let detail = format!("a line is longer than {} bytes: {HINT}", self.max_len);
        RowError::new(self.number, codes::ROW_TOO_LONG, detail)
    }
}

/// Whether a line begins with two objects.
fn has_several(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    (0..2).all(|_| values.next().is_some_and(|value| value.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a file: each line, or `number CODE`.
    fn read(text: &str) -> Vec<String> {
        let mut lines = JsonLines::new(text.as_bytes(), 40);
        let mut found = Vec::new();
        let parse = |number, line: &[u8]| {
            let value = serde_json::from_slice::<serde_json::Value>(line);
            value.map_err(|error| RowError::new(number, codes::INVALID_VALUE, error.to_string()))
        };
        while let Some(line) = lines.next(parse) {
            found.push(match line {
                Ok(value) => format!("{} {value}", lines.number()),
                Err(error) => format!("{} {}", error.row, error.code),
            });
        }
        found
    }

    #[test]
    fn a_faulty_line_costs_no_other() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
        let text = format!("\u{feff}{{\"a\":1}}\n\n{long}\n{{\n{{\"a\":2}} {{\"a\":3}}\n{{\"a\":4}}\r\n{long}");
        let wanted =
            ["1 {\"a\":1}", "3 ROW_TOO_LONG", "4 INVALID_VALUE", "5 MALFORMED_JSON", "6 {\"a\":4}", "7 ROW_TOO_LONG"];
        assert_eq!(read(&text), wanted);
        assert_eq!(read("\n \n"), [""; 0]);
    }
}
