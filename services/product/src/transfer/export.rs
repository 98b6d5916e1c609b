//! The export: a consistent snapshot of the whole catalog, streamed while it is read.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::ids::CategoryId;
use promox_kernel::{Amount, Cx, Download, Error, Sku, Warnings};
use promox_storage::{Db, ExportWriter, Tx};
use serde::Serialize;

use super::columns::{ATTRIBUTE_PREFIX, COLUMNS, LIST_SEPARATOR, OPTION_PREFIX};
use crate::api::{ExportFormat, Image, ProductStatus, VariantInput};
use crate::records::{Product, Variant};
use crate::rules::{Tree, variant_inputs};

/// The requested format: the named one, or the one that the `Accept` header prefers.
pub(crate) fn format(cx: &Cx, named: Option<ExportFormat>) -> Result<ExportFormat, Error> {
    let formats = named.map_or_else(|| vec![ExportFormat::Csv, ExportFormat::Ndjson], |named| vec![named]);
    let media_types: Vec<&str> = formats.iter().map(|format| media_type(*format)).collect();
    let chosen = cx.prefers(&media_types)?;
    Ok(formats.into_iter().find(|format| media_type(*format) == chosen).unwrap_or(ExportFormat::Csv))
}

fn media_type(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Csv => "text/csv",
        ExportFormat::Ndjson => "application/x-ndjson",
    }
}

/// Starts an export of the whole catalog. Returns the stream.
pub(crate) async fn export(db: &Db, format: ExportFormat) -> Result<Download, Error> {
    let name = match format {
        ExportFormat::Csv => "products.csv",
        ExportFormat::Ndjson => "products.ndjson",
    };
    db.export(media_type(format), name.to_owned(), move |tx, out| write(tx, format, out)).await
}

/// Writes all products. Fails at the end if damaged rows were left out.
fn write(tx: &Tx<'_>, format: ExportFormat, out: &mut ExportWriter) -> Result<(), Error> {
    out.expect::<Product>(tx);
    let mut warnings = Warnings::default();
    let table = match format {
        ExportFormat::Csv => Some(CsvTable::new(tx, &mut warnings)?),
        ExportFormat::Ndjson => None,
    };
    if let Some(table) = &table {
        put_record(out.buffer(), table.header())?;
    }
    for product in tx.scan::<Product>().rows() {
        let Some(product) = warnings.unless_damaged(product)? else { continue };
        match &table {
            Some(table) => {
                let mut rows = product.variants.iter().map(|variant| table.row(&product, variant));
                rows.try_for_each(|row| put_record(out.buffer(), row))?;
            }
            None => put_line(out.buffer(), &product)?,
        }
        if !out.end_row() {
            return Ok(());
        }
    }
    warnings.check_whole()
}

fn put_record(out: &mut Vec<u8>, record: Vec<String>) -> Result<(), Error> {
    csv::Writer::from_writer(out).write_record(record).map_err(Error::internal)
}

/// A product as a line of JSON, in the form that the import accepts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    sku: &'a Sku,
    name: &'a str,
    slug: &'a str,
    description: &'a str,
    status: ProductStatus,
    category_ids: &'a [CategoryId],
    attributes: &'a BTreeMap<String, String>,
    images: &'a [Image],
    tax_class: &'a str,
    weight_grams: Option<u32>,
    discountable: bool,
    floor_price: Option<Amount>,
    variants: Vec<VariantInput>,
}

fn put_line(out: &mut Vec<u8>, product: &Product) -> Result<(), Error> {
    let line = Line {
        sku: &product.sku,
        name: &product.name,
        slug: &product.slug,
        description: &product.description,
        status: product.status,
        category_ids: &product.category_ids,
        attributes: &product.attributes,
        images: &product.images,
        tax_class: &product.tax_class,
        weight_grams: product.weight_grams,
        discountable: product.discountable,
        floor_price: product.floor_price,
        variants: variant_inputs(product),
    };
    serde_json::to_writer(&mut *out, &line).map_err(Error::internal)?;
    out.push(b'\n');
    Ok(())
}

/// The data that CSV rows depend on: the names of all attributes and options, which are columns, and the categories.
struct CsvTable {
    attributes: Vec<String>,
    options: Vec<String>,
    tree: Tree,
}

impl CsvTable {
    /// Reads them from the rows that are not damaged, and notes the others.
    fn new(tx: &Tx<'_>, warnings: &mut Warnings) -> Result<Self, Error> {
        let (mut attributes, mut options) = (BTreeSet::new(), BTreeSet::new());
        for product in tx.scan::<Product>().rows() {
            let Some(product) = warnings.unless_damaged(product)? else { continue };
            attributes.extend(product.attributes.0.into_keys());
            options.extend(product.variants.0.into_iter().flat_map(|variant| variant.options.into_keys()));
        }
        let mut categories = Vec::new();
        for category in tx.scan().rows() {
            categories.extend(warnings.unless_damaged(category)?);
        }
        let tree = Tree::new(categories);
        Ok(Self { attributes: attributes.into_iter().collect(), options: options.into_iter().collect(), tree })
    }

    fn header(&self) -> Vec<String> {
        let attributes = self.attributes.iter().map(|name| format!("{ATTRIBUTE_PREFIX}{name}"));
        let options = self.options.iter().map(|name| format!("{OPTION_PREFIX}{name}"));
        COLUMNS.iter().map(|name| (*name).to_owned()).chain(attributes).chain(options).collect()
    }

    fn row(&self, product: &Product, variant: &Variant) -> Vec<String> {
        let is_simple = product.is_simple() && variant.name.is_empty() && variant.options.is_empty();
        let amount = |amount: Option<Amount>| amount.map_or_else(String::new, |amount| amount.to_string());
        let slugs = product.category_ids.iter().filter_map(|id| self.tree.get(*id)).map(|row| row.slug.as_str());
        let images = product.images.iter().map(|image| image.url.as_str());
        let fixed_cells = [
            variant.sku.to_string(),
            if is_simple { String::new() } else { product.sku.to_string() },
            product.name.clone(),
            product.slug.clone(),
            product.description.clone(),
            product.status.to_string(),
            variant.price.to_string(),
            amount(variant.compare_at_price),
            amount(variant.cost),
            variant.barcode.clone().unwrap_or_default(),
            variant.name.clone(),
            join(slugs),
            join(images),
            product.tax_class.clone(),
            product.weight_grams.map_or_else(String::new, |grams| grams.to_string()),
            product.discountable.to_string(),
            amount(product.floor_price),
        ];
        let attributes = self.attributes.iter().map(|name| product.attributes.get(name).cloned().unwrap_or_default());
        let options = self.options.iter().map(|name| variant.options.get(name).cloned().unwrap_or_default());
        fixed_cells.into_iter().chain(attributes).chain(options).collect()
    }
}

/// Joins the elements of a list in a cell.
fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(&LIST_SEPARATOR.to_string())
}
