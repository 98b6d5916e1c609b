//! Reads: products with their variants, views of them for clients, and descriptions of SKUs for other services.

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_contract::product::{ResolvedSkus, SkuDescription, VariantRef};
use promox_kernel::{Error, Sku};
use promox_storage::{StoreError, Tx};

use crate::api::{ProductView, VariantView};
use crate::records::{Category, Epochs, Product, SkuByVariant, Variant, VariantSku};
use crate::rules::{CatalogPrice, MAX_CATEGORIES, Tree, VariantPrices};

/// The epochs of the catalog as this transaction sees them, or 0 before the first change.
pub(crate) fn epochs(tx: &Tx<'_>) -> Result<Epochs, StoreError> {
    let found = tx.get::<Epochs>(&Epochs::KEY)?;
    Ok(found.unwrap_or(Epochs { id: Epochs::KEY, catalogue: 0, categories: 0 }))
}

/// The cached category tree with its epoch. Every transaction that uses it compares the epoch first.
#[derive(Debug, Default)]
pub(crate) struct TreeCache(RwLock<(i64, Arc<Tree>)>);

impl TreeCache {
    /// The tree as `tx` sees it, from the cache if its epoch is current.
    pub(crate) fn at(&self, tx: &Tx<'_>, epochs: &Epochs) -> Result<Arc<Tree>, StoreError> {
        let cached = self.0.read().clone();
        if cached.0 == epochs.categories {
            return Ok(cached.1);
        }
        let tree = Arc::new(Tree::new(tx.scan::<Category>().collect(MAX_CATEGORIES)?));
        let mut cache = self.0.write();
        if cache.0 < epochs.categories {
            *cache = (epochs.categories, tree.clone());
        }
        Ok(tree)
    }
}

/// The product that has or had a SKU, as its own or as one of its variants'.
pub(crate) fn product_of_sku(tx: &Tx<'_>, sku: &Sku) -> Result<Option<ProductId>, StoreError> {
    Ok(tx.get::<VariantSku>(sku)?.map(|found| found.product_id))
}

/// All SKUs of a variant, and the current one of them. A removed variant keeps its last one as the current one.
pub(crate) fn skus_of_variant(tx: &Tx<'_>, id: VariantId) -> Result<(Vec<Sku>, Option<Sku>), StoreError> {
    let (mut all, mut current) = (Vec::new(), None);
    for row in tx.scan_by::<SkuByVariant>().prefix(Some(id)).rows() {
        let row = row?;
        if !row.former {
            current = Some(row.sku.clone());
        }
        all.push(row.sku);
    }
    Ok((all, current))
}

/// The variants that have or had these SKUs, with their current SKUs. A SKU of no variant gives `None`.
pub(crate) fn resolve(tx: &Tx<'_>, skus: &[Sku]) -> Result<ResolvedSkus, StoreError> {
    let variant = |sku: &Sku| -> Result<Option<VariantRef>, StoreError> {
        let Some(row) = tx.get::<VariantSku>(sku)? else { return Ok(None) };
        let Some(variant_id) = row.variant_id else { return Ok(None) };
        let current = if row.former { skus_of_variant(tx, variant_id)?.1 } else { None };
        Ok(Some(VariantRef { variant_id, product_id: row.product_id, sku: current.unwrap_or(row.sku) }))
    };
    Ok(ResolvedSkus { variants: skus.iter().map(variant).collect::<Result<_, _>>()? })
}

/// The view of a product, without its availability. `with_costs` is for callers who may see unit costs.
pub(crate) fn view(product: &Product, with_costs: bool, prices: VariantPrices<'_>) -> Result<ProductView, Error> {
    let (cheapest, CatalogPrice { price, list_price }) = prices
        .cheapest(&product.variants)
        .ok_or_else(|| Error::internal(format_args!("product {} has no variants", product.id)))?;
    let variants = product.variants.iter().enumerate();
    Ok(ProductView {
        id: product.id,
        sku: product.sku.clone(),
        name: product.name.clone(),
        slug: product.slug.clone(),
        description: product.description.clone(),
        status: product.status,
        price,
        compare_at_price: cheapest.compare_at_price,
        currency: product.currency,
        category_ids: product.category_ids.0.clone(),
        attributes: product.attributes.0.clone(),
        images: product.images.0.clone(),
        tax_class: product.tax_class.clone(),
        weight_grams: product.weight_grams,
        discountable: product.discountable,
        floor_price: product.floor_price,
        list_price,
        variants: variants
            .map(|(position, variant)| variant_view(variant, prices.price(position, variant), with_costs))
            .collect(),
        version: product.version,
        created_at: product.created_at,
        updated_at: product.updated_at,
        available: None,
    })
}

fn variant_view(variant: &Variant, CatalogPrice { price, list_price }: CatalogPrice, with_costs: bool) -> VariantView {
    VariantView {
        id: variant.id,
        former_skus: variant.former.clone(),
        sku: variant.sku.clone(),
        name: variant.name.clone(),
        options: variant.options.clone(),
        price,
        list_price,
        compare_at_price: variant.compare_at_price,
        barcode: variant.barcode.clone(),
        cost: variant.cost.filter(|_| with_costs),
    }
}

/// The descriptions of every variant of a product, at list prices.
pub(crate) fn describe_all(product: &Product, tree: &Tree) -> Vec<SkuDescription> {
    product.variants.iter().map(|variant| describe_variant(product, variant, tree)).collect()
}

/// The description of a variant at its list price. The caller applies price rules.
pub(crate) fn describe_variant(product: &Product, variant: &Variant, tree: &Tree) -> SkuDescription {
    let name =
        if variant.name.is_empty() { product.name.clone() } else { format!("{}, {}", product.name, variant.name) };
    let mut category_ids: Vec<CategoryId> =
        product.category_ids.iter().flat_map(|id| tree.lineage(*id)).copied().collect();
    category_ids.sort_unstable();
    category_ids.dedup();
    let mut attributes = product.attributes.0.clone();
    attributes.extend(variant.options.clone());
    SkuDescription {
        variant_id: variant.id,
        sku: variant.sku.clone(),
        former_skus: variant.former.clone(),
        product_id: product.id,
        name,
        price: variant.price,
        list_price: variant.price,
        currency: product.currency,
        category_ids,
        attributes,
        tax_class: product.tax_class.clone(),
        weight_grams: product.weight_grams,
        discountable: product.discountable,
        floor_price: product.floor_price,
        cost: variant.cost,
    }
}

/// The available units of several variants together. `None` if one of them has no limit, which is
/// represented as `u32::MAX`.
pub(crate) fn total_available(available: &[u32]) -> Option<u32> {
    available
        .iter()
        .try_fold(0_u32, |sum, units| (*units != u32::MAX).then(|| sum.saturating_add(*units).min(u32::MAX - 1)))
}
