//! Orders' claims on reservations: claimed while the order is in progress, bought when it is confirmed, released when
//! it fails.

use promox_contract::ids::{FlashReservationId, FlashSaleId, OrderId};
use promox_contract::promotion::RejectReason;
use promox_kernel::{Error, UserId};
use promox_storage::{Begin, Hold, HoldState, HoldStep, StoreError, Tx};

use super::{reservations, sales};
use crate::gates::Freed;
use crate::records::{FlashHold, FlashItem, FlashPurchase, FlashSale, PurchaseStatus};
use crate::reject;

/// Claims reservations for an order, all or none. Repeating the claim for the same order changes nothing.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    user_id: Option<UserId>,
    ids: &[FlashReservationId],
) -> Result<(), Error> {
    let begin = FlashHold::begin(tx, &order_id)?;
    if let Begin::Already(_) = begin {
        return Ok(());
    }
    let mut claimed: Vec<FlashHold> = Vec::with_capacity(ids.len());
    for id in ids {
        let invalid = |reason| reject::invalid_reservation(*id, reason);
        let hold = tx.get::<FlashHold>(id)?.filter(|hold| Some(hold.user_id) == user_id);
        let hold = hold.ok_or_else(|| invalid(RejectReason::Unknown))?;
        let sale = sale_of(tx, &hold)?;
        if matches!(begin, Begin::Ended(_)) || !hold.can_be_ordered(&sale, tx.now()) {
            return Err(invalid(RejectReason::Expired));
        }
        claimed.push(hold);
    }
    for mut hold in claimed {
        hold.order_id = Some(order_id);
        hold.live_in = None;
        hold.claimed_in = Some(hold.sale_id);
        tx.put(&hold)?;
    }
    Ok(())
}

fn sale_of(tx: &Tx<'_>, hold: &FlashHold) -> Result<FlashSale, Error> {
    tx.get::<FlashSale>(&hold.sale_id)?.ok_or(Error::not_found("flash sale"))
}

/// Releases an order's claims. Reservations that have not expired return to their user; the units of all others return
/// to the sale.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<Vec<Freed>, Error> {
    for hold in FlashHold::of(tx, &order_id)? {
        return_to_user(tx, hold)?;
    }
    let mut freed = Vec::new();
    FlashHold::release(tx, &order_id, |tx, hold, step| {
        if step == HoldStep::Reverse {
            reverse(tx, hold)?;
        }
        freed.push(reservations::release_units(tx, hold)?);
        Ok(())
    })?;
    Ok(freed)
}

/// Returns a claimed reservation to its user, unless it has expired.
fn return_to_user(tx: &mut Tx<'_>, mut hold: FlashHold) -> Result<(), Error> {
    if hold.state != HoldState::Held || !hold.is_unexpired(&sale_of(tx, &hold)?, tx.now()) {
        return Ok(());
    }
    hold.order_id = None;
    hold.claimed_in = None;
    hold.live_in = Some(hold.sale_id);
    Ok(tx.put(&hold)?)
}

/// Reverses a purchase and marks the reversal to be reported to the inventory.
fn reverse(tx: &mut Tx<'_>, hold: &FlashHold) -> Result<(), Error> {
    if let Some(mut purchase) = tx.get::<FlashPurchase>(&hold.id)? {
        purchase.status = PurchaseStatus::Released;
        purchase.released_at = Some(tx.now());
        purchase.due_in = Some(hold.sale_id);
        tx.put(&purchase)?;
    }
    change_sold(tx, hold, -i64::from(hold.quantity)).map(drop)
}

fn change_sold(tx: &mut Tx<'_>, hold: &FlashHold, delta: i64) -> Result<FlashItem, Error> {
    let row = tx.get::<FlashItem>(&(hold.sale_id, hold.item))?;
    let mut row = row.ok_or(Error::not_found("item in this sale"))?;
    row.sold += delta;
    tx.put(&row)?;
    Ok(row)
}

/// Turns a confirmed order's claims into purchases and marks them to be reported to the inventory.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    FlashHold::post(tx, &order_id, |tx, hold, _| buy(tx, hold, order_id))
}

fn buy(tx: &mut Tx<'_>, hold: &FlashHold, order_id: OrderId) -> Result<(), Error> {
    let item = change_sold(tx, hold, i64::from(hold.quantity))?;
    tx.insert(&FlashPurchase {
        id: hold.id,
        sale_id: hold.sale_id,
        item: hold.item,
        variant_id: item.variant_id,
        sku: item.sku,
        user_id: hold.user_id,
        order_id,
        quantity: hold.quantity,
        unit_price: item.sale_price,
        status: PurchaseStatus::Bought,
        due_in: Some(hold.sale_id),
        bought_at: tx.now(),
        released_at: None,
    })?;
    Ok(())
}

/// Marks purchases as reported with the status that was sent. Those whose status has changed since stay due.
pub(crate) fn mark_reported(
    tx: &mut Tx<'_>,
    sale_id: FlashSaleId,
    purchases: &[(FlashReservationId, PurchaseStatus)],
) -> Result<(), StoreError> {
    for (id, status) in purchases {
        let same = tx.get::<FlashPurchase>(id)?.filter(|purchase| purchase.status == *status);
        if let Some(mut purchase) = same {
            purchase.due_in = None;
            tx.put(&purchase)?;
        }
    }
    sales::schedule_report(tx, sale_id)
}
