//! Reads: a SKU's stock, pages of stock and movements, what can be sold, a reservation.

use promox_contract::ids::{OrderId, ReservationId, VariantId};
use promox_contract::inventory::{Availability, SkuQuantity};
use promox_contract::product::VariantRef;
use promox_kernel::{Error, Page, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::api::{ListMovements, ListStock, LocationView, MovementView, ReservationStatus, ReservationView, StockView};
use crate::records::{
    AllocationPurchase, AllocationPurchaseByOrder, Movement, Reservation, ReservationByLapse, Stock, StockByLow,
    StockBySku,
};

/// Maximum purchases of one order from allocations.
const MAX_SALES: usize = 1_000;

pub(crate) fn stock_view(stock: Stock) -> StockView {
    StockView {
        on_hand: stock.on_hand,
        reserved: stock.reserved,
        available: stock.available(),
        low_stock_threshold: stock.threshold,
        backorder: stock.backorder,
        locations: stock
            .locations()
            .into_iter()
            .map(|place| LocationView { location: place.name, on_hand: place.on_hand, reserved: place.reserved })
            .collect(),
        variant_id: stock.variant_id,
        product_id: stock.product_id,
        sku: stock.sku,
        version: stock.version,
        updated_at: stock.updated_at,
    }
}

/// One variant's stock.
pub(crate) fn stock(tx: &Tx<'_>, of: VariantRef) -> Result<StockView, Error> {
    let stock = tx.get::<Stock>(&of.variant_id)?.ok_or_else(|| Error::not_found("SKU in stock"))?;
    Ok(stock_view(Stock { sku: of.sku, ..stock }))
}

/// A page of stock, by the SKUs in the rows. Low stock has an index of its own, also ordered by SKU.
pub(crate) fn list(tx: &Tx<'_>, op: ListStock) -> Result<Page<StockView>, Error> {
    let begins = op.q.unwrap_or_default().trim().to_lowercase();
    let page = if op.low_stock == Some(true) {
        tx.scan_by::<StockByLow>().prefix(Some(true)).text_prefix(&begins).page(op.limit, op.cursor)?
    } else {
        let any = op.low_stock.is_none();
        let scan = tx.scan_by::<StockBySku>().text_prefix(&begins);
        scan.page_of(op.limit, op.cursor, |stock| any || stock.low.is_none())?
    };
    Ok(page.map(stock_view))
}

/// A variant's movements, newest first.
pub(crate) fn movements(tx: &Tx<'_>, id: VariantId, op: ListMovements) -> Result<Page<MovementView>, Error> {
    if tx.get::<Stock>(&id)?.is_none() {
        return Err(Error::not_found("SKU in stock"));
    }
    let page = tx.scan::<Movement>().prefix(id).backward().page(op.limit, op.cursor)?;
    Ok(page.map(|movement| MovementView {
        id: movement.number,
        kind: movement.kind,
        delta: movement.delta,
        on_hand: movement.on_hand,
        location: movement.location,
        reason: movement.reason,
        reference: movement.reference,
        at: movement.at,
    }))
}

/// The available units of each variant, in the order of the request.
pub(crate) fn available(tx: &Tx<'_>, variants: &[VariantId]) -> Result<Availability, StoreError> {
    let sellable = |id| Ok(tx.get::<Stock>(id)?.as_ref().map_or(0, Stock::sellable));
    Ok(Availability { available: variants.iter().map(sellable).collect::<Result<_, StoreError>>()? })
}

/// A reservation at `now`: one that has expired and was not swept yet reads as EXPIRED.
pub(crate) fn reservation_view(tx: &Tx<'_>, it: Reservation, now: Timestamp) -> Result<ReservationView, StoreError> {
    let lapsed = it.lapses_at.filter(|at| *at <= now);
    let mut items = Vec::with_capacity(it.lines.len());
    for line in it.lines.iter() {
        if let Some(stock) = tx.get::<Stock>(&line.variant_id)? {
            items.push(SkuQuantity { sku: stock.sku, quantity: line.quantity });
        }
    }
    Ok(ReservationView {
        id: ReservationId(it.id),
        items,
        reference: it.reference,
        status: if lapsed.is_some() { ReservationStatus::Expired } else { ReservationStatus::of(it.state) },
        expires_at: it.expires_at,
        created_at: it.created_at,
        ended_at: it.ended_at.or(lapsed),
    })
}

/// One reservation.
pub(crate) fn reservation(tx: &Tx<'_>, id: ReservationId, now: Timestamp) -> Result<ReservationView, Error> {
    let found = tx.get::<Reservation>(&id.0)?.ok_or_else(|| Error::not_found("reservation"))?;
    Ok(reservation_view(tx, found, now)?)
}

/// Whether a reservation waits to be swept.
pub(crate) fn has_lapsed(tx: &Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let soonest = tx.scan_by::<ReservationByLapse>().first()?;
    Ok(soonest.and_then(|reservation| reservation.lapses_at).is_some_and(|at| at <= now))
}

/// An order's purchases from allocations that were not undone.
pub(crate) fn sales_of(tx: &Tx<'_>, order_id: OrderId) -> Result<Vec<AllocationPurchase>, StoreError> {
    let mut sales = tx.scan_by::<AllocationPurchaseByOrder>().prefix(order_id).collect(MAX_SALES)?;
    sales.retain(|sale| sale.state.is_live());
    Ok(sales)
}
