//! Queries: sales with their items, sales and purchases with due work, and the order lines of reservations.

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
    SaleByListed, SaleByOpen, Terms,
};
use crate::reject;

/// Maximum number of running sales that the jobs and the gates consider.
const MAX_OPEN: usize = 1_000;

/// Reads a listed sale; NOT_FOUND if it is unknown, unlisted or deleted.
pub(crate) fn listed(tx: &Tx<'_>, id: FlashSaleId) -> Result<FlashSale, Error> {
    let sale = tx.get::<FlashSale>(&id)?.filter(|sale| sale.listed.is_some());
    sale.ok_or(Error::not_found("flash sale"))
}

/// A sale's items by position.
pub(crate) fn items(tx: &Tx<'_>, id: FlashSaleId) -> Result<Vec<FlashItem>, StoreError> {
    tx.scan::<FlashItem>().prefix(id).rows().collect()
}

/// Builds the view of a sale with its items.
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

/// The view of a listed sale.
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

/// A page of running sales, ordered by their end.
pub(crate) fn active_sales(tx: &Tx<'_>, op: ListActiveSales, now: Timestamp) -> Result<Page<SaleView>, Error> {
    views(tx, tx.scan_by::<SaleByOpen>().page_of(op.limit, op.cursor, |sale| sale.sells_at(now))?)
}

/// Sales whose next scheduled change is due.
pub(crate) fn due_sales(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<FlashSale>, StoreError> {
    tx.scan_by::<SaleByDue>().before(Some(now + std::time::Duration::from_micros(1))).collect(limit)
}

/// Running sales, at most [`MAX_OPEN`].
pub(crate) fn running_sales(tx: &Tx<'_>) -> Result<Vec<FlashSale>, StoreError> {
    tx.scan_by::<SaleByOpen>().collect(MAX_OPEN)
}

/// Returns whether a sale has expired reservations that have not been swept yet.
pub(crate) fn has_expired_reservations(tx: &Tx<'_>, sale: &FlashSale, now: Timestamp) -> Result<bool, StoreError> {
    let soonest = tx.scan_by::<HoldByLapse>().prefix(Some(sale.id)).first()?;
    Ok(soonest.is_some_and(|hold| sale.is_over() || hold.expires_at <= now))
}

/// Purchases and reversals to report to the inventory: those of the first sale with any, starting at `from`.
pub(crate) fn unreported_purchases(
    tx: &Tx<'_>,
    from: FlashSaleId,
    limit: usize,
) -> Result<Vec<FlashPurchase>, StoreError> {
    let Some(first) = tx.scan_by::<PurchaseByDue>().from(Some(from)).first()? else { return Ok(Vec::new()) };
    tx.scan_by::<PurchaseByDue>().prefix(Some(first.sale_id)).collect(limit)
}

/// Units that must stay allocated for a sale that is over: those claimed by orders in progress, and those bought but
/// not yet reported to the inventory.
pub(crate) fn units_to_keep(tx: &Tx<'_>, id: FlashSaleId) -> Result<Vec<VariantQuantity>, StoreError> {
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

/// A sale of the campaign that is listed or has a draft pending, if there is one.
pub(crate) fn sale_of_campaign(tx: &Tx<'_>, campaign: CampaignId) -> Result<Option<FlashSaleId>, StoreError> {
    for sale in tx.scan::<FlashSale>().rows() {
        let sale = sale?;
        let exists = sale.listed.is_some() || sale.draft.is_some();
        let pending = sale.draft.as_ref().and_then(|draft| draft.terms.campaign_id);
        if exists && (sale.campaign_id == Some(campaign) || pending == Some(campaign)) {
            return Ok(Some(sale.id));
        }
    }
    Ok(None)
}

/// The names of sales, including deleted ones.
pub(crate) fn describe(tx: &Tx<'_>, ids: &[FlashSaleId]) -> Result<Vec<FlashSaleDescription>, StoreError> {
    let described = |sale: FlashSale| FlashSaleDescription { id: sale.id, name: sale.name };
    let found = ids.iter().map(|id| Ok(tx.get::<FlashSale>(id)?.map(described)));
    found.filter_map(Result::transpose).collect()
}

/// The order lines of a user's reservations, and the reservations that can no longer be ordered. Reservations that are
/// unknown or of other users are left out.
pub(crate) fn reserved_lines(
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
        if !hold.can_be_ordered(&sale, now) {
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

/// The current terms of a sale that is not over, and its version.
pub(crate) fn terms(tx: &Tx<'_>, id: FlashSaleId) -> Result<(i64, Terms), Error> {
    let sale = listed(tx, id)?;
    if sale.is_over() {
        return Err(reject::sale_ended(sale.status));
    }
    Ok((sale.version, sale.terms(&items(tx, id)?)))
}

/// A running sale and its items.
pub(crate) fn running_sale(tx: &Tx<'_>, id: FlashSaleId) -> Result<(FlashSale, Vec<FlashItem>), Error> {
    let sale = listed(tx, id)?;
    if !sale.is_open() {
        return Err(reject::not_active(sale.status));
    }
    let items = items(tx, id)?;
    Ok((sale, items))
}
