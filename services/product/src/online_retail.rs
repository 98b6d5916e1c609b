//! Derives a catalog from the sales of a real shop: the Online Retail data set (Daqing Chen, UCI, 2015; CC BY 4.0).
//!
//! There is one product per stock code, ignoring case, with its most frequent proper name, its most frequent price, and
//! enough stock to sell every row of the file again. Postage, fees and manual entries become products that are not
//! goods, so that every invoice can be imported.

use std::collections::BTreeMap;
use std::io::Read;
use std::str::FromStr;

use promox_contract::codes;
use promox_contract::import::csv::CsvRows;
use promox_contract::import::{ImportReport, RowError};
use promox_kernel::{Amount, Cx, Error, Patch, Sku};
use serde::Serialize;

use crate::api::ProductChange;
use crate::{Products, transfer};

/// Maximum errors that a report lists. All are counted.
const MAX_ERRORS: usize = 1_000;
/// Maximum bytes of a row.
const MAX_ROW_LEN: usize = 1 << 20;
/// Stock codes that are not goods: postage, carriage, fees, discounts, manual entries, samples.
const CHARGES: &[&str] = &["amazonfee", "b", "bank charges", "c2", "cruk", "d", "dot", "m", "pads", "post", "s"];

/// A product of the catalog. Serialised as JSON, it is a line that the import accepts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductRow {
    /// The stock code as first written.
    pub sku: Sku,
    /// Its most frequent proper description, or the stock code if it has none.
    pub name: String,
    /// Its most frequent unit price, in pounds.
    pub price: Amount,
    /// One attribute: `kind` is `goods` or `charge`.
    pub attributes: BTreeMap<String, String>,
    /// Whether promotions may discount it, which is false for charges.
    pub discountable: bool,
    /// The units that the sales in the file need.
    #[serde(skip)]
    pub stock: u32,
}

/// The result of reading the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogReport {
    /// Rows read.
    pub rows: u64,
    /// Rows with a positive quantity and price, from which the catalog is made.
    pub sales: u64,
    /// Valid rows that are not sales: returns, write-offs, and rows without a price.
    pub skipped: u64,
    /// Rows that could not be read.
    pub failed: u64,
    /// The errors of the first 1,000 of them.
    pub errors: Vec<RowError>,
}

impl CatalogReport {
    /// Counts a row that could not be read.
    fn add_error(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }
}

/// The number of occurrences of each value, in the order of first occurrence.
struct Tally<T>(Vec<(T, u64)>);

impl<T: PartialEq> Tally<T> {
    fn count(&mut self, value: T) {
        match self.0.iter_mut().find(|(known, _)| *known == value) {
            Some((_, times)) => *times += 1,
            None => self.0.push((value, 1)),
        }
    }

    /// The most frequent value. Among equals it is the first one.
    fn most_frequent(&self) -> Option<&T> {
        let max = self.0.iter().map(|(_, times)| *times).max()?;
        self.0.iter().find(|(_, times)| *times == max).map(|(value, _)| value)
    }
}

/// The data of one stock code.
struct Article {
    sku: Sku,
    names: Tally<String>,
    prices: Tally<Amount>,
    /// The units sold.
    sold: u64,
}

/// A row that is a sale.
struct Sale {
    sku: Sku,
    name: String,
    quantity: i64,
    price: Amount,
}

/// The indexes of the columns that are read.
struct Columns {
    code: usize,
    description: usize,
    quantity: usize,
    price: usize,
}

impl Columns {
    fn of(header: &[String]) -> Option<Self> {
        let column = |name: &str| header.iter().position(|other| other == name);
        Some(Self {
            code: column("StockCode")?,
            description: column("Description")?,
            quantity: column("Quantity")?,
            price: column("UnitPrice")?,
        })
    }

    /// The sale in a row, or `None` for other rows.
    fn sale(&self, record: &csv::ByteRecord) -> Result<Option<Sale>, String> {
        let cell = |at: usize| record.get(at).map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let missing = || format!("the row has only {} fields", record.len());
        let sku = parsed::<Sku>("StockCode", cell(self.code).ok_or_else(missing)?)?;
        let quantity = parsed::<i64>("Quantity", cell(self.quantity).ok_or_else(missing)?)?;
        let price = parsed::<Amount>("UnitPrice", cell(self.price).ok_or_else(missing)?)?;
        if quantity <= 0 || price <= Amount::ZERO {
            return Ok(None);
        }
        Ok(Some(Sale { sku, name: cell(self.description).unwrap_or_default(), quantity, price }))
    }
}

fn parsed<T: FromStr>(column: &str, text: String) -> Result<T, String> {
    text.parse().map_err(|_| format!("{column}: \"{text}\" cannot be read"))
}

/// Whether a description is a warehouse note instead of a name: blank, a question, or starting in lower case.
fn is_note(description: &str) -> bool {
    description.chars().find(|c| c.is_alphanumeric() || *c == '?').is_none_or(|c| c == '?' || c.is_lowercase())
}

/// Reads the file and derives its products. Rows that cannot be read are reported and do not stop it.
pub fn catalog(reader: impl Read) -> (Vec<ProductRow>, CatalogReport) {
    let mut report = CatalogReport::default();
    let mut articles: BTreeMap<String, Article> = BTreeMap::new();
    let (mut rows, columns) =
        match CsvRows::open(reader, MAX_ROW_LEN, &[]).map(|(rows, names)| (rows, Columns::of(&names))) {
            Ok((rows, Some(columns))) => (rows, columns),
            Ok((_, None)) => {
                report.add_error(RowError::new(
                    0,
                    codes::BAD_HEADER,
                    "the columns StockCode, Description, Quantity and UnitPrice are required",
                ));
                return (Vec::new(), report);
            }
            Err(error) => {
                report.add_error(error);
                return (Vec::new(), report);
            }
        };
    let mut record = csv::ByteRecord::new();
    loop {
        let read = rows.read(&mut record);
        report.rows = rows.row();
        match read {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                report.add_error(error);
                continue;
            }
        }
        match columns.sale(&record) {
            Ok(Some(sale)) => {
                report.sales += 1;
                add_sale(&mut articles, sale);
            }
            Ok(None) => report.skipped += 1,
            Err(detail) => report.add_error(RowError::new(report.rows, codes::INVALID_VALUE, detail)),
        }
    }
    (articles.into_iter().filter_map(|(fold, article)| product(&fold, article)).collect(), report)
}

fn add_sale(articles: &mut BTreeMap<String, Article>, sale: Sale) {
    let article = articles.entry(sale.sku.fold()).or_insert_with(|| Article {
        sku: sale.sku,
        names: Tally(Vec::new()),
        prices: Tally(Vec::new()),
        sold: 0,
    });
    if !is_note(&sale.name) {
        article.names.count(sale.name);
    }
    article.prices.count(sale.price);
    article.sold = article.sold.saturating_add(sale.quantity.unsigned_abs());
}

/// The product of a stock code, whose folded spelling is `fold`.
fn product(fold: &str, article: Article) -> Option<ProductRow> {
    let charge = CHARGES.contains(&fold);
    let kind = if charge { "charge" } else { "goods" };
    Some(ProductRow {
        name: article.names.most_frequent().cloned().unwrap_or_else(|| article.sku.to_string()),
        price: *article.prices.most_frequent()?,
        attributes: BTreeMap::from([("kind".to_owned(), kind.to_owned())]),
        discountable: !charge,
        stock: u32::try_from(article.sold).unwrap_or(u32::MAX),
        sku: article.sku,
    })
}

impl From<&ProductRow> for ProductChange {
    fn from(row: &ProductRow) -> Self {
        let attributes = row.attributes.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        Self {
            sku: Patch::Set(row.sku.clone()),
            name: Patch::Set(row.name.clone()),
            price: Patch::Set(row.price),
            attributes: Patch::Set(attributes.collect()),
            discountable: Patch::Set(row.discountable),
            ..Self::default()
        }
    }
}

impl Products {
    /// Creates or changes products by SKU. Their stock is not set here: it belongs to the inventory service.
    pub async fn import_catalog(&self, cx: &Cx, rows: &[ProductRow]) -> Result<ImportReport, Error> {
        transfer::import_rows(self, cx, rows.iter().map(ProductChange::from).collect()).await
    }
}
