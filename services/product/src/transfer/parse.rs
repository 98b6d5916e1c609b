//! Parses the rows of an import from a stream. Runs on a blocking thread. A faulty row does not stop it.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::str::FromStr;

use promox_contract::codes;
use promox_contract::import::csv::{CsvRows, decimal, unknown_columns};
use promox_contract::import::lines::JsonLines;
use promox_contract::import::{ImportWarning, RowError};
use promox_kernel::{Amount, Currency, Error, Patch, Sku, bind_json};
use serde::Deserialize;

use super::columns::{ATTRIBUTE_PREFIX, COLUMNS, LIST_SEPARATOR, OPTION_PREFIX};
use crate::api::{CategoryLine, Image, LineType, ProductChange, ProductLine, VariantInput};
use crate::commands::ImportRow;

/// Maximum bytes of a row.
const MAX_ROW_LEN: usize = 1 << 20;
/// Maximum warnings about SKUs, so that a report stays small.
const MAX_WARNINGS: usize = 100;

/// What a row describes.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Product(Box<ImportRow>),
    /// A category, with the row's number.
    Category(u64, CategoryLine),
}

impl Row {
    /// The row's number.
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Product(row) => row.row,
            Self::Category(number, _) => *number,
        }
    }

    /// The SKU that the row is of: that of a variant, or the product's own.
    fn sku(&self) -> Option<&Sku> {
        let Self::Product(row) = self else { return None };
        match (&row.variant, &row.change.sku) {
            (Some(variant), _) => Some(&variant.sku),
            (None, Patch::Set(sku)) => Some(sku),
            (None, _) => None,
        }
    }
}

/// Notes SKUs that several rows of a file are of, because the last of them wins.
#[derive(Default)]
pub(super) struct RepeatedSkus {
    /// The number of the last row by SKU.
    rows: HashMap<String, u64>,
    pub(super) warnings: Vec<ImportWarning>,
}

impl RepeatedSkus {
    /// Notes the SKU of a row, and a warning if an earlier row is of it.
    pub(super) fn note(&mut self, parsed: &Parsed) {
        let Ok(row) = parsed else { return };
        let Some(sku) = row.sku() else { return };
        let earlier = self.rows.insert(sku.fold(), row.number());
        if let Some(earlier) = earlier.filter(|_| self.warnings.len() < MAX_WARNINGS) {
            let rows = format!("rows {earlier} and {}", row.number());
            let detail = format!("{rows} are both of the SKU \"{sku}\": what the later one states counts");
            self.warnings.push(ImportWarning { column: "sku".to_owned(), detail });
        }
    }
}

/// A parsed row, or its error.
pub(super) type Parsed = Result<Row, RowError>;

/// Passes every row of a CSV with prices in `currency` to `emit`, until that returns `false`. Returns the columns that it
/// ignores.
pub(super) fn csv(reader: impl Read, currency: Currency, mut emit: impl FnMut(Parsed) -> bool) -> Vec<ImportWarning> {
    let known = [COLUMNS, &[ATTRIBUTE_PREFIX, OPTION_PREFIX]].concat();
    let opened = CsvRows::open(reader, MAX_ROW_LEN, &known);
    let opened = opened.and_then(|(rows, names)| Ok((Header::new(names, rows.separator())?, rows)));
    let (header, mut rows) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            emit(Err(error));
            return Vec::new();
        }
    };
    let mut record = csv::ByteRecord::new();
    loop {
        let parsed = match rows.read(&mut record) {
            Ok(false) => break,
            Ok(true) => header.row(rows.row(), &record, currency),
            Err(error) => Err(error),
        };
        if !emit(parsed) {
            break;
        }
    }
    unknown_columns(&header.names, COLUMNS, is_known)
}

/// Whether a column has a meaning.
fn is_known(name: &str) -> bool {
    let has_prefix = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    COLUMNS.contains(&name) || has_prefix(ATTRIBUTE_PREFIX) || has_prefix(OPTION_PREFIX)
}

/// The columns of a file.
struct Header {
    /// Their names, in order.
    names: Vec<String>,
    separator: u8,
}

impl Header {
    /// Checks that there is a column of SKUs.
    fn new(names: Vec<String>, separator: u8) -> Result<Self, RowError> {
        if names.iter().any(|name| name == "sku") {
            return Ok(Self { names, separator });
        }
        let detail = format!(
            "the first line must name the columns, and one of them must be sku; it names {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        Err(RowError::new(0, codes::BAD_HEADER, detail))
    }

    /// Parses the row with the number `row`.
    fn row(&self, row: u64, record: &csv::ByteRecord, currency: Currency) -> Parsed {
        if record.len() != self.names.len() {
            let detail = format!("the row has {} fields, the header {}", record.len(), self.names.len());
            return Err(RowError::new(row, codes::FIELD_COUNT, detail));
        }
        let mut cells = Cells { separator: self.separator, texts: BTreeMap::new() };
        for (name, bytes) in self.names.iter().zip(record) {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Err(RowError::new(row, codes::NOT_UTF8, format!("{name} is not UTF-8")));
            };
            let text = text.trim();
            if !text.is_empty() {
                cells.texts.insert(name, text);
            }
        }
        let invalid = |detail| RowError::new(row, codes::INVALID_VALUE, detail);
        check_currency(row, cells.parsed("currency", "a currency such as EUR").map_err(invalid)?, currency)?;
        let categories = cells.list("categories").map(|names| names.map(str::to_owned).collect());
        let (change, variant) = cells.read().map_err(invalid)?;
        Ok(Row::Product(Box::new(ImportRow { row, change, variant, categories })))
    }
}

/// The non-empty cells of a row, by column. An empty cell leaves a member unchanged.
struct Cells<'r> {
    separator: u8,
    texts: BTreeMap<&'r str, &'r str>,
}

impl<'r> Cells<'r> {
    /// The text of a cell, or `None` if it is empty or there is no such column.
    fn text(&self, name: &str) -> Option<String> {
        self.texts.get(name).map(|text| (*text).to_owned())
    }

    /// Parses a cell. `expected` completes the message "must be …".
    fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, String> {
        let parse = |text: &&str| text.parse().map_err(|_| format!("{name}: \"{text}\" must be {expected}"));
        self.texts.get(name).map(parse).transpose()
    }

    /// Parses the cell of an amount.
    fn amount(&self, name: &str) -> Result<Option<Amount>, String> {
        let parse = |text: &&str| {
            decimal(self.separator, text).parse().map_err(|_| format!("{name}: \"{text}\" must be an amount"))
        };
        self.texts.get(name).map(parse).transpose()
    }

    /// The elements of a list in a cell.
    fn list(&self, name: &str) -> Option<impl Iterator<Item = &'r str>> {
        let text = self.texts.get(name)?;
        Some(text.split(LIST_SEPARATOR).map(str::trim).filter(|part| !part.is_empty()))
    }

    /// The cells of columns with a prefix, by the rest of the column's name.
    fn with_prefix(&self, prefix: &'r str) -> impl Iterator<Item = (String, String)> {
        let strip =
            move |(name, text): (&&'r str, &&'r str)| Some((name.strip_prefix(prefix)?.to_owned(), (*text).to_owned()));
        self.texts.iter().filter_map(strip)
    }

    /// The change to the product, and the variant that the row describes, if it names its product.
    fn read(&self) -> Result<(ProductChange, Option<VariantInput>), String> {
        let sku: Sku = self.parsed("sku", "a SKU")?.ok_or("sku: every row must have a SKU")?;
        let product_sku: Option<Sku> = self.parsed("productSku", "a SKU")?;
        let mut change = self.product()?;
        change.sku = Patch::Set(product_sku.clone().unwrap_or_else(|| sku.clone()));
        let variant = VariantInput {
            id: None,
            sku,
            name: self.text("variantName"),
            options: self.with_prefix(OPTION_PREFIX).collect(),
            price: self.amount("price")?,
            compare_at_price: self.amount("compareAtPrice")?,
            barcode: self.text("barcode"),
            cost: self.amount("cost")?,
        };
        if product_sku.is_some() {
            return Ok((change, Some(variant)));
        }
        if variant.name.is_some() || !variant.options.is_empty() {
            return Err("variantName and options require productSku".to_owned());
        }
        change.price = patch(variant.price);
        change.compare_at_price = patch(variant.compare_at_price);
        change.barcode = patch(variant.barcode);
        change.cost = patch(variant.cost);
        Ok((change, None))
    }

    /// The row's change to the product as a whole.
    fn product(&self) -> Result<ProductChange, String> {
        let image = |url: &str| Image { url: url.to_owned(), alt: None };
        let attributes: BTreeMap<_, _> =
            self.with_prefix(ATTRIBUTE_PREFIX).map(|(name, text)| (name, Some(text))).collect();
        Ok(ProductChange {
            name: patch(self.text("name")),
            slug: patch(self.text("slug")),
            description: patch(self.text("description")),
            status: patch(self.parsed("status", "ACTIVE, DRAFT or ARCHIVED")?),
            attributes: patch(Some(attributes).filter(|attributes| !attributes.is_empty())),
            images: patch(self.list("images").map(|urls| urls.map(image).collect())),
            tax_class: patch(self.text("taxClass")),
            weight_grams: patch(self.parsed("weightGrams", "a whole number of grams")?),
            discountable: patch(self.parsed("discountable", "true or false")?),
            floor_price: patch(self.amount("floorPrice")?),
            ..ProductChange::default()
        })
    }
}

/// The patch that a cell stands for: an empty one keeps the member.
fn patch<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Keep, Patch::Set)
}

/// Refuses a row whose prices are in another currency than the store's.
fn check_currency(row: u64, stated: Option<Currency>, currency: Currency) -> Result<(), RowError> {
    match stated.filter(|stated| *stated != currency) {
        None => Ok(()),
        Some(stated) => {
            let detail = format!("currency: the prices are in {stated}, those of this store in {currency}");
            Err(RowError::new(row, codes::CURRENCY_MISMATCH, detail))
        }
    }
}

/// Passes every line of JSON with prices in `currency` to `emit`, until that returns `false`.
pub(super) fn lines(reader: impl Read, currency: Currency, mut emit: impl FnMut(Parsed) -> bool) {
    let mut lines = JsonLines::new(reader, MAX_ROW_LEN);
    while let Some(parsed) = lines.next(|row, line| parse_line(row, line, currency)) {
        if !emit(parsed) {
            return;
        }
    }
}

/// The member that says what a line describes.
#[derive(Deserialize)]
struct Typed {
    #[serde(default, rename = "type")]
    kind: Option<LineType>,
}

fn parse_line(row: u64, line: &[u8], currency: Currency) -> Parsed {
    let fault = |error: Error| RowError::of(row, &error);
    // A line that cannot be read at all is refused as a product, with all its faults.
    let kind = serde_json::from_slice(line).map_or(None, |typed: Typed| typed.kind);
    if kind == Some(LineType::Category) {
        return Ok(Row::Category(row, bind_json(line).map_err(fault)?));
    }
    let line: ProductLine = bind_json(line).map_err(fault)?;
    check_currency(row, line.currency, currency)?;
    if !matches!(line.sku, Patch::Set(_)) {
        return Err(RowError::new(row, codes::MISSING, "/sku: a line must have the product's own SKU"));
    }
    let categories = line.categories.clone();
    Ok(Row::Product(Box::new(ImportRow { row, change: line.into(), variant: None, categories })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_costs_no_other_and_a_byte_order_mark_nothing() {
        let line = |sku: &str, name: &str| format!(r#"{{"sku":"{sku}","name":"{name}"}}"#);
        let long = "x".repeat(2 * MAX_ROW_LEN);
        let file = format!("\u{feff}{}\n{}\n{}\n", line("A", "first"), line("B", &long), line("C", "third"));
        let mut found = Vec::new();
        lines(file.as_bytes(), Currency::GBP, |parsed| {
            found.push(parsed.map_err(|error| (error.row, error.code)).map(|_| ()));
            true
        });
        assert_eq!(found, [Ok(()), Err((2, codes::ROW_TOO_LONG.to_owned())), Ok(())]);
    }
}
