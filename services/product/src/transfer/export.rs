//! The export: a consistent snapshot of the whole catalog, streamed while it is read.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::ids::CategoryId;
use promox_kernel::{Amount, Currency, Cx, Download, Error, Sku, Warnings};
use promox_storage::{Db, ExportWriter, Tx};
use serde::Serialize;

use super::columns::{ATTRIBUTE_PREFIX, COLUMNS, LIST_SEPARATOR, OPTION_PREFIX};
use crate::api::{CategoryLine, ExportFormat, Image, LineType, ProductStatus, VariantInput};
use crate::records::{Product, Variant};
use crate::rules::{Branch, Tree, variant_inputs};

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

/// Starts an export of the whole catalog, whose prices are in `currency`. Returns the stream.
pub(crate) async fn export(db: &Db, currency: Currency, format: ExportFormat) -> Result<Download, Error> {
    let name = match format {
        ExportFormat::Csv => "products.csv",
        ExportFormat::Ndjson => "products.ndjson",
    };
    db.export(media_type(format), name.to_owned(), move |tx, out| write(tx, (format, currency), out)).await
}

/// Writes all products, in lines of JSON after all categories. Fails at the end if damaged rows were left out.
fn write(tx: &Tx<'_>, (format, currency): (ExportFormat, Currency), out: &mut ExportWriter) -> Result<(), Error> {
    out.expect::<Product>(tx);
    let mut warnings = Warnings::default();
    let tree = tree(tx, &mut warnings)?;
    let table = match format {
        ExportFormat::Csv => Some(CsvTable::new(tx, (&tree, currency), &mut warnings)?),
        ExportFormat::Ndjson => None,
    };
    match &table {
        Some(table) => put_record(out.buffer(), table.header())?,
        None => put_categories(out.buffer(), None, &tree.branches())?,
    }
    for product in tx.scan::<Product>().rows() {
        let Some(product) = warnings.unless_damaged(product)? else { continue };
        match &table {
            Some(table) => {
                let mut rows = product.variants.iter().map(|variant| table.row(&product, variant));
                rows.try_for_each(|row| put_record(out.buffer(), row))?;
            }
            None => put_line(out.buffer(), (&product, currency), &tree)?,
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

/// The categories, without damaged ones, which are noted.
fn tree(tx: &Tx<'_>, warnings: &mut Warnings) -> Result<Tree, Error> {
    let mut categories = Vec::new();
    for category in tx.scan().rows() {
        categories.extend(warnings.unless_damaged(category)?);
    }
    Ok(Tree::new(categories))
}

/// Writes categories, each before those below it.
fn put_categories(out: &mut Vec<u8>, parent: Option<&str>, branches: &[Branch<'_>]) -> Result<(), Error> {
    for Branch { category, children } in branches {
        let line = CategoryLine {
            r#type: LineType::Category,
            slug: category.slug.clone(),
            name: category.name.clone(),
            parent: parent.map(str::to_owned),
            position: category.position,
        };
        put_json(out, &line)?;
        put_categories(out, Some(&category.slug), children)?;
    }
    Ok(())
}

fn put_json(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, line).map_err(Error::internal)?;
    out.push(b'\n');
    Ok(())
}

/// The slugs of categories.
fn slugs<'t>(tree: &'t Tree, ids: &[CategoryId]) -> Vec<&'t str> {
    ids.iter().filter_map(|id| tree.get(*id)).map(|row| row.slug.as_str()).collect()
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
    currency: Currency,
    categories: Vec<&'a str>,
    attributes: &'a BTreeMap<String, String>,
    images: &'a [Image],
    tax_class: &'a str,
    weight_grams: Option<u32>,
    discountable: bool,
    floor_price: Option<Amount>,
    variants: Vec<VariantInput>,
}

fn put_line(out: &mut Vec<u8>, (product, currency): (&Product, Currency), tree: &Tree) -> Result<(), Error> {
    let line = Line {
        sku: &product.sku,
        name: &product.name,
        slug: &product.slug,
        description: &product.description,
        status: product.status,
        currency,
        categories: slugs(tree, &product.category_ids),
        attributes: &product.attributes,
        images: &product.images,
        tax_class: &product.tax_class,
        weight_grams: product.weight_grams,
        discountable: product.discountable,
        floor_price: product.floor_price,
        variants: variant_inputs(product),
    };
    put_json(out, &line)
}

/// The data that CSV rows depend on: the names of all attributes and options, which are columns, and the categories.
struct CsvTable<'t> {
    attributes: Vec<String>,
    options: Vec<String>,
    tree: &'t Tree,
    currency: Currency,
}

impl<'t> CsvTable<'t> {
    /// Reads them from the rows that are not damaged, and notes the others.
    fn new(tx: &Tx<'_>, (tree, currency): (&'t Tree, Currency), warnings: &mut Warnings) -> Result<Self, Error> {
        let (mut attributes, mut options) = (BTreeSet::new(), BTreeSet::new());
        for product in tx.scan::<Product>().rows() {
            let Some(product) = warnings.unless_damaged(product)? else { continue };
            attributes.extend(product.attributes.0.into_keys());
            options.extend(product.variants.0.into_iter().flat_map(|variant| variant.options.into_keys()));
        }
        let (attributes, options) = (attributes.into_iter().collect(), options.into_iter().collect());
        Ok(Self { attributes, options, tree, currency })
    }

    fn header(&self) -> Vec<String> {
        let attributes = self.attributes.iter().map(|name| format!("{ATTRIBUTE_PREFIX}{name}"));
        let options = self.options.iter().map(|name| format!("{OPTION_PREFIX}{name}"));
        COLUMNS.iter().map(|name| (*name).to_owned()).chain(attributes).chain(options).collect()
    }

    fn row(&self, product: &Product, variant: &Variant) -> Vec<String> {
        let is_simple = product.is_simple() && variant.name.is_empty() && variant.options.is_empty();
        let amount = |amount: Option<Amount>| amount.map_or_else(String::new, |amount| amount.to_string());
        let images = product.images.iter().map(|image| image.url.as_str());
        let fixed_cells = [
            variant.sku.to_string(),
            if is_simple { String::new() } else { product.sku.to_string() },
            product.name.clone(),
            product.slug.clone(),
            product.description.clone(),
            product.status.to_string(),
            variant.price.to_string(),
            self.currency.to_string(),
            amount(variant.compare_at_price),
            amount(variant.cost),
            variant.barcode.clone().unwrap_or_default(),
            variant.name.clone(),
            join(slugs(self.tree, &product.category_ids).into_iter()),
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
