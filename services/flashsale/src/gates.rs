//! What the gates of a sale are made of: its rows, as they are when the gates are read.

use std::collections::HashMap;

use promox_contract::ids::{CampaignId, FlashSaleId, VariantId};
use promox_kernel::Sku;
use promox_storage::{Gate, GateGroup, GivenBack};

use crate::records::{FlashItem, FlashSale, UserCount};

/// The gates of the sales that sell now.
pub(crate) type Gates = promox_storage::Gates<FlashSaleId, SaleFacts>;
/// A sale's gates, one an item.
pub(crate) type SaleGate = GateGroup<SaleFacts>;
/// Pieces that can be reserved again.
pub(crate) type Freed = GivenBack<FlashSaleId>;

/// What has to be known of a sale beside its gates.
#[derive(Debug)]
pub(crate) struct SaleFacts {
    /// It sells only while this campaign runs.
    pub(crate) campaign_id: Option<CampaignId>,
    numbers: HashMap<Sku, u32>,
    by_variant: HashMap<VariantId, u32>,
}

impl SaleFacts {
    /// The number of an item by the SKU in its terms, which is its variant's for good.
    pub(crate) fn number(&self, sku: &Sku) -> Option<u32> {
        self.numbers.get(sku).copied()
    }

    /// The number of a variant's item.
    pub(crate) fn number_of(&self, id: VariantId) -> Option<u32> {
        self.by_variant.get(&id).copied()
    }
}

/// The gates as the rows say.
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
