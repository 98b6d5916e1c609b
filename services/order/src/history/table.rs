//! Documents as the rows of a CSV: one row per line of a document, with the document's own members in its first row.
//!
//! Nested members have dots in their column's name, lists are JSON in a cell, an empty cell is an absent member.

use csv::{ByteRecord, StringRecord};
use promox_contract::codes;
use promox_kernel::{Amount, Error, Kind};
use serde_json::{Map, Value};

use super::document::Document;

/// How a cell is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Whole,
    Amount,
    Flag,
    Json,
}

/// The owner of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The document, repeated in each of its rows.
    Each,
    /// The document.
    Document,
    Line,
}

/// A column: its name, which is the path of its member, and its name in other systems.
struct Column {
    name: &'static str,
    also: &'static [&'static str],
    form: Form,
    of: Owner,
}

const fn column(name: &'static str, form: Form, of: Owner) -> Column {
    Column { name, also: &[], form, of }
}

const fn known_as(name: &'static str, also: &'static [&'static str], form: Form, of: Owner) -> Column {
    Column { name, also, form, of }
}

/// All columns, in the order of an export.
const COLUMNS: &[Column] = &[
    column("type", Form::Text, Owner::Each),
    known_as("number", &["invoiceno"], Form::Text, Owner::Each),
    known_as("date", &["invoicedate"], Form::Text, Owner::Each),
    column("status", Form::Text, Owner::Document),
    column("userId", Form::Whole, Owner::Document),
    known_as("customer", &["customerid"], Form::Text, Owner::Document),
    column("email", Form::Text, Owner::Document),
    column("currency", Form::Text, Owner::Document),
    column("pricesIncludeTax", Form::Flag, Owner::Document),
    known_as("sku", &["stockcode"], Form::Text, Owner::Line),
    column("productId", Form::Whole, Owner::Line),
    known_as("name", &["description"], Form::Text, Owner::Line),
    column("quantity", Form::Whole, Owner::Line),
    known_as("unitPrice", &["price"], Form::Amount, Owner::Line),
    column("listPrice", Form::Amount, Owner::Line),
    column("discount", Form::Amount, Owner::Line),
    column("tax", Form::Amount, Owner::Line),
    column("discounts", Form::Json, Owner::Line),
    column("flashSaleId", Form::Whole, Owner::Line),
    column("campaignId", Form::Whole, Owner::Line),
    column("shipped", Form::Whole, Owner::Line),
    column("delivered", Form::Whole, Owner::Line),
    column("returned", Form::Whole, Owner::Line),
    column("withdrawn", Form::Whole, Owner::Line),
    column("shipping.method", Form::Text, Owner::Document),
    column("shipping.amount", Form::Amount, Owner::Document),
    column("shipping.discount", Form::Amount, Owner::Document),
    column("shipping.tax", Form::Amount, Owner::Document),
    column("points.redeemed", Form::Whole, Owner::Document),
    column("points.value", Form::Amount, Owner::Document),
    column("points.earned", Form::Whole, Owner::Document),
    column("total", Form::Amount, Owner::Document),
    column("payment.method", Form::Text, Owner::Document),
    column("payment.status", Form::Text, Owner::Document),
    column("payment.declineCode", Form::Text, Owner::Document),
    column("refunds", Form::Json, Owner::Document),
    column("shippingAddress", Form::Json, Owner::Document),
    column("billingAddress", Form::Json, Owner::Document),
    column("fulfilments", Form::Json, Owner::Document),
    column("returns", Form::Json, Owner::Document),
    column("goodsReturned", Form::Amount, Owner::Document),
    column("appliedPromotions", Form::Json, Owner::Document),
    column("promotionUses", Form::Json, Owner::Document),
    column("channel", Form::Text, Owner::Document),
    column("note", Form::Text, Owner::Document),
    column("attributes", Form::Json, Owner::Document),
];

/// The required columns.
const REQUIRED: [&str; 6] = ["number", "sku", "name", "quantity", "date", "unitPrice"];

/// The names of all columns.
pub(crate) fn header() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|column| column.name)
}

/// A document's rows, with one cell per column.
pub(crate) fn rows(document: &Document) -> Result<Vec<Vec<String>>, Error> {
    let whole = serde_json::to_value(document).map_err(Error::internal)?;
    let lines = whole.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let row = |(at, line): (usize, &Value)| {
        let cell = |column: &Column| match column.of {
            Owner::Line => written(line, column),
            Owner::Document if at > 0 => String::new(),
            Owner::Document | Owner::Each => written(&whole, column),
        };
        COLUMNS.iter().map(cell).collect()
    };
    Ok(lines.iter().enumerate().map(row).collect())
}

fn written(value: &Value, column: &Column) -> String {
    match column.name.split('.').try_fold(value, |value, member| value.get(member)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if column.form != Form::Json => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A parsed row.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) number: String,
    pub(crate) kind: String,
    /// The document's own members.
    pub(crate) members: Map<String, Value>,
    pub(crate) line: Map<String, Value>,
    /// A parse error: a code and what is wrong.
    pub(crate) faults: Vec<(&'static str, String)>,
}

/// The positions of the columns in a file.
pub(crate) struct Table {
    places: Vec<(usize, &'static Column)>,
    /// Whether each row states its document.
    is_typed: bool,
    /// Whether it is a file of the Online Retail data set, in which rows without a price are not sales.
    is_online_retail: bool,
}

impl Table {
    /// The columns of a header; unknown columns are ignored.
    pub(crate) fn of(header: &StringRecord) -> Result<Self, Error> {
        let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
        let place = |column: &'static Column| {
            let own = |name: &String| name.eq_ignore_ascii_case(column.name) || column.also.contains(&name.as_str());
            Some((names.iter().position(own)?, column))
        };
        let places: Vec<_> = COLUMNS.iter().filter_map(place).collect();
        let has = |name: &str| places.iter().any(|(_, column)| column.name == name);
        if let Some(name) = REQUIRED.into_iter().find(|name| !has(name)) {
            let message = format!("The header has no column \"{name}\".");
            return Err(Error::new(Kind::Malformed, codes::MISSING_COLUMN, message).with("column", name));
        }
        let is_typed = has("type");
        let is_online_retail = names.iter().any(|name| name == "invoiceno");
        Ok(Self { places, is_typed, is_online_retail })
    }

    /// Whether a row is neither a sale nor a return: other systems record stock in such rows.
    pub(crate) fn passes_over(&self, row: &Row) -> bool {
        let price = row.line.get("unitPrice").and_then(Value::as_str).and_then(|text| text.parse::<Amount>().ok());
        self.is_online_retail && price.is_some_and(Amount::is_zero)
    }

    /// Parses a row. Cells of our own files are kept as they are, those of others are trimmed.
    pub(crate) fn row(&self, record: &ByteRecord) -> Row {
        let mut row = Row::default();
        for (place, column) in &self.places {
            let bytes = record.get(*place).unwrap_or_default();
            let Ok(text) = std::str::from_utf8(bytes) else {
                row.faults.push((codes::UNREADABLE, format!("the cell \"{}\" is not UTF-8", column.name)));
                if column.name == "number" {
                    row.number = String::from_utf8_lossy(bytes).into_owned();
                }
                continue;
            };
            let text = if self.is_typed && column.form == Form::Text { text } else { text.trim() };
            match column.name {
                "number" => text.clone_into(&mut row.number),
                "type" => text.trim().clone_into(&mut row.kind),
                _ => {}
            }
            let member = match read(column, text) {
                Ok(Some(member)) => member,
                Ok(None) => continue,
                Err(fault) => {
                    row.faults.push(fault);
                    continue;
                }
            };
            let into = if column.of == Owner::Line { &mut row.line } else { &mut row.members };
            put(into, column.name, member);
        }
        row
    }
}

/// The value of a cell, none when it is empty.
fn read(column: &Column, text: &str) -> Result<Option<Value>, (&'static str, String)> {
    let fault = |detail: String| {
        let code = match column.name {
            "quantity" => codes::INVALID_QUANTITY,
            "unitPrice" => codes::INVALID_PRICE,
            "discount" => codes::INVALID_DISCOUNT,
            _ => codes::UNREADABLE,
        };
        (code, format!("{}: {detail}", column.name))
    };
    if text.is_empty() && !REQUIRED.contains(&column.name) {
        return Ok(None);
    }
    let value = match column.form {
        Form::Text => Value::String(text.to_owned()),
        Form::Whole => text.parse::<i64>().map_err(|_| fault(format!("\"{text}\" is not a whole number")))?.into(),
        Form::Amount => {
            text.parse::<Amount>().map_err(fault)?;
            Value::String(text.to_owned())
        }
        Form::Flag => text.parse::<bool>().map_err(|_| fault(format!("\"{text}\" is neither true nor false")))?.into(),
        Form::Json => serde_json::from_str(text).map_err(|error| fault(error.to_string()))?,
    };
    Ok(Some(value))
}

/// Sets a member by its path, where a dot leads into a nested member.
fn put(into: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((outer, inner)) = name.split_once('.') else {
        into.insert(name.to_owned(), value);
        return;
    };
    let outer = into.entry(outer).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(members) = outer {
        put(members, inner, value);
    }
}
