//! Pages of a list: the limit, the opaque cursor, and the form of the reply.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::Error;
use crate::codes;

/// The maximum number of items of a page: 1 to 200, 20 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(usize);

impl Limit {
    /// The largest page.
    pub const MAX: Self = Self(200);

    /// The number of items.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let limit = u64::deserialize(d)?;
        match usize::try_from(limit) {
            Ok(limit @ 1..=200) => Ok(Self(limit)),
            _ => Err(de::Error::custom("must be 1 to 200")),
        }
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 200, "default": 20})
    }
}

/// The position after a page: the key of its last item, opaque to clients. It stays valid while rows are inserted and
/// removed around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let fault = || de::Error::custom("must be a cursor of this list; start again without one");
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| fault())?;
        if bytes.len() > 1024 { Err(fault()) } else { Ok(Self(bytes)) }
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-]*$"})
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` for the next page; null on the last page.
    pub next_cursor: Option<Cursor>,
    /// The total number of items, where it is cheap to compute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Rows that were left out because their stored data is damaged; absent if there are none. The `Warning` header
    /// repeats them.
    #[serde(default, skip_serializing_if = "Warnings::is_empty")]
    pub warnings: Warnings,
}

/// Rows that a list leaves out because their stored data is damaged, one entry per table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Warnings(Vec<ListWarning>);

/// Rows of one table that a list leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListWarning {
    /// `DAMAGED_ROWS`: rows whose checksum fails or that do not decode. The server's log has their file, table and key.
    pub code: Cow<'static, str>,
    /// What was left out, for humans.
    pub message: String,
    /// The table or index.
    pub table: String,
    /// The number of rows that this page leaves out.
    pub rows: u64,
}

impl Warnings {
    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records that a damaged row was left out and logs its location, `place`.
    pub fn left_out(&mut self, table: &str, place: &str) {
        tracing::error!(place, "a damaged row was left out of a list");
        let at = self.0.iter().position(|warning| warning.table == table);
        let rows = at.and_then(|at| self.0.get(at)).map_or(0, |warning| warning.rows) + 1;
        let subject = if rows == 1 { "row is" } else { "rows are" };
        let warning = ListWarning {
            code: codes::DAMAGED_ROWS.into(),
            message: format!("{rows} {subject} left out: stored data of {table} is damaged."),
            table: table.to_owned(),
            rows,
        };
        match at.and_then(|at| self.0.get_mut(at)) {
            Some(existing) => *existing = warning,
            None => self.0.push(warning),
        }
    }

    /// Returns the value of a result. If the data it was read from is damaged, records a warning and returns `None`.
    pub fn unless_damaged<T, E: Into<Error>>(&mut self, result: Result<T, E>) -> Result<Option<T>, Error> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error.into(),
        };
        let Some(table) = error.damaged_table() else { return Err(error) };
        self.left_out(table, error.cause().unwrap_or_default());
        Ok(None)
    }

    /// Fails with `DATA_DAMAGED` if anything was left out: for results that must be complete.
    pub fn check_whole(&self) -> Result<(), Error> {
        self.0.first().map_or(Ok(()), |first| Err(Error::damaged(&first.table, &first.message)))
    }

    /// The `Warning` headers, one per table, with the code 299 of RFC 7234.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        self.0.iter().map(|warning| ("warning", format!("299 promox \"{}\"", warning.message))).collect()
    }
}

impl<T> Page<T> {
    /// A page without a total.
    pub fn new(items: Vec<T>, next_cursor: Option<Cursor>) -> Self {
        Self { items, next_cursor, total: None, warnings: Warnings::default() }
    }

    /// Converts each item.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, next_cursor, total, warnings } = self;
        Page { items: items.into_iter().map(convert).collect(), next_cursor, total, warnings }
    }

    /// Converts each item. An item whose data is damaged is left out, with a warning.
    pub fn try_map<U, E: Into<Error>>(self, mut convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, Error> {
        let Self { items, next_cursor, total, mut warnings } = self;
        let mut converted = Vec::with_capacity(items.len());
        for item in items {
            converted.extend(warnings.unless_damaged(convert(item))?);
        }
        Ok(Page { items: converted, next_cursor, total, warnings })
    }
}
