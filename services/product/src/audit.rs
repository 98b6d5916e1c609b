//! The product service's part of `promox verify`: recomputes its invariants from the rows.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_contract::product::{VARIANTS, variant_named};
use promox_contract::store::{IN_CURRENCY, TAX_CLASSES};
use promox_storage::{Report, StoreError, Tx};

use crate::queries::epochs;
use crate::records::{Category, CategoryMembership, Product, VariantSku};

const SKUS: &str = "product: every variant's SKU leads to its product and back";
const ALIASES: &str = "product: each SKU, current or former, leads to one variant of one product";
const MEMBERSHIPS: &str = "product: categories and products refer to each other";
const TREES: &str = "category: trees without cycles or orphans";
const PRICES: &str = "product: prices are not negative and have the currency's digits";
const EPOCHS: &str = "catalog: no product is newer than the catalog's epoch";

/// Checks every row of this service and states the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let categories = audit_categories(tx, report)?;
    let epoch = epochs(tx)?.catalogue;
    let mut members: BTreeSet<(CategoryId, ProductId)> = BTreeSet::new();
    for row in tx.scan::<CategoryMembership>().rows() {
        let row = row?;
        members.insert((row.category_id, row.product_id));
    }
    let mut variants = BTreeSet::new();
    for product in tx.scan::<Product>().rows() {
        let product = product?;
        audit_variants(tx, report, &product, &mut variants)?;
        audit_prices(report, &product);
        report.check(EPOCHS, product.epoch <= epoch, || format!("product {}", product.id));
        for id in product.category_ids.iter() {
            let mutual = categories.contains(id) && members.remove(&(*id, product.id));
            report.check(MEMBERSHIPS, mutual, || format!("product {} in category {id}", product.id));
        }
    }
    report.check(MEMBERSHIPS, members.is_empty(), || format!("{members:?} without a product that names the category"));
    audit_skus(tx, report)
}

/// Checks that every SKU that was ever assigned leads to a product. A SKU of an existing variant is its current or a
/// former one. A removed variant keeps the last one that it had.
fn audit_skus(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut current_skus: BTreeMap<VariantId, usize> = BTreeMap::new();
    let mut owners: BTreeMap<VariantId, ProductId> = BTreeMap::new();
    for row in tx.scan::<VariantSku>().rows() {
        let row = row?;
        let product = tx.get::<Product>(&row.product_id)?;
        let agrees = product.as_ref().is_some_and(|product| agrees_with(product, &row));
        report.check(ALIASES, agrees, || format!("{} of product {}", row.sku, row.product_id));
        if let Some(id) = row.variant_id {
            *current_skus.entry(id).or_default() += usize::from(!row.former);
            let earlier = owners.insert(id, row.product_id);
            let is_same = earlier.is_none_or(|product| product == row.product_id);
            report.check(ALIASES, is_same, || format!("variant {id} belongs to two products by its SKU {}", row.sku));
        }
    }
    for (id, skus) in current_skus {
        report.check(ALIASES, skus == 1, || format!("variant {id} has {skus} current SKUs"));
    }
    for (id, product_id) in owners {
        report.knows(VARIANTS, variant_named(id, None));
        report.knows(VARIANTS, variant_named(id, Some(product_id)));
    }
    Ok(())
}

/// Whether the row of a SKU agrees with the product that it leads to.
fn agrees_with(product: &Product, row: &VariantSku) -> bool {
    match row.variant_id {
        None => row.former != (row.sku == product.sku),
        Some(id) => product
            .variant(id)
            .is_none_or(|variant| if row.former { variant.former.contains(&row.sku) } else { variant.sku == row.sku }),
    }
}

fn audit_categories(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeSet<CategoryId>, StoreError> {
    let rows = tx.scan::<Category>().rows().collect::<Result<Vec<_>, _>>()?;
    let parents: BTreeMap<CategoryId, Option<CategoryId>> = rows.iter().map(|row| (row.id, row.parent_id)).collect();
    for id in parents.keys() {
        let mut steps = 0;
        let mut next = Some(*id);
        while let Some(parent) = next.filter(|_| steps <= parents.len()) {
            report.check(TREES, parents.contains_key(&parent), || {
                format!("category {parent}, the parent of {id}, does not exist")
            });
            next = parents.get(&parent).copied().flatten();
            steps += 1;
        }
        report.check(TREES, next.is_none(), || format!("category {id} is in a cycle"));
    }
    Ok(parents.into_keys().collect())
}

/// Checks a product's variants. `seen` are the variants of the products before, none of which may occur again.
fn audit_variants(
    tx: &Tx<'_>,
    report: &mut Report,
    product: &Product,
    seen: &mut BTreeSet<VariantId>,
) -> Result<(), StoreError> {
    report.check(SKUS, !product.variants.is_empty(), || format!("product {} has no variants", product.id));
    for variant in product.variants.iter() {
        let is_first = seen.insert(variant.id);
        for sku in variant.former.iter().chain([&variant.sku]) {
            let row = tx.get::<VariantSku>(sku)?;
            let agrees = row.is_some_and(|row| row.product_id == product.id && row.variant_id == Some(variant.id));
            report.check(SKUS, is_first && agrees, || format!("{sku} of product {}", product.id));
        }
    }
    let is_own = tx.get::<VariantSku>(&product.sku)?.is_some_and(|row| row.product_id == product.id);
    report.check(SKUS, is_own, || format!("{} of product {} belongs to another product", product.sku, product.id));
    Ok(())
}

fn audit_prices(report: &mut Report, product: &Product) {
    report.names(TAX_CLASSES, product.tax_class.as_str(), || format!("product {}", product.id));
    report.names(IN_CURRENCY, product.currency.code(), || format!("product {}", product.id));
    let variants = product.variants.iter();
    let amounts = variants
        .flat_map(|variant| [Some(variant.price), variant.compare_at_price, variant.cost])
        .chain([product.floor_price]);
    for amount in amounts.flatten() {
        let is_valid = !amount.is_negative() && product.currency.exact(amount).is_ok();
        report.check(PRICES, is_valid, || format!("{amount} {} of product {}", product.currency, product.id));
    }
}
