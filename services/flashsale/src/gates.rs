//! Builds the gates of a sale from its rows.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, FlashSaleId, VariantId};
use promox_kernel::Sku;
use promox_storage::{GateCounts, GivenBack, LoadedGates};

use crate::records::{FlashItem, FlashSale, UserCount};

/// The gates of the running sales.
pub(crate) type Gates = promox_storage::Gates<FlashSaleId, SaleFacts>;
/// The gates of a sale, one per item, as its rows have them.
pub(crate) type SaleGates = LoadedGates<SaleFacts>;
/// Units that can be reserved again.
pub(crate) type Freed = GivenBack<FlashSaleId>;

/// Facts about a sale that are checked beside its gates.
#[derive(Debug)]
pub(crate) struct SaleFacts {
    /// It sells only while this campaign runs.
    pub(crate) campaign_id: Option<CampaignId>,
    numbers: HashMap<Sku, u32>,
    by_variant: HashMap<VariantId, u32>,
}

impl SaleFacts {
    /// The number of an item by the SKU in its terms, which belongs to its variant permanently.
    pub(crate) fn number(&self, sku: &Sku) -> Option<u32> {
        self.numbers.get(sku).copied()
    }

    /// The number of a variant's item.
    pub(crate) fn number_of(&self, id: VariantId) -> Option<u32> {
        self.by_variant.get(&id).copied()
    }
}

/// Reads the gates from the rows.
pub(crate) fn read(sale: &FlashSale, items: &[FlashItem], users: &[UserCount]) -> SaleGates {
    let counts = |item: &FlashItem| {
        let users = users.iter().filter(|count| count.item == item.item);
        let users = users.map(|count| (count.user_id, count.taken)).collect();
        GateCounts { left: item.left(), limit: item.per_user_limit, users }
    };
    let facts = SaleFacts {
        campaign_id: sale.campaign_id,
        numbers: items.iter().map(|item| (item.sku.clone(), item.item)).collect(),
        by_variant: items.iter().map(|item| (item.variant_id, item.item)).collect(),
    };
    LoadedGates { about: facts, gates: items.iter().map(counts).collect() }
}
