//! Documents as rows of a CSV: one row per line of a document, with the document's own members in its first row.
//!
//! The name of a column is the path of its member, with a dot before a nested member. Lists are written as JSON. An
//! empty cell is an absent member.

use csv::ByteRecord;
use promox_contract::codes;
use promox_contract::import::csv::{decimal, unknown_columns};
use promox_contract::import::{ImportWarning, RowError};
use promox_kernel::{Amount, Error};
use serde_json::{Map, Value};

use super::document::Document;

/// The type of the values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellType {
    Text,
    Whole,
    Amount,
    Flag,
    Json,
}

/// What a member belongs to, which determines the rows that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The document; the member is repeated in each of its rows.
    EachRow,
    /// The document; the member is in its first row.
    Document,
    /// The line; the member is in the line's row.
    Line,
}

/// A column of a CSV.
struct Column {
    /// The name, which is the path of the member.
    name: &'static str,
    /// The names that other systems use, in lower case.
    aliases: &'static [&'static str],
    cell_type: CellType,
    owner: Owner,
}

const fn column(name: &'static str, cell_type: CellType, owner: Owner) -> Column {
    Column { name, aliases: &[], cell_type, owner }
}

const fn aliased(name: &'static str, aliases: &'static [&'static str], cell_type: CellType, owner: Owner) -> Column {
    Column { name, aliases, cell_type, owner }
}

/// All columns, in the order of an export.
const COLUMNS: &[Column] = &[
    column("type", CellType::Text, Owner::EachRow),
    aliased("number", &["invoiceno"], CellType::Text, Owner::EachRow),
    aliased("date", &["invoicedate"], CellType::Text, Owner::EachRow),
    column("status", CellType::Text, Owner::Document),
    column("userId", CellType::Whole, Owner::Document),
    aliased("customer", &["customerid"], CellType::Text, Owner::Document),
    column("email", CellType::Text, Owner::Document),
    column("currency", CellType::Text, Owner::Document),
    column("pricesIncludeTax", CellType::Flag, Owner::Document),
    aliased("sku", &["stockcode"], CellType::Text, Owner::Line),
    column("productId", CellType::Whole, Owner::Line),
    aliased("name", &["description"], CellType::Text, Owner::Line),
    column("quantity", CellType::Whole, Owner::Line),
    aliased("unitPrice", &["price"], CellType::Amount, Owner::Line),
    column("listPrice", CellType::Amount, Owner::Line),
    column("discount", CellType::Amount, Owner::Line),
    column("tax", CellType::Amount, Owner::Line),
    column("discounts", CellType::Json, Owner::Line),
    column("flashSaleId", CellType::Whole, Owner::Line),
    column("campaignId", CellType::Whole, Owner::Line),
    column("shipped", CellType::Whole, Owner::Line),
    column("delivered", CellType::Whole, Owner::Line),
    column("returned", CellType::Whole, Owner::Line),
    column("withdrawn", CellType::Whole, Owner::Line),
    column("shipping.method", CellType::Text, Owner::Document),
    column("shipping.amount", CellType::Amount, Owner::Document),
    column("shipping.discount", CellType::Amount, Owner::Document),
    column("shipping.tax", CellType::Amount, Owner::Document),
    column("points.redeemed", CellType::Whole, Owner::Document),
    column("points.value", CellType::Amount, Owner::Document),
    column("points.earned", CellType::Whole, Owner::Document),
    column("total", CellType::Amount, Owner::Document),
    column("payment.method", CellType::Text, Owner::Document),
    column("payment.status", CellType::Text, Owner::Document),
    column("payment.declineCode", CellType::Text, Owner::Document),
    column("refunds", CellType::Json, Owner::Document),
    column("shippingAddress", CellType::Json, Owner::Document),
    column("billingAddress", CellType::Json, Owner::Document),
    column("fulfilments", CellType::Json, Owner::Document),
    column("returns", CellType::Json, Owner::Document),
    column("goodsReturned", CellType::Amount, Owner::Document),
    column("appliedPromotions", CellType::Json, Owner::Document),
    column("promotionUses", CellType::Json, Owner::Document),
    column("channel", CellType::Text, Owner::Document),
    column("note", CellType::Text, Owner::Document),
    column("attributes", CellType::Json, Owner::Document),
];

/// The columns that a file must have.
const REQUIRED: [&str; 6] = ["number", "sku", "name", "quantity", "date", "unitPrice"];

/// The names of all columns.
pub(crate) fn header() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|column| column.name)
}

/// The rows of a document, with one cell per column.
pub(crate) fn rows(document: &Document) -> Result<Vec<Vec<String>>, Error> {
    let json = serde_json::to_value(document).map_err(Error::internal)?;
    let lines = json.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let row = |(at, line): (usize, &Value)| {
        let cell = |column: &Column| match column.owner {
            Owner::Line => cell_text(line, column),
            Owner::Document if at > 0 => String::new(),
            Owner::Document | Owner::EachRow => cell_text(&json, column),
        };
        COLUMNS.iter().map(cell).collect()
    };
    Ok(lines.iter().enumerate().map(row).collect())
}

/// The text of a column's cell for a document or line; empty if it lacks the member.
fn cell_text(value: &Value, column: &Column) -> String {
    match column.name.split('.').try_fold(value, |value, member| value.get(member)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if column.cell_type != CellType::Json => text.clone(),
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
    /// The faults of cells: a code and a message.
    pub(crate) faults: Vec<(&'static str, String)>,
}

/// The columns of a file.
pub(crate) struct Table {
    /// The known columns with their positions.
    columns: Vec<(usize, &'static Column)>,
    /// Whether the file has the column `type`, which only an export of this service has.
    is_typed: bool,
    /// Whether the file has the columns of the Online Retail data set, in which rows without a price are not sales.
    is_online_retail: bool,
    separator: u8,
}

impl Table {
    /// Finds the columns in a header. Unknown columns are ignored; a missing required one is an error.
    pub(crate) fn of(header: &[String], separator: u8) -> Result<Self, RowError> {
        let names: Vec<String> = header.iter().map(|name| name.to_lowercase()).collect();
        let find = |column: &'static Column| {
            let is_named =
                |name: &String| name.eq_ignore_ascii_case(column.name) || column.aliases.contains(&name.as_str());
            Some((names.iter().position(is_named)?, column))
        };
        let columns: Vec<_> = COLUMNS.iter().filter_map(find).collect();
        let has = |name: &str| columns.iter().any(|(_, column)| column.name == name);
        if let Some(name) = REQUIRED.into_iter().find(|name| !has(name)) {
            let required = REQUIRED.join(", ");
            let detail = format!("the first line must name the columns {required}; there is no \"{name}\"");
            return Err(RowError::new(0, codes::BAD_HEADER, detail));
        }
        let is_typed = has("type");
        let is_online_retail = names.iter().any(|name| name == "invoiceno");
        Ok(Self { columns, is_typed, is_online_retail, separator })
    }

    /// The columns of a header that none is found for.
    pub(crate) fn unknown_columns(header: &[String]) -> Vec<ImportWarning> {
        let known: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let is_named = |name: &str| {
            let is = |column: &&Column| column.aliases.contains(&name.to_lowercase().as_str());
            known.iter().any(|known| known.eq_ignore_ascii_case(name)) || COLUMNS.iter().any(|column| is(&column))
        };
        unknown_columns(header, &known, is_named)
    }

    /// Whether a row has no price in a file of another system, which records movements of stock in such rows.
    pub(crate) fn is_stock_movement(&self, row: &Row) -> bool {
        let price = row.line.get("unitPrice").and_then(Value::as_str).and_then(|text| text.parse::<Amount>().ok());
        self.is_online_retail && price.is_some_and(Amount::is_zero)
    }

    /// Parses a row. Text is trimmed, except in files with the column `type`, where it must be kept as it was exported.
    pub(crate) fn row(&self, record: &ByteRecord) -> Row {
        let mut row = Row::default();
        for (position, column) in &self.columns {
            let bytes = record.get(*position).unwrap_or_default();
            let Ok(text) = std::str::from_utf8(bytes) else {
                row.faults.push((codes::UNREADABLE, format!("the cell \"{}\" is not UTF-8", column.name)));
                if column.name == "number" {
                    row.number = String::from_utf8_lossy(bytes).into_owned();
                }
                continue;
            };
            let text = if self.is_typed && column.cell_type == CellType::Text { text } else { text.trim() };
            match column.name {
                "number" => text.clone_into(&mut row.number),
                "type" => text.trim().clone_into(&mut row.kind),
                _ => {}
            }
            let member = match parse_cell(column, text, self.separator) {
                Ok(Some(member)) => member,
                Ok(None) => continue,
                Err(fault) => {
                    row.faults.push(fault);
                    continue;
                }
            };
            let members = if column.owner == Owner::Line { &mut row.line } else { &mut row.members };
            set_member(members, column.name, member);
        }
        row
    }
}

/// Parses a cell. Returns `None` if it is empty and not required.
fn parse_cell(column: &Column, text: &str, separator: u8) -> Result<Option<Value>, (&'static str, String)> {
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
    let value = match column.cell_type {
        CellType::Text => Value::String(text.to_owned()),
        CellType::Whole => text.parse::<i64>().map_err(|_| fault(format!("\"{text}\" is not a whole number")))?.into(),
        CellType::Amount => {
            let text = decimal(separator, text);
            text.parse::<Amount>().map_err(fault)?;
            Value::String(text.into_owned())
        }
        CellType::Flag => {
            text.parse::<bool>().map_err(|_| fault(format!("\"{text}\" is neither true nor false")))?.into()
        }
        CellType::Json => serde_json::from_str(text).map_err(|error| fault(error.to_string()))?,
    };
    Ok(Some(value))
}

/// Sets a member by its path, in which dots separate nested members.
fn set_member(members: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((outer, inner)) = path.split_once('.') else {
        members.insert(path.to_owned(), value);
        return;
    };
    let outer = members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(nested) = outer {
        set_member(nested, inner, value);
    }
}
