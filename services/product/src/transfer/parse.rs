//! Rows of an import: parsed from a stream on a blocking thread; a bad row does not stop it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use promox_contract::codes;
use promox_contract::import::RowError;
use promox_kernel::{Patch, Sku, bind_json};

use super::columns::{ATTRIBUTE, COLUMNS, OPTION, SEPARATOR};
use crate::api::{Image, ProductChange, VariantInput};
use crate::commands::ImportRow;
use crate::rules::Tree;

/// Maximum bytes of a row.
const LONGEST_ROW: usize = 1 << 20;

/// A parsed row, or its error.
pub(super) type Parsed = Result<ImportRow, RowError>;

/// Passes every row of a CSV to `give`, until that says stop.
pub(super) fn csv(reader: impl Read, tree: &Tree, mut give: impl FnMut(Parsed) -> bool) {
    let left = Arc::new(AtomicUsize::new(LONGEST_ROW));
    let metered = Metered { reader, left: left.clone() };
    let mut rows = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(metered);
    let header = match rows.byte_headers().map(Header::new) {
        Ok(Ok(header)) => header,
        Ok(Err(detail)) => {
            give(Err(RowError::new(0, codes::BAD_HEADER, detail)));
            return;
        }
        Err(error) => {
            give(Err(RowError::new(0, codes::UNREADABLE, error.to_string())));
            return;
        }
    };
    let mut record = csv::ByteRecord::new();
    for row in 1.. {
        left.store(LONGEST_ROW, Ordering::Relaxed);
        let (parsed, more) = match rows.read_byte_record(&mut record) {
            Ok(false) => return,
            Ok(true) => (header.row(row, &record, tree), true),
            Err(error) => (Err(RowError::new(row, codes::UNREADABLE, error.to_string())), false),
        };
        if !give(parsed) || !more {
            return;
        }
    }
}

/// Stops a reader of an endless row, such as an unclosed quote.
struct Metered<R> {
    reader: R,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other("a row is longer than 1 MiB; is a quote not closed?"));
        }
        let read = self.reader.read(buffer)?;
        self.left.store(left.saturating_sub(read), Ordering::Relaxed);
        Ok(read)
    }
}

/// The names of the columns.
struct Header(Vec<String>);

impl Header {
    fn new(names: &csv::ByteRecord) -> Result<Self, String> {
        let names: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let known = |name: &&String| {
            let named = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
            COLUMNS.contains(&name.as_str()) || named(ATTRIBUTE) || named(OPTION)
        };
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(format!(
                "there is no column \"{unknown}\"; the columns are {}, attr.NAME and option.NAME",
                COLUMNS.join(", ")
            ));
        }
        if !names.iter().any(|name| name == "sku") {
            return Err("the column sku is required".to_owned());
        }
        Ok(Self(names))
    }

    fn row(&self, row: u64, record: &csv::ByteRecord, tree: &Tree) -> Parsed {
        if record.len() != self.0.len() {
            let detail = format!("the row has {} fields, the header {}", record.len(), self.0.len());
            return Err(RowError::new(row, codes::FIELD_COUNT, detail));
        }
        let mut cells = Cells::default();
        for (name, bytes) in self.0.iter().zip(record) {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Err(RowError::new(row, codes::NOT_UTF8, format!("{name} is not UTF-8")));
            };
            if !text.is_empty() {
                cells.0.insert(name, text);
            }
        }
        cells
            .read(tree)
            .map(|(change, variant)| ImportRow { row, change, variant })
            .map_err(|detail| RowError::new(row, codes::INVALID_VALUE, detail))
    }
}

/// The non-empty cells of a row, by column. An empty cell leaves a member unchanged.
#[derive(Default)]
struct Cells<'r>(BTreeMap<&'r str, &'r str>);

impl<'r> Cells<'r> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|text| (*text).to_owned())
    }

    fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, String> {
        let parse = |text: &&str| text.parse().map_err(|_| format!("{name}: \"{text}\" must be a {what}"));
        self.0.get(name).map(parse).transpose()
    }

    fn list(&self, name: &str) -> Option<impl Iterator<Item = &'r str>> {
        let text = self.0.get(name)?;
        Some(text.split(SEPARATOR).map(str::trim).filter(|part| !part.is_empty()))
    }

    fn named(&self, prefix: &'r str) -> impl Iterator<Item = (String, String)> {
        let named =
            move |(name, text): (&&'r str, &&'r str)| Some((name.strip_prefix(prefix)?.to_owned(), (*text).to_owned()));
        self.0.iter().filter_map(named)
    }

    fn read(&self, tree: &Tree) -> Result<(ProductChange, Option<VariantInput>), String> {
        let sku: Sku = self.parsed("sku", "sku")?.ok_or("sku: every row must have one")?;
        let of: Option<Sku> = self.parsed("productSku", "sku")?;
        let mut change = self.product(tree)?;
        change.sku = Patch::Set(of.clone().unwrap_or_else(|| sku.clone()));
        let variant = VariantInput {
            id: None,
            sku,
            name: self.text("variantName"),
            options: self.named(OPTION).collect(),
            price: self.parsed("price", "amount")?,
            compare_at_price: self.parsed("compareAtPrice", "amount")?,
            barcode: self.text("barcode"),
            cost: self.parsed("cost", "amount")?,
        };
        if of.is_some() {
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

    /// The row's data about the product as a whole.
    fn product(&self, tree: &Tree) -> Result<ProductChange, String> {
        let category = |name| {
            tree.named(name).map(|row| row.id).ok_or_else(|| format!("categories: there is no category \"{name}\""))
        };
        let categories = self.list("categories").map(|names| names.map(category).collect()).transpose()?;
        let image = |url: &str| Image { url: url.to_owned(), alt: None };
        let attributes: BTreeMap<_, _> = self.named(ATTRIBUTE).map(|(name, text)| (name, Some(text))).collect();
        Ok(ProductChange {
            name: patch(self.text("name")),
            slug: patch(self.text("slug")),
            description: patch(self.text("description")),
            status: patch(self.parsed("status", "status: must be ACTIVE, DRAFT or ARCHIVED")?),
            category_ids: patch(categories),
            attributes: patch(Some(attributes).filter(|attributes| !attributes.is_empty())),
            images: patch(self.list("images").map(|urls| urls.map(image).collect())),
            tax_class: patch(self.text("taxClass")),
            weight_grams: patch(self.parsed("weightGrams", "whole number of grams")?),
            discountable: patch(self.parsed("discountable", "true or false")?),
            floor_price: patch(self.parsed("floorPrice", "amount")?),
            ..ProductChange::default()
        })
    }
}

fn patch<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Keep, Patch::Set)
}

/// Passes every line of JSON to `give`, until that says stop.
pub(super) fn lines(reader: impl Read, mut give: impl FnMut(Parsed) -> bool) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let limit = u64::try_from(LONGEST_ROW).unwrap_or(u64::MAX);
    for row in 1.. {
        line.clear();
        let (parsed, more) = match (&mut reader).take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(LONGEST_ROW) => (Err(RowError::new(row, codes::ROW_TOO_LONG, "a line is longer than 1 MiB")), false),
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => (parse_line(row, &line), true),
            Err(error) => (Err(RowError::new(row, codes::UNREADABLE, error.to_string())), false),
        };
        if !give(parsed) || !more {
            return;
        }
    }
}

fn parse_line(row: u64, line: &[u8]) -> Parsed {
    let change: ProductChange = bind_json(line).map_err(|error| RowError::of(row, &error))?;
    if matches!(change.sku, Patch::Set(_)) {
        Ok(ImportRow { row, change, variant: None })
    } else {
        Err(RowError::new(row, codes::MISSING, "/sku: a line must have the product's own sku"))
    }
}
