//! Reservations that orders name: claimed while the order is on its way, bought when it is confirmed, given back when it ends.

use promox_contract::ids::{FlashReservationId, FlashSaleId, OrderId};
use promox_contract::promotion::RejectReason;
use promox_kernel::{Error, UserId};
use promox_storage::{StoreError, Tx};

use super::{holds, sales};
use crate::gates::Freed;
use crate::records::{
    FlashHold, FlashItem, FlashPurchase, FlashSale, HoldByOrder, HoldStatus, PurchaseStatus, ReleasedOrder,
};
use crate::reject;

/// Reservations that one order names at most.
const MOST: usize = 1_000;

/// Makes reservations an order's, all or none. Asking again for the same order changes nothing.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    order_id: OrderId,
    user_id: Option<UserId>,
    ids: &[FlashReservationId],
) -> Result<(), Error> {
    let released = tx.get::<ReleasedOrder>(&order_id)?.is_some();
    let mut fresh: Vec<FlashHold> = Vec::with_capacity(ids.len());
    for id in ids {
        let invalid = |reason| reject::invalid(*id, reason);
        let hold = tx.get::<FlashHold>(id)?.filter(|hold| Some(hold.user_id) == user_id);
        let hold = hold.ok_or_else(|| invalid(RejectReason::Unknown))?;
        if hold.order_id == Some(order_id) && matches!(hold.status, HoldStatus::Claimed | HoldStatus::Bought) {
            continue;
        }
        let sale = tx.get::<FlashSale>(&hold.sale_id)?.ok_or(Error::not_found("flash sale"))?;
        if released || !hold.is_good(&sale, tx.now()) {
            return Err(invalid(RejectReason::Expired));
        }
        fresh.push(hold);
    }
    for mut hold in fresh {
        hold.status = HoldStatus::Claimed;
        hold.order_id = Some(order_id);
        hold.live_in = None;
        hold.claimed_in = Some(hold.sale_id);
        tx.put(&hold)?;
    }
    Ok(())
}

fn of_order(tx: &Tx<'_>, order_id: OrderId) -> Result<Vec<FlashHold>, StoreError> {
    tx.scan_by::<HoldByOrder>().prefix(Some(order_id)).collect(MOST)
}

/// Gives back what an order claimed or bought, once; what it claims later is refused.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<Vec<Freed>, Error> {
    let at = tx.now();
    if tx.get::<ReleasedOrder>(&order_id)?.is_none() {
        tx.insert(&ReleasedOrder { order_id, at })?;
    }
    let mut freed = Vec::new();
    for hold in of_order(tx, order_id)? {
        match hold.status {
            HoldStatus::Claimed => freed.extend(unclaim(tx, hold)?),
            HoldStatus::Bought => freed.push(unbuy(tx, hold)?),
            HoldStatus::Held | HoldStatus::Released | HoldStatus::Expired => {}
        }
    }
    Ok(freed)
}

/// A claim without its order: the user's reservation again while its time lasts, else back to the sale.
fn unclaim(tx: &mut Tx<'_>, mut hold: FlashHold) -> Result<Option<Freed>, Error> {
    let sale = tx.get::<FlashSale>(&hold.sale_id)?.ok_or(Error::not_found("flash sale"))?;
    hold.order_id = None;
    if !hold.in_time(&sale, tx.now()) {
        return holds::end(tx, hold, HoldStatus::Released).map(Some);
    }
    hold.status = HoldStatus::Held;
    hold.claimed_in = None;
    hold.live_in = Some(hold.sale_id);
    tx.put(&hold)?;
    Ok(None)
}

/// A purchase without its order: back to the sale, and the inventory is to hear of it.
fn unbuy(tx: &mut Tx<'_>, hold: FlashHold) -> Result<Freed, Error> {
    if let Some(mut purchase) = tx.get::<FlashPurchase>(&hold.id)? {
        purchase.status = PurchaseStatus::Released;
        purchase.released_at = Some(tx.now());
        purchase.due_in = Some(hold.sale_id);
        tx.put(&purchase)?;
    }
    change_sold(tx, &hold, -i64::from(hold.quantity))?;
    holds::end(tx, hold, HoldStatus::Released)
}

fn change_sold(tx: &mut Tx<'_>, hold: &FlashHold, delta: i64) -> Result<FlashItem, Error> {
    let row = tx.get::<FlashItem>(&(hold.sale_id, hold.item))?;
    let mut row = row.ok_or(Error::not_found("item in this sale"))?;
    row.sold += delta;
    tx.put(&row)?;
    Ok(row)
}

/// The order is confirmed: its claims are purchases, and the inventory is to hear of them.
pub(crate) fn buy(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    let claimed = of_order(tx, order_id)?.into_iter().filter(|hold| hold.status == HoldStatus::Claimed);
    for mut hold in claimed {
        let item = change_sold(tx, &hold, i64::from(hold.quantity))?;
        hold.status = HoldStatus::Bought;
        hold.claimed_in = None;
        tx.put(&hold)?;
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
    }
    Ok(())
}

/// The inventory has heard of purchases as they stood; what changed meanwhile stays due.
pub(crate) fn told(
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
    sales::wake(tx, sale_id)
}
