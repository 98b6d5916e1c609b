//! Builds the gates of a sale from its rows.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, FlashSaleId, VariantId};
use promox_kernel::Sku;
use promox_storage::{GateCounts, LoadedGates, ReturnedUnits};

use crate::records::{FlashItem, FlashSale, UserCount};

/// The gates of the running sales.
pub(crate) type Gates = promox_storage::Gates<FlashSaleId, SaleFacts>;
/// The gates of a sale as loaded from its rows, one per item.
pub(crate) type SaleGates = LoadedGates<SaleFacts>;
/// Units released in the rows, to be released at the gates too.
pub(crate) type Freed = ReturnedUnits<FlashSaleId>;

/// Facts about a running sale that are cached with its gates.
#[derive(Debug)]
pub(crate) struct SaleFacts {
    /// The campaign without which the sale does not sell.
    pub(crate) campaign_id: Option<CampaignId>,
    by_sku: HashMap<Sku, u32>,
    by_variant: HashMap<VariantId, u32>,
}

impl SaleFacts {
    /// The position of an item by the SKU in its terms. A SKU belongs to its variant permanently.
    pub(crate) fn item_of_sku(&self, sku: &Sku) -> Option<u32> {
        self.by_sku.get(sku).copied()
    }

    /// The position of a variant's item.
    pub(crate) fn item_of_variant(&self, id: VariantId) -> Option<u32> {
        self.by_variant.get(&id).copied()
    }
}

/// Builds the gates of a sale from its rows.
pub(crate) fn from_rows(sale: &FlashSale, items: &[FlashItem], users: &[UserCount]) -> SaleGates {
    let counts = |item: &FlashItem| {
        let users = users.iter().filter(|count| count.item == item.item);
        let users = users.map(|count| (count.user_id, count.taken)).collect();
        GateCounts { left: item.left(), limit: item.per_user_limit, users }
    };
    let facts = SaleFacts {
        campaign_id: sale.campaign_id,
        by_sku: items.iter().map(|item| (item.sku.clone(), item.item)).collect(),
        by_variant: items.iter().map(|item| (item.variant_id, item.item)).collect(),
    };
    LoadedGates { about: facts, gates: items.iter().map(counts).collect() }
}
