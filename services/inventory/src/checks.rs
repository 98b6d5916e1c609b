//! Checks of requests: the variants that SKUs name.

use std::time::Duration;

use promox_contract::codes;
use promox_contract::inventory::{SkuQuantity, VariantQuantity};
use promox_contract::product::{ResolveSkus, VariantRef};
use promox_kernel::{Cx, Error, Faults, FieldError, Sku, bounded};

use crate::api::CreateReservation;

/// The maximum lifetime of a reservation, in seconds: one week.
const MAX_TTL_SECONDS: u32 = 7 * 24 * 3600;

/// Prefixes of references that only promox itself uses: those of orders' holds and of allocations to flash sales.
const RESERVED_PREFIXES: [&str; 2] = ["order:", "flash-sale:"];

/// The reference and the time to live of a reservation; every fault is reported.
pub(crate) fn reservation(op: &CreateReservation) -> Result<(String, Duration), Error> {
    let mut faults = Faults::default();
    let reference = faults.take("/reference", bounded(&op.reference, 1, 100)).unwrap_or_default();
    if let Some(prefix) = RESERVED_PREFIXES.iter().find(|prefix| reference.starts_with(**prefix)) {
        faults.note("/reference", format!("must not begin with \"{prefix}\", which is reserved for promox"));
    }
    if !(1..=MAX_TTL_SECONDS).contains(&op.ttl_seconds) {
        faults.note("/ttlSeconds", format!("must be 1 to {MAX_TTL_SECONDS} seconds"));
    }
    faults.finish()?;
    Ok((reference, Duration::from_secs(op.ttl_seconds.into())))
}

/// Returns the variant that has or had this SKU.
pub(crate) async fn variant(cx: &Cx, sku: &Sku) -> Result<VariantRef, Error> {
    let found = cx.call(ResolveSkus { skus: vec![sku.clone()] }).await?.variants;
    found.into_iter().flatten().next().ok_or_else(|| Error::not_found("variant with this SKU"))
}

/// Resolves the SKUs of items to variants. A SKU that no product has is refused.
pub(crate) async fn variants(cx: &Cx, items: &[SkuQuantity]) -> Result<Vec<VariantQuantity>, Error> {
    let found = cx.call(ResolveSkus { skus: items.iter().map(|item| item.sku.clone()).collect() }).await?.variants;
    let mut faults = Faults::default();
    let mut known = Vec::with_capacity(items.len());
    for (at, (item, found)) in items.iter().zip(found).enumerate() {
        match found {
            Some(of) => {
                known.push(VariantQuantity { variant_id: of.variant_id, sku: of.sku, quantity: item.quantity });
            }
            None => faults.add(FieldError::coded(
                format!("/items/{at}/sku"),
                codes::UNKNOWN_SKU,
                format!("no product has the SKU {}", item.sku),
            )),
        }
    }
    faults.finish().map(|()| known)
}
