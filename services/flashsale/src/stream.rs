//! The server-sent events of flash sales.

use std::sync::Arc;

use bytes::Bytes;
use promox_contract::ids::{FlashSaleId, VariantId};
use promox_kernel::{Sku, Streamed, server_sent};
use promox_storage::{StoreError, Tx};
use serde::Serialize;

use crate::queries;
use crate::records::{FlashItem, FlashSale, SaleStatus};

/// Maximum listeners of a node.
pub(crate) const MAX_LISTENERS: usize = 1_000;

/// The data of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SaleUpdate {
    flash_sale_id: FlashSaleId,
    status: SaleStatus,
    items: Vec<ItemUpdate>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemUpdate {
    variant_id: VariantId,
    sku: Sku,
    remaining: i64,
    sold: i64,
}

/// The state of a sale, encoded as the data of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    status: SaleStatus,
    json: Arc<str>,
}

/// The state of a sale; `None` if it is not listed.
pub(crate) fn state(tx: &Tx<'_>, id: FlashSaleId) -> Result<Option<State>, StoreError> {
    let Some(sale) = tx.get::<FlashSale>(&id)?.filter(|sale| sale.listed.is_some()) else { return Ok(None) };
    let items = queries::items(tx, id)?.into_iter();
    let item =
        |row: FlashItem| ItemUpdate { remaining: row.left(), variant_id: row.variant_id, sku: row.sku, sold: row.sold };
    let items = items.map(item).collect();
    let update = SaleUpdate { flash_sale_id: id, status: sale.status, items };
    let json = serde_json::to_string(&update).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Some(State { status: sale.status, json: json.into() }))
}

impl Streamed for State {
    fn event(&self, before: Option<&Self>) -> Bytes {
        let name = match before {
            _ if self.is_last() => "end",
            Some(before) if before.status == SaleStatus::Scheduled && self.status != before.status => "start",
            _ => "remaining",
        };
        server_sent(name, &self.json)
    }

    fn is_last(&self) -> bool {
        matches!(self.status, SaleStatus::Ended | SaleStatus::Cancelled)
    }
}
