//! Operations of the inventory service for other services, and its events.

use promox_kernel::{Sku, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ProductId, VariantId};

/// A SKU and a quantity of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuQuantity {
    /// The SKU.
    pub sku: Sku,
    /// The number of units, at least 1.
    pub quantity: u32,
}

/// A variant and a quantity of it. Stock is counted by the variant's id; the SKU is for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantQuantity {
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU as the caller knows it.
    pub sku: Sku,
    /// The number of units, at least 1.
    pub quantity: u32,
}

/// Gets how many units of each variant can be sold now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetAvailableStock {
    /// The variants.
    pub variants: Vec<VariantId>,
}
operation! { GetAvailableStock => Availability, "inventory.available", internal, "The available stock of variants." }

/// The answer to [`GetAvailableStock`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    /// For each variant, in the order of the request, the units that can be sold. A variant that was never counted has
    /// 0. A variant with `backorder` has no limit, and the number is `u32::MAX`.
    pub available: Vec<u32>,
}
json_reply!(Availability);

/// Holds stock for an order, all or nothing. The hold does not expire: the order's saga ends it. Repeating the request
/// changes nothing. 409 `INSUFFICIENT_STOCK` with every SKU that is short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldStock {
    /// The order.
    pub order_id: OrderId,
    /// The units, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { HoldStock => (), "inventory.hold_stock", internal, "Holds stock for an order." }

/// Releases an order's stock: held units become available again, and units that were sold are restored by movements.
/// Repeating the request changes nothing. If there is no hold, a tombstone is left that refuses a hold arriving later.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStock {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseStock => (), "inventory.release_stock", internal, "Releases the stock held for an order." }

/// Takes returned units back into stock, or writes them off. It has an effect once per reference.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// The return, such as `return:7`.
    pub reference: String,
    /// The order that the units were sold with. They return to the locations that they came from.
    pub order_id: OrderId,
    /// The returned units.
    pub items: Vec<VariantQuantity>,
    /// Whether the units cannot be sold again. They then count as returned but never enter the stock, not even when the
    /// order is cancelled later.
    pub write_off: bool,
}
operation! { Restock => (), "inventory.restock", internal, "Takes returned units back into stock." }

/// Sets the initial stock of SKUs that were never counted, at the default location. It works in chunks, so that other
/// work continues meanwhile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetStock {
    /// The counts, each SKU once.
    pub items: Vec<StockCount>,
}
operation! { SetStock => CountsTaken, "inventory.set", internal, "Sets the initial stock of an import." }

/// The stock of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockCount {
    /// The SKU.
    pub sku: Sku,
    /// The number of units on hand, at most 1,000,000,000.
    pub on_hand: u32,
}

/// The answer to [`SetStock`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsTaken {
    /// SKUs that were not counted, because no product has them or the count is out of range.
    pub refused: Vec<Sku>,
    /// The number of SKUs that kept their existing stock.
    pub kept: u64,
}
json_reply!(CountsTaken);

/// The available stock of a variant changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    /// The variant.
    pub variant_id: VariantId,
    /// The variant's product.
    pub product_id: ProductId,
    /// The variant's SKU.
    pub sku: Sku,
    /// The available stock.
    pub available: i64,
}

/// The stock of a variant fell to its threshold or below.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockLow {
    /// The variant.
    pub variant_id: VariantId,
    /// The variant's product.
    pub product_id: ProductId,
    /// The variant's SKU.
    pub sku: Sku,
    /// The available stock.
    pub available: i64,
    /// The threshold below or at which the stock is low.
    pub threshold: i64,
}
fact! {
    StockChanged = "STOCK_CHANGED" in "stock" kept 30,
    StockLow = "STOCK_LOW" in "stock" kept 30,
}

/// Allocates stock to a flash sale, all or nothing, as one reservation that never expires. 409 `INSUFFICIENT_STOCK`
/// with every SKU that is short. Repeating it for the same reference changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocateStock {
    /// The flash sale, such as `flash-sale:7`.
    pub reference: String,
    /// The units.
    pub items: Vec<VariantQuantity>,
}
operation! { AllocateStock => (), "inventory.allocate", internal, "Allocates stock to a sale." }

/// Changes an allocation to exactly these quantities, all or nothing, provided that nothing was sold from it. 409
/// `INSUFFICIENT_STOCK` with every SKU that is short. Repeating it changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeAllocation {
    /// The flash sale, such as `flash-sale:7`.
    pub reference: String,
    /// The units, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { ChangeAllocation => (), "inventory.change_allocation", internal, "Changes the size of an allocation." }

/// Sells units of an allocation, once per reference. The stock on hand and the reserved stock decrease together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SellFromAllocation {
    /// The allocation's flash sale, such as `flash-sale:7`.
    pub allocation: String,
    /// The sales, each reference once.
    pub sales: Vec<AllocationSale>,
}
operation! { SellFromAllocation => (), "inventory.sell_from_allocation", internal, "Sells units of an allocation." }

/// Units of an allocation that an order bought.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocationSale {
    /// The purchase, such as `flash-purchase:12`.
    pub reference: String,
    /// The order.
    pub order_id: OrderId,
    /// The units.
    pub items: Vec<VariantQuantity>,
}

/// Returns sold units, once per reference: to the allocation while it exists, else to stock.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnToAllocation {
    /// The allocation's flash sale, such as `flash-sale:7`.
    pub allocation: String,
    /// The purchase, such as `flash-purchase:12`.
    pub reference: String,
}
operation! {
    ReturnToAllocation => (), "inventory.return_to_allocation", internal,
    "Returns sold units to an allocation."
}

/// Ends an allocation. The remaining units return to stock, except `keep`, which active claims may still buy. Repeating
/// the request changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndAllocation {
    /// The flash sale, such as `flash-sale:7`.
    pub reference: String,
    /// Units that stay allocated, for orders in progress.
    pub keep: Vec<VariantQuantity>,
}
operation! { EndAllocation => (), "inventory.end_allocation", internal, "Releases the rest of an allocation." }

/// The audit's name for the check that orders and inventory agree on the [`units_out`] of each order.
pub const SOLD: &str = "sold = quantities of confirmed orders, less returned units";

/// Formats the units that left the stock by variant or item, sorted, summed and without zeros: `"17×2 18×1"`.
pub fn units_out<K: Ord + std::fmt::Display>(units: impl IntoIterator<Item = (K, i64)>) -> String {
    let mut sums: std::collections::BTreeMap<K, i64> = std::collections::BTreeMap::new();
    for (key, quantity) in units {
        *sums.entry(key).or_default() += quantity;
    }
    sums.retain(|_, quantity| *quantity != 0);
    sums.iter().map(|(key, quantity)| format!("{key}×{quantity}")).collect::<Vec<_>>().join(" ")
}
