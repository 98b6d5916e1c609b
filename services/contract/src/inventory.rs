//! What others ask of the inventory: how much there is, and to hold, give back and restock it.

use promox_kernel::{Sku, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ProductId, ReservationId, VariantId};

/// A quantity of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuQuantity {
    /// Which.
    pub sku: Sku,
    /// How many, at least 1.
    pub quantity: u32,
}

/// A quantity of a variant. Stock is kept by the variant's id; the SKU is what the caller knows it by, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantQuantity {
    /// Which.
    pub variant_id: VariantId,
    /// What the caller knows it by.
    pub sku: Sku,
    /// How many, at least 1.
    pub quantity: u32,
}

/// Asks how much of each variant can be sold now.
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
    /// For each variant asked, in order: what can be sold. One that was never counted has 0; with `backorder` the number
    /// has no upper bound and is `u32::MAX`.
    pub available: Vec<u32>,
}
json_reply!(Availability);

/// Holds stock for an order, all or nothing. Pinned from the start: the hold lives until the order's saga ends it.
/// Asking again for the same order changes nothing. Short stock is 409 `INSUFFICIENT_STOCK` naming every short SKU.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldStock {
    /// For whom.
    pub order_id: OrderId,
    /// What, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { HoldStock => Held, "inventory.hold", internal, "Holds stock for an order." }

/// The hold.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Its id.
    pub reservation_id: ReservationId,
}
json_reply!(Held);

/// Gives back what an order held or bought: a live hold is released, a posted one is put back into stock by movements.
/// Asking again changes nothing; an order without a hold is fine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GiveBackStock {
    /// Whose.
    pub order_id: OrderId,
}
operation! { GiveBackStock => (), "inventory.give_back", internal, "Releases the stock held for an order." }

/// Puts returned units back, once a reference.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restock {
    /// `return:7`.
    pub reference: String,
    /// The order that they were sold by: they go back to where they were taken from.
    pub order_id: OrderId,
    /// What comes back.
    pub items: Vec<VariantQuantity>,
}
operation! { Restock => (), "inventory.restock", internal, "Puts returned units back into stock." }

/// Gives SKUs that were never counted the first count of an import, at the default location. Runs beside other work, in chunks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetStock {
    /// The counts, each SKU once.
    pub items: Vec<StockCount>,
}
operation! { SetStock => CountsTaken, "inventory.set", internal, "Sets the initial stock of an import." }

/// What there is of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockCount {
    /// Which.
    pub sku: Sku,
    /// How many, at most 1,000,000,000.
    pub on_hand: u32,
}

/// The answer to [`SetStock`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsTaken {
    /// SKUs without a count, because no product has them or the count is out of bounds.
    pub refused: Vec<Sku>,
    /// How many SKUs kept the stock that they had.
    pub kept: u64,
}
json_reply!(CountsTaken);

/// What can be sold of a variant changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    /// Which.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU.
    pub sku: Sku,
    /// What can be sold now.
    pub available: i64,
}

/// A variant came to or below its threshold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockLow {
    /// Which.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU.
    pub sku: Sku,
    /// What can be sold now.
    pub available: i64,
    /// Its threshold.
    pub threshold: i64,
}
fact! {
    StockChanged = "STOCK_CHANGED" in "stock" kept 30,
    StockLow = "STOCK_LOW" in "stock" kept 30,
}

/// Sets stock aside for a flash sale, all or nothing: one reservation that never lapses. 409 `INSUFFICIENT_STOCK` naming every
/// short SKU. Asking again for the same reference changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocateStock {
    /// `flash-sale:7`.
    pub reference: String,
    /// What.
    pub items: Vec<VariantQuantity>,
}
operation! { AllocateStock => Held, "inventory.allocate", internal, "Allocates stock to a sale." }

/// Changes what a set-aside holds to just these quantities, all or nothing, as long as nothing was sold from it. 409
/// `INSUFFICIENT_STOCK` naming every short SKU. Asking again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeAllocation {
    /// `flash-sale:7`.
    pub reference: String,
    /// What, each variant once.
    pub items: Vec<VariantQuantity>,
}
operation! { ChangeAllocation => (), "inventory.change_allocation", internal, "Changes the size of an allocation." }

/// Sells pieces that were set aside, once a reference: on hand and reserved go down together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SellFromAllocation {
    /// `flash-sale:7`.
    pub set_aside: String,
    /// Which pieces, each reference once.
    pub sales: Vec<AllocationSale>,
}
operation! { SellFromAllocation => (), "inventory.sell_from_allocation", internal, "Sells units of an allocation." }

/// Pieces that an order bought.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocationSale {
    /// `flash-purchase:12`.
    pub reference: String,
    /// By which order.
    pub order_id: OrderId,
    /// What.
    pub items: Vec<VariantQuantity>,
}

/// Puts pieces that were sold from a set-aside back, once a reference: into the set-aside while it lives, else into stock.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnToAllocation {
    /// `flash-sale:7`.
    pub set_aside: String,
    /// `flash-purchase:12`.
    pub reference: String,
}
operation! { ReturnToAllocation => (), "inventory.return_to_allocation", internal, "Returns sold units to an allocation." }

/// Ends a set-aside: what is left of it, less `keep` (what live claims may still buy), goes back into stock. Asking again changes nothing more.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndAllocation {
    /// `flash-sale:7`.
    pub reference: String,
    /// What stays set aside for orders on their way.
    pub keep: Vec<VariantQuantity>,
}
operation! { EndAllocation => (), "inventory.end_allocation", internal, "Releases the rest of an allocation." }

/// What orders and stock both state of each order, for the auditor to compare: [`units_out`].
pub const SOLD: &str = "sold = quantities of confirmed orders, less restocked units";

/// Units that left by what they are of, each once and in order, without those of which none is out: `"17×2 18×1"`.
pub fn units_out<K: Ord + std::fmt::Display>(units: impl IntoIterator<Item = (K, i64)>) -> String {
    let mut sums: std::collections::BTreeMap<K, i64> = std::collections::BTreeMap::new();
    for (of, quantity) in units {
        *sums.entry(of).or_default() += quantity;
    }
    sums.retain(|_, quantity| *quantity != 0);
    sums.iter().map(|(of, quantity)| format!("{of}×{quantity}")).collect::<Vec<_>>().join(" ")
}
