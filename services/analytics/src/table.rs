//! Replies in the form of tables: JSON or CSV, as the `Accept` header requires.

use promox_kernel::{Content, Cx, Error, Reply, Response, accept, to_json};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

const CSV: &str = "text/csv";

/// A reply that can be written as a table.
pub trait Table: Serialize + JsonSchema + Send + 'static {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// The rows, with one cell per column.
    fn rows(&self) -> Vec<Vec<String>>;
}

/// A reply in the format that the client prefers.
#[derive(Debug)]
pub struct Tabled<T> {
    /// The reply.
    pub body: T,
    /// Whether it is sent as CSV.
    pub csv: bool,
}

impl<T> Tabled<T> {
    /// A reply in the format that the request prefers.
    pub(crate) fn new(cx: &Cx, body: T) -> Self {
        // The edge refuses clients that accept neither.
        let csv = accept::preferred(cx.accept.as_deref(), &[accept::JSON, CSV]) == Some(CSV);
        Self { body, csv }
    }
}

impl<T: Table> Reply for Tabled<T> {
    const MEDIA_TYPES: &'static [&'static str] = &[CSV];

    fn respond(self, status: u16) -> Result<Response, Error> {
        let headers = vec![("vary", "accept".to_owned())];
        if !self.csv {
            return Ok(Response { status, headers, content: Content::Json(to_json(&self.body)?) });
        }
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(T::COLUMNS).map_err(Error::internal)?;
        for row in self.body.rows() {
            writer.write_record(row.into_iter().map(without_formula)).map_err(Error::internal)?;
        }
        let bytes = writer.into_inner().map_err(Error::internal)?;
        Ok(Response { status, headers, content: Content::Bytes("text/csv; charset=utf-8", bytes.into()) })
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// A cell that no spreadsheet takes for a formula: names of products and campaigns may begin like one. An apostrophe is put
/// before those, as OWASP advises against CSV injection; numbers stay.
fn without_formula(cell: String) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if is_formula { format!("'{cell}") } else { cell }
}

/// The text of a cell, which is empty for `None`.
pub(crate) fn cell<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::without_formula;

    #[test]
    fn texts_that_begin_like_formulas_are_quoted_and_numbers_are_not() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3", "'-2+3"),
            ("+49 30 1234", "'+49 30 1234"),
            ("-12.50", "-12.50"),
            ("Summer = 20 %", "Summer = 20 %"),
            ("", ""),
        ] {
            assert_eq!(without_formula(cell.to_owned()), written);
        }
    }
}
