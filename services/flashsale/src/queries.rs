//! Queries: sales with their items, due work, the lines of reservations.

use std::collections::BTreeMap;

use promox_contract::flashsale::{FlashLine, FlashRefusal, FlashSaleDescription};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId};
use promox_contract::inventory::VariantQuantity;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Error, Page, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{ListActiveSales, ListSales, SaleItemView, SaleView};
use crate::records::{
    FlashHold, FlashItem, FlashPurchase, FlashSale, HoldByClaim, HoldByLapse, PurchaseByDue, PurchaseStatus, SaleByDue,
    SaleByListed, SaleByOpen,
};

/// Maximum number of running sales that the jobs examine.
const MAX_OPEN: usize = 1_000;

/// A listed sale.
pub(crate) fn listed(tx: &Tx<'_>, id: FlashSaleId) -> Result<FlashSale, Error> {
    let sale = tx.get::<FlashSale>(&id)?.filter(|sale| sale.listed.is_some());
    sale.ok_or(Error::not_found("flash sale"))
}

/// A sale's items, in order.
pub(crate) fn items(tx: &Tx<'_>, id: FlashSaleId) -> Result<Vec<FlashItem>, StoreError> {
    tx.scan::<FlashItem>().prefix(id).rows().collect()
}

/// The view of a sale.
pub(crate) fn view(tx: &Tx<'_>, sale: FlashSale) -> Result<SaleView, StoreError> {
    let item = |it: FlashItem| SaleItemView {
        remaining: it.left(),
        variant_id: it.variant_id,
        sku: it.sku,
        sale_price: it.sale_price,
        stock: it.stock,
        per_user_limit: it.per_user_limit,
        sold: it.sold,
    };
    Ok(SaleView {
        items: items(tx, sale.id)?.into_iter().map(item).collect(),
        id: sale.id,
        name: sale.name,
        campaign_id: sale.campaign_id,
        status: sale.status,
        starts_at: sale.starts_at,
        ends_at: sale.ends_at,
        currency: sale.currency,
        reservation_ttl_seconds: sale.ttl_seconds,
        version: sale.version,
        created_at: sale.created_at,
        updated_at: sale.updated_at,
    })
}

/// One sale.
pub(crate) fn sale(tx: &Tx<'_>, id: FlashSaleId) -> Result<SaleView, Error> {
    Ok(view(tx, listed(tx, id)?)?)
}

fn views(tx: &Tx<'_>, page: Page<FlashSale>) -> Result<Page<SaleView>, Error> {
    page.try_map(|sale| view(tx, sale))
}

/// A page of sales, newest first.
pub(crate) fn list(tx: &Tx<'_>, op: ListSales) -> Result<Page<SaleView>, Error> {
    let scan = tx.scan_by::<SaleByListed>().prefix(Some(true)).backward();
    views(tx, scan.page_of(op.limit, op.cursor, |sale| op.status.is_none_or(|status| status == sale.status))?)
}

/// A page of running sales, the first to end first.
pub(crate) fn active(tx: &Tx<'_>, op: ListActiveSales, now: Timestamp) -> Result<Page<SaleView>, Error> {
    views(tx, tx.scan_by::<SaleByOpen>().page_of(op.limit, op.cursor, |sale| sale.sells_at(now))?)
}

/// Sales with work that is due.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<FlashSale>, StoreError> {
    tx.scan_by::<SaleByDue>().before(Some(now + std::time::Duration::from_micros(1))).collect(limit)
}

/// Running sales.
pub(crate) fn open(tx: &Tx<'_>) -> Result<Vec<FlashSale>, StoreError> {
    tx.scan_by::<SaleByOpen>().collect(MAX_OPEN)
}

/// Whether a sale has expired reservations that were not swept yet.
pub(crate) fn has_lapsed(tx: &Tx<'_>, sale: &FlashSale, now: Timestamp) -> Result<bool, StoreError> {
    let soonest = tx.scan_by::<HoldByLapse>().prefix(Some(sale.id)).first()?;
    Ok(soonest.is_some_and(|hold| sale.is_over() || hold.expires_at <= now))
}

/// The first purchases to report to the inventory, of the first sale from `from` on that has any.
pub(crate) fn unsettled(tx: &Tx<'_>, from: FlashSaleId, limit: usize) -> Result<Vec<FlashPurchase>, StoreError> {
    let Some(first) = tx.scan_by::<PurchaseByDue>().from(Some(from)).first()? else { return Ok(Vec::new()) };
    tx.scan_by::<PurchaseByDue>().prefix(Some(first.sale_id)).collect(limit)
}

/// What must stay allocated for a sale that is over: units claimed by orders in progress, and units bought that have
/// not left the inventory yet.
pub(crate) fn kept(tx: &Tx<'_>, id: FlashSaleId) -> Result<Vec<VariantQuantity>, StoreError> {
    let mut kept: BTreeMap<u32, u32> = BTreeMap::new();
    for hold in tx.scan_by::<HoldByClaim>().prefix(Some(id)).rows() {
        let hold = hold?;
        *kept.entry(hold.item).or_default() += hold.quantity;
    }
    for purchase in tx.scan_by::<PurchaseByDue>().prefix(Some(id)).rows() {
        let purchase = purchase?;
        if purchase.status == PurchaseStatus::Bought {
            *kept.entry(purchase.item).or_default() += purchase.quantity;
        }
    }
    let mut quantities = Vec::with_capacity(kept.len());
    for (item, quantity) in kept {
        if let Some(row) = tx.get::<FlashItem>(&(id, item))? {
            quantities.push(VariantQuantity { variant_id: row.variant_id, sku: row.sku, quantity });
        }
    }
    Ok(quantities)
}

/// A sale under a campaign that is listed, or about to be.
pub(crate) fn under(tx: &Tx<'_>, campaign: CampaignId) -> Result<Option<FlashSaleId>, StoreError> {
    for sale in tx.scan::<FlashSale>().rows() {
        let sale = sale?;
        let there = sale.listed.is_some() || sale.draft.is_some();
        let wanted = sale.draft.as_ref().and_then(|draft| draft.terms.campaign_id);
        if there && (sale.campaign_id == Some(campaign) || wanted == Some(campaign)) {
            return Ok(Some(sale.id));
        }
    }
    Ok(None)
}

/// The names of sales, including deleted ones.
pub(crate) fn names(tx: &Tx<'_>, ids: &[FlashSaleId]) -> Result<Vec<FlashSaleDescription>, StoreError> {
    let described = |sale: FlashSale| FlashSaleDescription { id: sale.id, name: sale.name };
    let found = ids.iter().map(|id| Ok(tx.get::<FlashSale>(id)?.map(described)));
    found.filter_map(Result::transpose).collect()
}

/// The lines that a user's reservations give in an order, and the reservations that give none.
pub(crate) fn lines(
    tx: &Tx<'_>,
    user_id: Option<UserId>,
    ids: &[FlashReservationId],
    now: Timestamp,
) -> Result<(Vec<FlashLine>, Vec<FlashRefusal>), StoreError> {
    let (mut lines, mut refused) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        let Some(hold) = tx.get::<FlashHold>(id)?.filter(|hold| Some(hold.user_id) == user_id) else { continue };
        let Some(sale) = tx.get::<FlashSale>(&hold.sale_id)? else { continue };
        let Some(item) = tx.get::<FlashItem>(&(hold.sale_id, hold.item))? else { continue };
        if !hold.is_good(&sale, now) {
            refused.push(FlashRefusal { reservation_id: hold.id, reason: RejectReason::Expired });
            continue;
        }
        lines.push(FlashLine {
            reservation_id: hold.id,
            flash_sale_id: hold.sale_id,
            sku: item.sku,
            quantity: hold.quantity,
            sale_price: item.sale_price,
            campaign_id: sale.campaign_id,
        });
    }
    Ok((lines, refused))
}
