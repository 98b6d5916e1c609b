//! The SKUs of products: their owners, and how they change. A SKU that was assigned once stays with its product and
//! variant, as the current one or as an alias.

use std::collections::BTreeMap;

use promox_contract::ids::{ProductId, VariantId};
use promox_kernel::{Error, Sku};
use promox_storage::{StoreError, Tx};

use crate::queries::skus_of_variant;
use crate::records::{Product, Variant, VariantSku};
use crate::reject;
use crate::rules::{NEW_VARIANT, former_skus, identify};

/// A change of a variant's SKU.
#[derive(Debug)]
pub(super) struct SkuRename {
    pub(super) variant_id: VariantId,
    pub(super) former: Sku,
    pub(super) sku: Sku,
}

/// Matches the variants of `after` to existing ones and updates their former SKUs. Returns the SKUs that change.
/// Refuses SKUs of other products. Writes nothing.
pub(super) fn match_variants(
    tx: &Tx<'_>,
    before: Option<&Product>,
    after: &mut Product,
    given_ids: &[Option<VariantId>],
) -> Result<Vec<SkuRename>, Error> {
    let owners = owning_variants(tx, before.map(|before| before.id), after)?;
    let known: &[Variant] = before.map_or(&[], |before| &before.variants);
    identify(known, &mut after.variants, given_ids, |sku| owners.get(sku).copied())?;
    let mut renamed = Vec::new();
    for variant in after.variants.iter_mut().filter(|variant| variant.id != NEW_VARIANT) {
        let (known_skus, last) = match known.iter().find(|known| known.id == variant.id) {
            Some(known) => (known.former.clone(), Some(known.sku.clone())),
            None => skus_of_variant(tx, variant.id)?,
        };
        let last = last.unwrap_or_else(|| variant.sku.clone());
        variant.former = former_skus(&known_skus, &last, &variant.sku)?;
        if last.as_str() != variant.sku.as_str() {
            renamed.push(SkuRename { variant_id: variant.id, former: last, sku: variant.sku.clone() });
        }
    }
    Ok(renamed)
}

/// The variants that have or had the SKUs of a product. A SKU of another product is refused.
fn owning_variants(tx: &Tx<'_>, id: Option<ProductId>, product: &Product) -> Result<BTreeMap<Sku, VariantId>, Error> {
    let mut owners = BTreeMap::new();
    for sku in product.variants.iter().map(|variant| &variant.sku).chain([&product.sku]) {
        let Some(row) = tx.get::<VariantSku>(sku)? else { continue };
        if Some(row.product_id) != id {
            return Err(reject::sku_taken(sku, row.product_id));
        }
        owners.extend(row.variant_id.map(|variant| (sku.clone(), variant)));
    }
    Ok(owners)
}

/// Writes the SKUs of a product and its variants, and assigns the ids of new variants.
pub(super) fn write(tx: &mut Tx<'_>, before: Option<&Product>, after: &mut Product) -> Result<(), StoreError> {
    let product_id = after.id;
    for variant in &mut after.variants.0 {
        if variant.id == NEW_VARIANT {
            variant.id = VariantId(tx.next_id::<VariantSku>()?);
        }
        let known = before.and_then(|before| before.variant(variant.id));
        if known.is_some_and(|known| known.sku.as_str() == variant.sku.as_str()) {
            continue;
        }
        let variant_id = Some(variant.id);
        for former in &variant.former {
            tx.put(&VariantSku { sku: former.clone(), product_id, variant_id, former: true })?;
        }
        tx.put(&VariantSku { sku: variant.sku.clone(), product_id, variant_id, former: false })?;
    }
    if before.is_some_and(|before| before.sku.as_str() == after.sku.as_str()) {
        return Ok(());
    }
    if let Some(before) = before
        && let Some(row) = product_only_row(tx, &before.sku)?
    {
        tx.put(&VariantSku { former: true, ..row })?;
    }
    // The row of a SKU that a variant has or had leads to this product already.
    if tx.get::<VariantSku>(&after.sku)?.is_none_or(|row| row.variant_id.is_none()) {
        tx.put(&VariantSku { sku: after.sku.clone(), product_id, variant_id: None, former: false })?;
    }
    Ok(())
}

/// The row of a SKU, if it belongs to a product but to none of its variants.
fn product_only_row(tx: &Tx<'_>, sku: &Sku) -> Result<Option<VariantSku>, StoreError> {
    Ok(tx.get::<VariantSku>(sku)?.filter(|row| row.variant_id.is_none()))
}
