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
            writer.write_record(row).map_err(Error::internal)?;
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

/// The text of a cell, which is empty for `None`.
pub(crate) fn cell<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
