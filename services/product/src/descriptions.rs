//! A cache of the descriptions of SKUs at list prices, which every cart and order asks for.
//!
//! All of them belong to one catalog epoch, which a reader compares with the epoch in its transaction. So a description
//! always matches the rows that the transaction sees, and a change of the catalog empties the cache.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::product::{SkuDescription, SkuDescriptions};
use promox_kernel::Sku;
use promox_storage::{StoreError, Tx};

use crate::queries::describe_variant;
use crate::records::{Product, ProductStatus, VariantSku};
use crate::rules::Tree;

/// Maximum bytes of all cached descriptions together, approximately.
const MAX_BYTES: usize = 4 << 20;

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct DescriptionCache(RwLock<Descriptions>);

#[derive(Debug, Default)]
struct Descriptions {
    /// The catalog epoch of all descriptions.
    epoch: i64,
    /// Descriptions by the SKU that was asked for.
    by_sku: HashMap<Sku, Arc<SkuDescription>>,
    /// The cached SKUs, in the order in which they were added.
    order: VecDeque<Sku>,
    bytes: usize,
}

impl DescriptionCache {
    /// The descriptions of SKUs as `tx` sees them at a catalog epoch, without those that are unknown or not on sale. A
    /// SKU that is not cached costs two reads, or one if it belongs to the same product as the previous one.
    pub(crate) fn describe(
        &self,
        tx: &Tx<'_>,
        epoch: i64,
        tree: &Tree,
        skus: &[Sku],
    ) -> Result<SkuDescriptions, StoreError> {
        let cached: Vec<Option<Arc<SkuDescription>>> = {
            let known = self.0.read();
            let is_current = known.epoch == epoch;
            skus.iter().map(|sku| known.by_sku.get(sku).filter(|_| is_current).cloned()).collect()
        };
        let (mut items, mut added) = (Vec::with_capacity(skus.len()), Vec::new());
        let mut last_product = None;
        for (sku, cached) in skus.iter().zip(cached) {
            let found = match cached {
                Some(found) => found,
                None => match read(tx, tree, sku, &mut last_product)? {
                    Some(found) => {
                        let found = Arc::new(found);
                        added.push((sku.clone(), found.clone()));
                        found
                    }
                    None => continue,
                },
            };
            // Only former SKUs can lead to the same variant twice.
            let is_same = |item: &SkuDescription| item.variant_id == found.variant_id;
            if found.former_skus.is_empty() || !items.iter().any(is_same) {
                items.push((*found).clone());
            }
        }
        if !added.is_empty() {
            self.0.write().add(epoch, added);
        }
        Ok(SkuDescriptions { items })
    }
}

/// Reads the description of a SKU from rows; `None` if it is unknown or not on sale.
fn read(
    tx: &Tx<'_>,
    tree: &Tree,
    sku: &Sku,
    last_product: &mut Option<Product>,
) -> Result<Option<SkuDescription>, StoreError> {
    let Some(VariantSku { product_id, variant_id: Some(variant_id), .. }) = tx.get(sku)? else { return Ok(None) };
    if last_product.as_ref().is_none_or(|product| product.id != product_id) {
        *last_product = tx.get(&product_id)?;
    }
    let active = last_product.as_ref().filter(|product| product.status == ProductStatus::Active);
    let found = active.and_then(|product| Some((product, product.variant(variant_id)?)));
    Ok(found.map(|(product, variant)| describe_variant(product, variant, tree)))
}

impl Descriptions {
    /// Adds descriptions as of an epoch, unless it is earlier than that of the others. The oldest ones beyond the limit
    /// are removed.
    fn add(&mut self, epoch: i64, added: Vec<(Sku, Arc<SkuDescription>)>) {
        if epoch < self.epoch {
            return;
        }
        if epoch > self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        for (sku, description) in added {
            self.bytes += size(&description);
            match self.by_sku.insert(sku.clone(), description) {
                Some(replaced) => self.bytes -= size(&replaced),
                None => self.order.push_back(sku),
            }
        }
        while self.bytes > MAX_BYTES {
            let Some(removed) = self.order.pop_front().and_then(|oldest| self.by_sku.remove(&oldest)) else { break };
            self.bytes -= size(&removed);
        }
    }
}

/// The approximate number of bytes of a description, with its key.
fn size(description: &SkuDescription) -> usize {
    let attributes: usize = description.attributes.iter().map(|(name, value)| 64 + name.len() + value.len()).sum();
    let skus = description.former_skus.len() + 4;
    size_of::<SkuDescription>() + description.name.len() + 8 * description.category_ids.len() + 64 * skus + attributes
}
