//! Builds the gates of a sale from its rows.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, FlashSaleId, VariantId};
use promox_kernel::Sku;
use promox_storage::{Gate, GateGroup, GivenBack};

use crate::records::{FlashItem, FlashSale, UserCount};

/// The gates of the running sales.
pub(crate) type Gates = promox_storage::Gates<FlashSaleId, SaleFacts>;
/// The gates of a sale, one per item.
pub(crate) type SaleGate = GateGroup<SaleFacts>;
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
pub(crate) fn read(sale: &FlashSale, items: &[FlashItem], users: &[UserCount]) -> SaleGate {
    let gate = |item: &FlashItem| {
        let counts = users.iter().filter(|count| count.item == item.item);
        Gate::new(item.left(), item.per_user_limit, counts.map(|count| (count.user_id, count.taken)))
    };
    let facts = SaleFacts {
        campaign_id: sale.campaign_id,
        numbers: items.iter().map(|item| (item.sku.clone(), item.item)).collect(),
        by_variant: items.iter().map(|item| (item.variant_id, item.item)).collect(),
    };
    GateGroup::new(facts, items.iter().map(gate).collect())
}
