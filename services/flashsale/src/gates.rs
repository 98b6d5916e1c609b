//! The gates of the sales that sell now: read from rows when they are first needed, forgotten when in doubt.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use promox_contract::ids::{CampaignId, FlashSaleId};
use promox_kernel::{Sku, UserId};

use crate::gate::{ItemGate, No};
use crate::records::{FlashItem, FlashSale, UserCount};

/// Pieces that can be reserved again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) sale_id: FlashSaleId,
    pub(crate) item: u32,
    pub(crate) user_id: UserId,
    pub(crate) quantity: u32,
}

/// A sale's gates, one an item.
#[derive(Debug)]
pub(crate) struct SaleGate {
    /// It sells only while this campaign runs.
    pub(crate) campaign_id: Option<CampaignId>,
    numbers: HashMap<String, u32>,
    items: Vec<ItemGate>,
}

impl SaleGate {
    /// What the rows say.
    pub(crate) fn new(sale: &FlashSale, items: &[FlashItem], users: &[UserCount]) -> Self {
        let gate = |item: &FlashItem| {
            let counts = users.iter().filter(|count| count.item == item.item);
            let counts = counts.map(|count| (count.user_id, count.taken));
            ItemGate::new(item.left(), item.per_user_limit, counts)
        };
        Self {
            campaign_id: sale.campaign_id,
            numbers: items.iter().map(|item| (item.sku.fold(), item.item)).collect(),
            items: items.iter().map(gate).collect(),
        }
    }

    /// The number of an item.
    pub(crate) fn number(&self, sku: &Sku) -> Option<u32> {
        self.numbers.get(&sku.fold()).copied()
    }

    pub(crate) fn item(&self, number: u32) -> Option<&ItemGate> {
        self.items.get(usize::try_from(number).ok()?)
    }

    /// Takes pieces, which go back unless the pass is used.
    pub(crate) fn take(self: &Arc<Self>, item: u32, user: UserId, quantity: u32) -> Result<Pass, No> {
        self.item(item).map_or(Ok(()), |gate| gate.take(user, quantity))?;
        Ok(Pass { gate: self.clone(), item, user, quantity, used: false })
    }
}

/// A way through a gate that was taken.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<SaleGate>,
    item: u32,
    user: UserId,
    quantity: u32,
    used: bool,
}

impl Pass {
    /// The reservation is made.
    pub(crate) fn use_up(mut self) {
        self.used = true;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let (false, Some(gate)) = (self.used, self.gate.item(self.item)) {
            gate.give(self.user, self.quantity);
        }
    }
}

/// The gates of all sales.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    sales: RwLock<HashMap<FlashSaleId, Arc<SaleGate>>>,
    /// Counts what was given back: a gate read meanwhile may have missed it.
    given: AtomicU64,
}

impl Gates {
    pub(crate) fn get(&self, id: FlashSaleId) -> Option<Arc<SaleGate>> {
        self.sales.read().get(&id).cloned()
    }

    /// How often pieces were given back so far: ask before reading the rows of a gate.
    pub(crate) fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    /// Sets a gate up unless pieces were given back since `given`; whether it was.
    pub(crate) fn install(&self, id: FlashSaleId, gate: &Arc<SaleGate>, given: u64) -> bool {
        let mut sales = self.sales.write();
        let fresh = self.given() == given;
        if fresh {
            sales.insert(id, gate.clone());
        }
        fresh
    }

    /// Drops a gate: it is read from the rows when it is needed again.
    pub(crate) fn forget(&self, id: FlashSaleId) {
        self.sales.write().remove(&id);
    }

    /// Gives pieces back that the rows have given back.
    pub(crate) fn give(&self, freed: &[Freed]) {
        let sales = self.sales.read();
        self.given.fetch_add(1, Ordering::AcqRel);
        for it in freed {
            if let Some(gate) = sales.get(&it.sale_id).and_then(|sale| sale.item(it.item)) {
                gate.give(it.user_id, it.quantity);
            }
        }
    }

    /// Call before rows give pieces back, and tell it when the gates know.
    pub(crate) fn in_doubt(&self) -> Doubt<'_> {
        Doubt(Some(self))
    }
}

/// Forgets all gates when it is dropped: whoever was to tell them what the rows gave back has left half way.
#[derive(Debug)]
pub(crate) struct Doubt<'a>(Option<&'a Gates>);

impl Doubt<'_> {
    /// The gates know, or there is nothing to know.
    pub(crate) fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(gates) = self.0 {
            gates.sales.write().clear();
        }
    }
}
