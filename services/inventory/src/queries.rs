//! Queries: stock, movements, available units, reservations, purchases from allocations.

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

/// The maximum number of purchases that one order makes from allocations.
const MAX_PURCHASES: usize = 1_000;

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
            .map(|location| LocationView {
                location: location.name,
                on_hand: location.on_hand,
                reserved: location.reserved,
            })
            .collect(),
        variant_id: stock.variant_id,
        product_id: stock.product_id,
        sku: stock.sku,
        version: stock.version,
        updated_at: stock.updated_at,
    }
}

/// Returns the stock of a variant, with the variant's current SKU.
pub(crate) fn stock(tx: &Tx<'_>, of: VariantRef) -> Result<StockView, Error> {
    let stock = tx.get::<Stock>(&of.variant_id)?.ok_or_else(|| Error::not_found("SKU in stock"))?;
    Ok(stock_view(Stock { sku: of.sku, ..stock }))
}

/// Returns a page of stock, ordered by SKU. Low stock has its own index, which is also ordered by SKU.
pub(crate) fn list(tx: &Tx<'_>, op: ListStock) -> Result<Page<StockView>, Error> {
    let prefix = op.q.unwrap_or_default().trim().to_lowercase();
    let page = if op.low_stock == Some(true) {
        tx.scan_by::<StockByLow>().prefix(Some(true)).text_prefix(&prefix).page(op.limit, op.cursor)?
    } else {
        let any = op.low_stock.is_none();
        let scan = tx.scan_by::<StockBySku>().text_prefix(&prefix);
        scan.page_of(op.limit, op.cursor, |stock| any || stock.low.is_none())?
    };
    Ok(page.map(stock_view))
}

/// Returns a page of a variant's movements, newest first.
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

/// Returns the units of each variant that can be sold, in the order of the request.
pub(crate) fn available(tx: &Tx<'_>, variants: &[VariantId]) -> Result<Availability, StoreError> {
    let sellable = |id| Ok(tx.get::<Stock>(id)?.as_ref().map_or(0, Stock::sellable));
    Ok(Availability { available: variants.iter().map(sellable).collect::<Result<_, StoreError>>()? })
}

/// Returns the view of a reservation at `now`. A reservation that has expired is shown as EXPIRED even before the job
/// ends it.
pub(crate) fn reservation_view(
    tx: &Tx<'_>,
    reservation: Reservation,
    now: Timestamp,
) -> Result<ReservationView, StoreError> {
    let expired_at = reservation.lapses_at.filter(|at| *at <= now);
    let mut items = Vec::with_capacity(reservation.lines.len());
    for line in reservation.lines.iter() {
        if let Some(stock) = tx.get::<Stock>(&line.variant_id)? {
            items.push(SkuQuantity { sku: stock.sku, quantity: line.quantity });
        }
    }
    Ok(ReservationView {
        id: ReservationId(reservation.id),
        items,
        reference: reservation.reference,
        status: if expired_at.is_some() {
            ReservationStatus::Expired
        } else {
            ReservationStatus::of(reservation.state)
        },
        expires_at: reservation.expires_at,
        created_at: reservation.created_at,
        ended_at: reservation.ended_at.or(expired_at),
    })
}

/// Returns a reservation.
pub(crate) fn reservation(tx: &Tx<'_>, id: ReservationId, now: Timestamp) -> Result<ReservationView, Error> {
    let found = tx.get::<Reservation>(&id.0)?.ok_or_else(|| Error::not_found("reservation"))?;
    Ok(reservation_view(tx, found, now)?)
}

/// Returns whether any reservation has expired but has not been ended yet.
pub(crate) fn has_expired(tx: &Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let soonest = tx.scan_by::<ReservationByLapse>().first()?;
    Ok(soonest.and_then(|reservation| reservation.lapses_at).is_some_and(|at| at <= now))
}

/// Returns an order's purchases from allocations, except for those that were reversed.
pub(crate) fn purchases_of(tx: &Tx<'_>, order_id: OrderId) -> Result<Vec<AllocationPurchase>, StoreError> {
    let mut purchases = tx.scan_by::<AllocationPurchaseByOrder>().prefix(order_id).collect(MAX_PURCHASES)?;
    purchases.retain(|purchase| purchase.state.is_live());
    Ok(purchases)
}
