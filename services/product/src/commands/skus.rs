//! SKUs of a product: their owners, and renaming of variants. A SKU that was assigned once stays with its product and
//! variant, as the current one or an alias.

use std::collections::BTreeMap;

use promox_contract::ids::{ProductId, VariantId};
use promox_kernel::{Error, Sku};
use promox_storage::{StoreError, Tx};

use crate::queries::skus_of;
use crate::records::{Product, Variant, VariantSku};
use crate::reject;
use crate::rules::{NEW, former, identify};

/// A variant whose SKU changed.
#[derive(Debug)]
pub(super) struct Renamed {
    pub(super) variant_id: VariantId,
    pub(super) former: Sku,
    pub(super) sku: Sku,
}

/// Matches the variants of `after`, refuses SKUs of others, and collects former ones. Writes nothing.
pub(super) fn settle(
    tx: &Tx<'_>,
    before: Option<&Product>,
    after: &mut Product,
    given: &[Option<VariantId>],
) -> Result<Vec<Renamed>, Error> {
    let owners = owners(tx, before.map(|before| before.id), after)?;
    let known: &[Variant] = before.map_or(&[], |before| &before.variants);
    identify(known, &mut after.variants, given, |sku| owners.get(sku).copied())?;
    let mut renamed = Vec::new();
    for variant in after.variants.iter_mut().filter(|variant| variant.id != NEW) {
        let (all, last) = match known.iter().find(|known| known.id == variant.id) {
            Some(known) => (known.former.clone(), Some(known.sku.clone())),
            None => skus_of(tx, variant.id)?,
        };
        let last = last.unwrap_or_else(|| variant.sku.clone());
        variant.former = former(&all, &last, &variant.sku)?;
        if last.as_str() != variant.sku.as_str() {
            renamed.push(Renamed { variant_id: variant.id, former: last, sku: variant.sku.clone() });
        }
    }
    Ok(renamed)
}

/// The variants that the SKUs of a product have belonged to; a SKU of another product is refused.
fn owners(tx: &Tx<'_>, id: Option<ProductId>, product: &Product) -> Result<BTreeMap<Sku, VariantId>, Error> {
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

/// Writes the current and former SKUs of a product and its variants; new variants get their ids.
pub(super) fn write(tx: &mut Tx<'_>, before: Option<&Product>, after: &mut Product) -> Result<(), StoreError> {
    let product_id = after.id;
    for variant in &mut after.variants.0 {
        if variant.id == NEW {
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
        && let Some(row) = of_whole(tx, &before.sku)?
    {
        tx.put(&VariantSku { former: true, ..row })?;
    }
    // A variant's SKU, current or former, leads to the current product.
    if tx.get::<VariantSku>(&after.sku)?.is_none_or(|row| row.variant_id.is_none()) {
        tx.put(&VariantSku { sku: after.sku.clone(), product_id, variant_id: None, former: false })?;
    }
    Ok(())
}

/// The row of a SKU that belongs to a product and none of its variants.
fn of_whole(tx: &Tx<'_>, sku: &Sku) -> Result<Option<VariantSku>, StoreError> {
    Ok(tx.get::<VariantSku>(sku)?.filter(|row| row.variant_id.is_none()))
}
