//! What `promox verify` recomputes of the catalogue from its rows.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::ids::{CategoryId, ProductId};
use promox_contract::store::{IN_CURRENCY, TAX_CLASSES};
use promox_storage::{Audit, Database, Report, StoreError, Tx};

use crate::Products;
use crate::queries::epochs;
use crate::records::{Category, Product, Shelving, VariantSku};

const VARIANTS: &str = "product: every variant's sku leads to its product and back";
const SHELVES: &str = "product: categories and products name each other";
const TREES: &str = "category: trees without circles or orphans";
const PRICES: &str = "product: prices are not negative and in the currency's scale";
const EPOCHS: &str = "catalogue: no product is newer than its epoch";

impl Audit for Products {
    fn database(&self) -> Database {
        Database::Ecommerce
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let categories = audit_categories(tx, report)?;
        let epoch = epochs(tx)?.catalogue;
        let mut shelved: BTreeSet<(CategoryId, ProductId)> = BTreeSet::new();
        for row in tx.scan::<Shelving>().rows() {
            let row = row?;
            shelved.insert((row.category_id, row.product_id));
        }
        let mut skus = 0;
        for product in tx.scan::<Product>().rows() {
            let product = product?;
            skus += audit_variants(tx, report, &product)?;
            audit_prices(report, &product);
            report.check(EPOCHS, product.epoch <= epoch, || format!("product {}", product.id));
            for id in product.category_ids.iter() {
                let there = categories.contains(id) && shelved.remove(&(*id, product.id));
                report.check(SHELVES, there, || format!("product {} in category {id}", product.id));
            }
        }
        report.check(SHELVES, shelved.is_empty(), || format!("{shelved:?} without a product that says so"));
        let rows = tx.scan::<VariantSku>().rows().collect::<Result<Vec<_>, _>>()?.len();
        report.check(VARIANTS, rows == skus, || format!("{rows} skus, {skus} variants"));
        Ok(())
    }
}

fn audit_categories(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeSet<CategoryId>, StoreError> {
    let rows = tx.scan::<Category>().rows().collect::<Result<Vec<_>, _>>()?;
    let parents: BTreeMap<CategoryId, Option<CategoryId>> = rows.iter().map(|row| (row.id, row.parent_id)).collect();
    for id in parents.keys() {
        let mut steps = 0;
        let mut at = Some(*id);
        while let Some(parent) = at.filter(|_| steps <= parents.len()) {
            report.check(TREES, parents.contains_key(&parent), || format!("category {parent} above {id} is not there"));
            at = parents.get(&parent).copied().flatten();
            steps += 1;
        }
        report.check(TREES, at.is_none(), || format!("category {id} hangs in a circle"));
    }
    Ok(parents.into_keys().collect())
}

/// Checks a product's variants; how many there are.
fn audit_variants(tx: &Tx<'_>, report: &mut Report, product: &Product) -> Result<usize, StoreError> {
    report.check(VARIANTS, !product.variants.is_empty(), || format!("product {} has none", product.id));
    for variant in product.variants.iter() {
        let leads_here = tx.get::<VariantSku>(&variant.sku)?.is_some_and(|found| found.product_id == product.id);
        report.check(VARIANTS, leads_here, || format!("{} of product {}", variant.sku, product.id));
    }
    let own = tx.get::<VariantSku>(&product.sku)?.is_none_or(|found| found.product_id == product.id);
    report.check(VARIANTS, own, || format!("{} of product {} is another's variant", product.sku, product.id));
    Ok(product.variants.len())
}

fn audit_prices(report: &mut Report, product: &Product) {
    report.names(TAX_CLASSES, product.tax_class.as_str(), || format!("product {}", product.id));
    report.names(IN_CURRENCY, product.currency.code(), || format!("product {}", product.id));
    let variants = product.variants.iter();
    let amounts = variants.flat_map(|it| [Some(it.price), it.compare_at_price, it.cost]).chain([product.floor_price]);
    for amount in amounts.flatten() {
        let good = !amount.is_negative() && product.currency.exact(amount).is_ok();
        report.check(PRICES, good, || format!("{amount} {} of product {}", product.currency, product.id));
    }
}
