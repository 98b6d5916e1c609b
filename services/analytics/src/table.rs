//! Answers that are tables: JSON, or CSV for who asks for it by `Accept`.

use promox_kernel::{Content, Cx, Error, Reply, Response, to_json};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// An answer that can be written as a table.
pub trait Table: Serialize + JsonSchema + Send + 'static {
    /// The columns.
    const COLUMNS: &'static [&'static str];

    /// The rows, each with a cell a column.
    fn rows(&self) -> Vec<Vec<String>>;
}

/// A table in the form that the caller takes.
#[derive(Debug)]
pub struct Tabled<T> {
    /// The answer.
    pub body: T,
    /// Whether it goes out as CSV.
    pub csv: bool,
}

impl<T> Tabled<T> {
    /// The answer in the form that the request asks for.
    pub(crate) fn new(cx: &Cx, body: T) -> Self {
        Self { body, csv: cx.accept.as_deref().is_some_and(wants_csv) }
    }
}

/// Whether CSV is liked better than JSON.
fn wants_csv(accept: &str) -> bool {
    let weight = |wanted: &str| {
        let ranges = accept.split(',').map(range);
        ranges.filter(|(media, _)| *media == wanted).map(|(_, weight)| weight).max()
    };
    let json = weight("application/json").or_else(|| weight("application/*")).or_else(|| weight("*/*")).unwrap_or(0);
    // What is named goes before what is only let pass.
    let named = weight("application/json").is_some();
    weight("text/csv").is_some_and(|csv| csv > json || (csv == json && csv > 0 && !named))
}

/// A media range in lower case, and its weight in thousandths.
fn range(text: &str) -> (&str, u32) {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    (media, weight.map_or(1_000, thousandths))
}

fn thousandths(weight: &str) -> u32 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    if whole == "0" { digits.parse().unwrap_or(0) } else { 1_000 }
}

impl<T: Table> Reply for Tabled<T> {
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

    fn kept(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// A cell: what is there, or nothing.
pub(crate) fn cell<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_sent_to_who_likes_it_best() {
        for (accept, want) in [
            ("text/csv", true),
            ("text/csv, application/json;q=0.5", true),
            ("application/json;q=0.9, text/csv;q=0.95", true),
            ("text/csv, */*", true),
            ("text/csv;q=0.5, */*", false),
            ("application/json, text/csv", false),
            ("text/csv;q=0", false),
            ("*/*", false),
            ("text/html, image/*", false),
            ("", false),
        ] {
            assert_eq!(wants_csv(accept), want, "{accept}");
        }
    }
}
