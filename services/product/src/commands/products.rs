//! Commands that create, change and archive products, one at a time or as rows of an import.

use promox_contract::ids::{CategoryId, ProductId};
use promox_contract::import::RowOutcome;
use promox_contract::product::{ProductCreated, ProductUpdated, SkuChanged};
use promox_kernel::{Error, Patch, Sku};
use promox_storage::{StoreError, Tx};
use serde_json::Value;

use super::skus::{self, SkuRename};
use super::{CatalogTx, audit_entry};
use crate::api::{ProductChange, VariantInput};
use crate::queries::{product_of_sku, view};
use crate::records::{CategoryMembership, Product, ProductBySlug, ProductStatus};
use crate::reject;
use crate::rules::{Composed, SlugChoice, VariantPrices, compose, merge_variant, slug_of, use_current_skus};

/// A row of an import.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImportRow {
    /// The row's number, from 1.
    pub(crate) row: u64,
    /// The change to the product. Its `sku` is the product's own.
    pub(crate) change: ProductChange,
    /// The variant that the row describes, if the product has a list of variants.
    pub(crate) variant: Option<VariantInput>,
    /// The slugs or ids of the product's categories, if the row names them.
    pub(crate) categories: Option<Vec<String>>,
}

/// The product that `change` would create, without ids and slug.
pub(crate) fn draft(tx: &Tx<'_>, catalog: &CatalogTx<'_>, change: ProductChange) -> Result<Product, Error> {
    Ok(compose(None, change, &catalog.change_context(tx))?.product)
}

/// Creates a product.
pub(crate) fn create(tx: &mut Tx<'_>, catalog: &CatalogTx<'_>, change: ProductChange) -> Result<Product, Error> {
    let composed = compose(None, change, &catalog.change_context(tx))?;
    save(tx, catalog, None, composed, "product.create")
}

/// Changes a product. Without a difference, it keeps its version.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    id: ProductId,
    change: ProductChange,
) -> Result<Product, Error> {
    let before = tx.get::<Product>(&id)?.ok_or_else(|| Error::not_found("product"))?;
    catalog.context.cx.check_version(before.version)?;
    let composed = compose(Some(&before), change, &catalog.change_context(tx))?;
    save(tx, catalog, Some(&before), composed, "product.update")
}

/// Archives a product. Repeating it changes nothing.
pub(crate) fn archive(tx: &mut Tx<'_>, catalog: &CatalogTx<'_>, id: ProductId) -> Result<(), Error> {
    let before = tx.get::<Product>(&id)?.ok_or_else(|| Error::not_found("product"))?;
    catalog.context.cx.check_version(before.version)?;
    let change = ProductChange { status: Patch::Set(ProductStatus::Archived), ..ProductChange::default() };
    let composed = compose(Some(&before), change, &catalog.change_context(tx))?;
    save(tx, catalog, Some(&before), composed, "product.archive").map(drop)
}

/// Creates or changes the product of a row of an import. The SKUs in the row, current or former, only identify
/// variants and never rename them.
pub(crate) fn upsert(tx: &mut Tx<'_>, catalog: &CatalogTx<'_>, row: ImportRow) -> Result<RowOutcome, Error> {
    let mut change = row.change;
    let Patch::Set(sku) = &change.sku else { return Err(Error::field("/sku", "every row must have a SKU")) };
    let before = product_of_row(tx, sku, row.variant.is_some())?;
    if let Some(variant) = row.variant {
        change.variants = Patch::Set(merge_variant(before.as_ref(), variant));
    }
    if let Some(before) = &before {
        change.sku = Patch::Keep;
        if let Patch::Set(list) = &mut change.variants {
            use_current_skus(before, list);
        }
    }
    let composed = compose(before.as_ref(), change, &catalog.change_context(tx))?;
    let after = save(tx, catalog, before.as_ref(), composed, "product.import")?;
    Ok(match before {
        None => RowOutcome::Created,
        Some(before) if before.version == after.version => RowOutcome::Skipped,
        Some(_) => RowOutcome::Updated,
    })
}

/// The existing product of a row. A row without a variant may not name a product with several variants by the SKU of
/// one of them, unless it is the product's own SKU too.
fn product_of_row(tx: &Tx<'_>, sku: &Sku, names_variant: bool) -> Result<Option<Product>, Error> {
    let Some(id) = product_of_sku(tx, sku)? else { return Ok(None) };
    let Some(product) = tx.get::<Product>(&id)? else { return Ok(None) };
    let is_variant_sku = product.variants.len() > 1 && product.variants.iter().any(|variant| variant.has_or_had(sku));
    if is_variant_sku && !names_variant && product.sku != *sku {
        return Err(reject::sku_taken(sku, id));
    }
    Ok(Some(product))
}

/// Writes a new or changed product: rows, epoch, events and the audit entry. Without a difference, writes nothing.
pub(super) fn save(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    before: Option<&Product>,
    composed: Composed,
    action: &str,
) -> Result<Product, Error> {
    let Composed { product: mut after, slug, given_ids } = composed;
    let id = before.map(|before| before.id);
    let renamed = skus::match_variants(tx, before, &mut after, &given_ids)?;
    after.slug = resolve_slug(tx, &after, slug, id)?;
    if before.is_some_and(|before| *before == after && before.has_same_sku_spelling(&after)) {
        return Ok(after);
    }
    after.id = match id {
        Some(id) => id,
        None => ProductId(tx.next_id::<Product>()?),
    };
    after.version += 1;
    after.updated_at = tx.now();
    after.epoch = catalog.epoch();
    write(tx, before, &mut after)?;
    catalog.advance(tx)?;
    for SkuRename { variant_id, former, sku } in renamed {
        tx.emit(after.id, &SkuChanged { product_id: after.id, variant_id, former, sku })?;
    }
    emit_change(tx, catalog, before, &after, action)?;
    Ok(after)
}

/// The slug of a product, which no other product has.
fn resolve_slug(tx: &Tx<'_>, product: &Product, choice: SlugChoice, id: Option<ProductId>) -> Result<String, Error> {
    let free = |slug: &str| -> Result<bool, StoreError> {
        let holder = tx.get_by::<ProductBySlug>(slug)?.map(|product| product.id);
        Ok(holder.is_none() || holder == id)
    };
    match choice {
        SlugChoice::Keep => Ok(product.slug.clone()),
        SlugChoice::Given(slug) if free(&slug)? => Ok(slug),
        SlugChoice::Given(slug) => Err(reject::slug_taken(&slug)),
        SlugChoice::Derive => {
            let base = slug_of(&product.name, "product");
            let sku = slug_of(product.sku.as_str(), "product");
            free_slug(&base, &sku, free)
        }
    }
}

/// The first free slug of `base`, `base-2` … `base-9`, `base-SKU`, `base-SKU-2` …, where `distinct` is the SKU. The SKU
/// keeps the search short when many products have one name.
pub(super) fn free_slug(
    base: &str,
    distinct: &str,
    free: impl Fn(&str) -> Result<bool, StoreError>,
) -> Result<String, Error> {
    let numbered = (2..10).map(|number| format!("{base}-{number}"));
    let with_sku = (2..1_000).map(|number| format!("{base}-{distinct}-{number}"));
    let mut candidates =
        std::iter::once(base.to_owned()).chain(numbered).chain([format!("{base}-{distinct}")]).chain(with_sku);
    candidates
        .find_map(|slug| free(&slug).map(|free| free.then_some(slug)).transpose())
        .ok_or_else(|| reject::slug_taken(base))?
        .map_err(Error::from)
}

/// Writes the rows of a product: SKUs, category memberships and the product itself.
fn write(tx: &mut Tx<'_>, before: Option<&Product>, after: &mut Product) -> Result<(), StoreError> {
    skus::write(tx, before, after)?;
    let product_id = after.id;
    let old: &[CategoryId] = before.map_or(&[], |before| &before.category_ids);
    for category_id in old.iter().filter(|id| !after.category_ids.contains(id)) {
        tx.delete::<CategoryMembership>(&(*category_id, product_id))?;
    }
    for category_id in after.category_ids.iter().filter(|id| !old.contains(id)) {
        tx.put(&CategoryMembership { category_id: *category_id, product_id })?;
    }
    tx.put(after)
}

/// Emits the event and the audit entry of a change.
fn emit_change(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    before: Option<&Product>,
    after: &Product,
    action: &str,
) -> Result<(), Error> {
    let product_id = after.id;
    match before {
        None => tx.emit(product_id, &ProductCreated { product_id })?,
        Some(_) => tx.emit(product_id, &ProductUpdated { product_id })?,
    }
    let snapshot = |product: &Product| -> Result<Value, Error> {
        serde_json::to_value(view(product, true, VariantPrices::default())?).map_err(Error::internal)
    };
    let old = before.map(snapshot).transpose()?.unwrap_or(Value::Null);
    let change = audit_entry::difference(&old, &snapshot(after)?);
    Ok(catalog.audit(tx, action, ("product", product_id.0), change)?)
}
