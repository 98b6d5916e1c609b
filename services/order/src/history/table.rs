//! Documents as the rows of a CSV: a line of a document a row, what is of the document as a whole in its first row.
//!
//! Members of members have a point in their column's name, lists are JSON in a cell, an empty cell is a member left out.

use csv::{ByteRecord, StringRecord};
use promox_contract::codes;
use promox_kernel::{Amount, Error, Kind};
use serde_json::{Map, Value};

use super::document::Document;

/// How a cell is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Whole,
    Amount,
    Flag,
    Json,
}

/// Whose a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// The document's, and stands in each of its rows.
    Each,
    /// The document's.
    Document,
    Line,
}

/// A column: its name, which is the path of its member, and what other systems call it.
struct Column {
    name: &'static str,
    also: &'static [&'static str],
    form: Form,
    of: Of,
}

const fn column(name: &'static str, form: Form, of: Of) -> Column {
    Column { name, also: &[], form, of }
}

const fn known_as(name: &'static str, also: &'static [&'static str], form: Form, of: Of) -> Column {
    Column { name, also, form, of }
}

/// Every column, in the order that they are written in.
const COLUMNS: &[Column] = &[
    column("type", Form::Text, Of::Each),
    known_as("number", &["invoiceno"], Form::Text, Of::Each),
    known_as("date", &["invoicedate"], Form::Text, Of::Each),
    column("status", Form::Text, Of::Document),
    column("userId", Form::Whole, Of::Document),
    known_as("customer", &["customerid"], Form::Text, Of::Document),
    column("email", Form::Text, Of::Document),
    column("currency", Form::Text, Of::Document),
    column("pricesIncludeTax", Form::Flag, Of::Document),
    known_as("sku", &["stockcode"], Form::Text, Of::Line),
    column("productId", Form::Whole, Of::Line),
    known_as("name", &["description"], Form::Text, Of::Line),
    column("quantity", Form::Whole, Of::Line),
    known_as("unitPrice", &["price"], Form::Amount, Of::Line),
    column("listPrice", Form::Amount, Of::Line),
    column("discount", Form::Amount, Of::Line),
    column("tax", Form::Amount, Of::Line),
    column("discounts", Form::Json, Of::Line),
    column("flashSaleId", Form::Whole, Of::Line),
    column("campaignId", Form::Whole, Of::Line),
    column("shipped", Form::Whole, Of::Line),
    column("delivered", Form::Whole, Of::Line),
    column("returned", Form::Whole, Of::Line),
    column("withdrawn", Form::Whole, Of::Line),
    column("shipping.method", Form::Text, Of::Document),
    column("shipping.amount", Form::Amount, Of::Document),
    column("shipping.discount", Form::Amount, Of::Document),
    column("shipping.tax", Form::Amount, Of::Document),
    column("points.redeemed", Form::Whole, Of::Document),
    column("points.value", Form::Amount, Of::Document),
    column("points.earned", Form::Whole, Of::Document),
    column("total", Form::Amount, Of::Document),
    column("payment.method", Form::Text, Of::Document),
    column("payment.status", Form::Text, Of::Document),
    column("payment.declineCode", Form::Text, Of::Document),
    column("refunds", Form::Json, Of::Document),
    column("shippingAddress", Form::Json, Of::Document),
    column("billingAddress", Form::Json, Of::Document),
    column("fulfilments", Form::Json, Of::Document),
    column("returns", Form::Json, Of::Document),
    column("goodsReturned", Form::Amount, Of::Document),
    column("appliedPromotions", Form::Json, Of::Document),
    column("promotionUses", Form::Json, Of::Document),
    column("channel", Form::Text, Of::Document),
    column("note", Form::Text, Of::Document),
    column("attributes", Form::Json, Of::Document),
];

/// Columns without which there is no document.
const REQUIRED: [&str; 6] = ["number", "sku", "name", "quantity", "date", "unitPrice"];

/// The names of all columns.
pub(crate) fn header() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|column| column.name)
}

/// A document's rows, each with a cell a column.
pub(crate) fn rows(document: &Document) -> Result<Vec<Vec<String>>, Error> {
    let whole = serde_json::to_value(document).map_err(Error::internal)?;
    let lines = whole.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let row = |(at, line): (usize, &Value)| {
        let cell = |column: &Column| match column.of {
            Of::Line => written(line, column),
            Of::Document if at > 0 => String::new(),
            Of::Document | Of::Each => written(&whole, column),
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

/// A row as it was read.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) number: String,
    pub(crate) kind: String,
    /// What is of the document as a whole.
    pub(crate) members: Map<String, Value>,
    pub(crate) line: Map<String, Value>,
    /// What cannot be read of it: a code and what is wrong.
    pub(crate) faults: Vec<(&'static str, String)>,
}

/// Where the columns stand in a file.
pub(crate) struct Table {
    places: Vec<(usize, &'static Column)>,
    /// Whether each row says what document it is of.
    is_typed: bool,
    /// Whether it is a file of the Online Retail data set, in which what has no price was not sold.
    is_online_retail: bool,
}

impl Table {
    /// The table of a header; columns that mean nothing here are passed over.
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

    /// Whether a row is none of a sale, nor of one that was taken back: other systems write stock down in such rows.
    pub(crate) fn passes_over(&self, row: &Row) -> bool {
        let price = row.line.get("unitPrice").and_then(Value::as_str).and_then(|text| text.parse::<Amount>().ok());
        self.is_online_retail && price.is_some_and(Amount::is_zero)
    }

    /// Reads a row. Cells of our own files are as they were written, of others without the space around them.
    pub(crate) fn row(&self, record: &ByteRecord) -> Row {
        let mut row = Row::default();
        for (place, column) in &self.places {
            let bytes = record.get(*place).unwrap_or_default();
            let Ok(text) = std::str::from_utf8(bytes) else {
                row.faults.push(("UNREADABLE", format!("the cell \"{}\" is not UTF-8", column.name)));
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
            let into = if column.of == Of::Line { &mut row.line } else { &mut row.members };
            put(into, column.name, member);
        }
        row
    }
}

/// A cell's member, none when it is empty.
fn read(column: &Column, text: &str) -> Result<Option<Value>, (&'static str, String)> {
    let fault = |detail: String| {
        let code = match column.name {
            "quantity" => "INVALID_QUANTITY",
            "unitPrice" => "INVALID_PRICE",
            "discount" => "INVALID_DISCOUNT",
            _ => "UNREADABLE",
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

/// Puts a member where its name says, a point leading into a member.
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
