//! Operations of the inventory for other services.

use promox_kernel::{Sku, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ProductId, VariantId};

/// A quantity of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuQuantity {
    /// The SKU.
    pub sku: Sku,
    /// How many, at least 1.
    pub quantity: u32,
}

/// A quantity of a variant. Stock is kept by the variant's id; the SKU is for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantQuantity {
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU as the caller knows it.
    pub sku: Sku,
    /// How many, at least 1.
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
    /// For each variant, in the order of the request: the units that can be sold. A variant that was never counted has
    /// 0; with `backorder` there is no limit, and the number is `u32::MAX`.
    pub available: Vec<u32>,
}
json_reply!(Availability);

/// Holds stock for an order, all or nothing, without expiry: the hold lasts until the order's saga ends it. Repeating
/// it changes nothing. 409 `INSUFFICIENT_STOCK` with every SKU that is short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldStock {
    /// The order.
    pub order_id: OrderId,
    /// The units, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { HoldStock => (), "inventory.hold_stock", internal, "Holds stock for an order." }

/// Releases an order's stock: held units become available, units that left are put back by movements. Repeating it
/// changes nothing. Without a hold it leaves a tombstone, so that a hold that arrives later is refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStock {
    /// The order.
    pub order_id: OrderId,
}
operation! { ReleaseStock => (), "inventory.release_stock", internal, "Releases the stock held for an order." }

/// Takes returned units back, into stock or written off, once per reference.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// `return:7`.
    pub reference: String,
    /// The order that they were sold with: they go back to the locations that they came from.
    pub order_id: OrderId,
    /// The returned units.
    pub items: Vec<VariantQuantity>,
    /// Whether they cannot be sold again: they count as returned, and do not enter the stock, also not when the order is
    /// cancelled later.
    pub write_off: bool,
}
operation! { Restock => (), "inventory.restock", internal, "Takes returned units back." }

/// Sets the initial stock of SKUs that were never counted, at the default location. Runs beside other work, in chunks.
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
    /// How many, at most 1,000,000,000.
    pub on_hand: u32,
}

/// The answer to [`SetStock`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsTaken {
    /// SKUs that were not counted, because no product has them or the count is out of range.
    pub refused: Vec<Sku>,
    /// How many SKUs kept their existing stock.
    pub kept: u64,
}
json_reply!(CountsTaken);

/// The available stock of a variant changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    /// The variant.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU.
    pub sku: Sku,
    /// The available stock.
    pub available: i64,
}

/// The stock of a variant fell to its threshold or below.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockLow {
    /// The variant.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU.
    pub sku: Sku,
    /// The available stock.
    pub available: i64,
    /// Its threshold.
    pub threshold: i64,
}
fact! {
    StockChanged = "STOCK_CHANGED" in "stock" kept 30,
    StockLow = "STOCK_LOW" in "stock" kept 30,
}

/// Allocates stock to a flash sale, all or nothing: one reservation that never expires. 409 `INSUFFICIENT_STOCK` with
/// every SKU that is short. Repeating it for the same reference changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocateStock {
    /// `flash-sale:7`.
    pub reference: String,
    /// The units.
    pub items: Vec<VariantQuantity>,
}
operation! { AllocateStock => (), "inventory.allocate", internal, "Allocates stock to a sale." }

/// Changes an allocation to exactly these quantities, all or nothing, while nothing was sold from it. 409
/// `INSUFFICIENT_STOCK` with every SKU that is short. Repeating it changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeAllocation {
    /// `flash-sale:7`.
    pub reference: String,
    /// The units, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { ChangeAllocation => (), "inventory.change_allocation", internal, "Changes the size of an allocation." }

/// Sells units of an allocation, once per reference: on hand and reserved decrease together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SellFromAllocation {
    /// `flash-sale:7`.
    pub allocation: String,
    /// The units, each reference once.
    pub sales: Vec<AllocationSale>,
}
operation! { SellFromAllocation => (), "inventory.sell_from_allocation", internal, "Sells units of an allocation." }

/// Units that an order bought.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocationSale {
    /// `flash-purchase:12`.
    pub reference: String,
    /// The order.
    pub order_id: OrderId,
    /// The units.
    pub items: Vec<VariantQuantity>,
}

/// Returns sold units to an allocation, once per reference: to the allocation while it exists, else to stock.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnToAllocation {
    /// `flash-sale:7`.
    pub allocation: String,
    /// `flash-purchase:12`.
    pub reference: String,
}
operation! {
    ReturnToAllocation => (), "inventory.return_to_allocation", internal,
    "Returns sold units to an allocation."
}

/// Ends an allocation: the rest, less `keep` (units that active claims may still buy), returns to stock. Repeating it
/// changes nothing more.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndAllocation {
    /// `flash-sale:7`.
    pub reference: String,
    /// Units that stay allocated to running orders.
    pub keep: Vec<VariantQuantity>,
}
operation! { EndAllocation => (), "inventory.end_allocation", internal, "Releases the rest of an allocation." }

/// Orders and stock both state for each order its [`units_out`].
pub const SOLD: &str = "sold = quantities of confirmed orders, less returned units";

/// Units that left, by variant or item, sorted and without duplicates, omitting zeros: `"17×2 18×1"`.
pub fn units_out<K: Ord + std::fmt::Display>(units: impl IntoIterator<Item = (K, i64)>) -> String {
    let mut sums: std::collections::BTreeMap<K, i64> = std::collections::BTreeMap::new();
    for (of, quantity) in units {
        *sums.entry(of).or_default() += quantity;
    }
    sums.retain(|_, quantity| *quantity != 0);
    sums.iter().map(|(of, quantity)| format!("{of}×{quantity}")).collect::<Vec<_>>().join(" ")
}
