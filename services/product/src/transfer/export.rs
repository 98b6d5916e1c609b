//! The export: a consistent snapshot of the whole catalog, streamed while it is read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use promox_contract::ids::CategoryId;
use promox_kernel::{Amount, BodyReader, BodySender, Cx, Download, Error, Sku, Warnings};
use promox_storage::{Db, Reader, StoreError, Tx};
use serde::Serialize;

use super::columns::{ATTRIBUTE_PREFIX, COLUMNS, LIST_SEPARATOR, OPTION_PREFIX};
use crate::api::{ExportFormat, Image, ProductStatus, VariantInput};
use crate::records::{Product, Variant};
use crate::rules::{Tree, variant_inputs};

/// The number of bytes that are collected before they are sent.
const CHUNK: usize = 64 << 10;

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

/// Starts an export on a blocking thread and returns the stream of its rows.
pub(crate) fn export(db: &Db, format: ExportFormat) -> Result<Download, Error> {
    let state = db.long_read()?;
    let (sender, reader) = BodyReader::pair();
    let database = db.database();
    tokio::task::spawn_blocking(move || {
        let result = {
            let state: &dyn Reader = &*state;
            let tx = Tx::unbounded(state, database);
            write(&tx, format, &sender)
        };
        if let Err(error) = result {
            sender.send_blocking(Err(error));
        }
    });
    let name = match format {
        ExportFormat::Csv => "products.csv",
        ExportFormat::Ndjson => "products.ndjson",
    };
    Ok(Download { file_name: Some(name.to_owned()), ..Download::stream(media_type(format), reader) })
}

/// Writes all products. Fails at the end if damaged rows were left out.
fn write(tx: &Tx<'_>, format: ExportFormat, sender: &BodySender) -> Result<(), Error> {
    let mut out = Vec::with_capacity(CHUNK);
    let table = match format {
        ExportFormat::Csv => Some(CsvTable::new(tx)?),
        ExportFormat::Ndjson => None,
    };
    if let Some(table) = &table {
        put_record(&mut out, table.header())?;
    }
    let mut warnings = Warnings::default();
    for product in tx.scan::<Product>().rows() {
        let Some(product) = warnings.unless_damaged(product)? else { continue };
        match &table {
            Some(table) => {
                product.variants.iter().try_for_each(|variant| put_record(&mut out, table.row(&product, variant)))?;
            }
            None => put_line(&mut out, &product)?,
        }
        if out.len() >= CHUNK && !sender.send_blocking(Ok(Bytes::from(std::mem::take(&mut out)))) {
            return Ok(());
        }
    }
    sender.send_blocking(Ok(out.into()));
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
    fn new(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let (mut attributes, mut options) = (BTreeSet::new(), BTreeSet::new());
        for product in tx.scan::<Product>().rows() {
            let product = product?;
            attributes.extend(product.attributes.0.into_keys());
            options.extend(product.variants.0.into_iter().flat_map(|variant| variant.options.into_keys()));
        }
        let tree = Tree::new(tx.scan().rows().collect::<Result<_, _>>()?);
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
