//! Creates, releases and expires reservations. An item's row counts all units taken, a user's row those of the user.

use std::time::Duration;

use promox_contract::flashsale::{FlashSaleFact, FlashSaleSoldOut};
use promox_contract::ids::{FlashReservationId, FlashSaleId};
use promox_kernel::{Amount, Error, Timestamp, UserId};
use promox_storage::{Hold, HoldState, HoldStep, StoreError, Tx};

use super::sales;
use crate::gates::Freed;
use crate::queries;
use crate::records::{FlashHold, FlashItem, FlashSale, HoldByLapse, SaleStatus, UserCount};
use crate::reject;

/// Maximum reservations that one sweep expires.
pub(crate) const MAX_SWEEP: usize = 500;

/// A new reservation.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) id: FlashReservationId,
    pub(crate) unit_price: Amount,
    pub(crate) expires_at: Timestamp,
}

/// The user who reserves.
#[derive(Clone, Debug)]
pub(crate) struct Reserver {
    pub(crate) user_id: UserId,
    /// Other accounts of the same person, whose units also count towards the limit.
    pub(crate) others: Vec<UserId>,
}

/// Reserves units of an item. The decision is made here, from the rows; the gate only filters requests beforehand.
pub(crate) fn reserve(
    tx: &mut Tx<'_>,
    sale_id: FlashSaleId,
    item: u32,
    reserver: &Reserver,
    quantity: u32,
) -> Result<Reserved, Error> {
    let user_id = reserver.user_id;
    let now = tx.now();
    let sale = tx.get::<FlashSale>(&sale_id)?.ok_or(Error::not_found("flash sale"))?;
    if !sale.sells_at(now) {
        return Err(reject::not_active(sale.status));
    }
    let mut row = tx.get::<FlashItem>(&(sale_id, item))?.ok_or(Error::not_found("item in this sale"))?;
    if row.left() < i64::from(quantity) {
        return Err(reject::sold_out(row.left()));
    }
    let mut taken_by_others = 0;
    for other in reserver.others.iter().filter(|_| row.per_user_limit.is_some()) {
        taken_by_others += tx.get::<UserCount>(&(sale_id, item, *other))?.map_or(0, |count| count.taken);
    }
    change_user_count(tx, &row, user_id, (i64::from(quantity), taken_by_others))?;
    row.taken += i64::from(quantity);
    tx.put(&row)?;
    let id = FlashReservationId(tx.next_id::<FlashHold>()?);
    let expires_at = (now + Duration::from_secs(sale.ttl_seconds.into())).min(sale.ends_at);
    tx.insert(&FlashHold {
        id,
        sale_id,
        item,
        user_id,
        quantity,
        state: HoldState::Held,
        order_id: None,
        live_in: Some(sale_id),
        claimed_in: None,
        expires_at,
        created_at: now,
    })?;
    if row.left() == 0 {
        sell_out(tx, sale)?;
    }
    Ok(Reserved { id, unit_price: row.sale_price, expires_at })
}

/// Changes a user's count of an item with a limit by `delta` and enforces the limit, which includes the units taken by
/// the person's other accounts.
fn change_user_count(
    tx: &mut Tx<'_>,
    item: &FlashItem,
    user_id: UserId,
    (delta, taken_by_others): (i64, i64),
) -> Result<(), Error> {
    let Some(limit) = item.per_user_limit else { return Ok(()) };
    let key = (item.sale_id, item.item, user_id);
    let taken = tx.get::<UserCount>(&key)?.map_or(0, |count| count.taken) + delta;
    if delta > 0 && taken + taken_by_others > i64::from(limit) {
        return Err(reject::limit_reached(limit));
    }
    if taken > 0 {
        tx.put(&UserCount { sale_id: item.sale_id, item: item.item, user_id, taken })?;
    } else {
        tx.delete::<UserCount>(&key)?;
    }
    Ok(())
}

/// Marks a sale as sold out when no item has units left.
fn sell_out(tx: &mut Tx<'_>, mut sale: FlashSale) -> Result<(), StoreError> {
    if queries::items(tx, sale.id)?.iter().any(|item| item.left() > 0) {
        return Ok(());
    }
    sale.status = SaleStatus::SoldOut;
    sale.version += 1;
    sale.updated_at = tx.now();
    tx.put(&sale)?;
    tx.emit(sale.id, &FlashSaleSoldOut(FlashSaleFact { flash_sale_id: sale.id }))
}

/// Releases a reservation's units to the sale. A sold-out sale becomes active again.
pub(super) fn release_units(tx: &mut Tx<'_>, hold: &FlashHold) -> Result<Freed, Error> {
    let (sale_id, quantity) = (hold.sale_id, i64::from(hold.quantity));
    let mut row = tx.get::<FlashItem>(&(sale_id, hold.item))?.ok_or(Error::not_found("item in this sale"))?;
    change_user_count(tx, &row, hold.user_id, (-quantity, 0))?;
    row.taken -= quantity;
    tx.put(&row)?;
    let sale = tx.get::<FlashSale>(&sale_id)?;
    if let Some(mut sale) = sale.filter(|sale| sale.status == SaleStatus::SoldOut) {
        sale.status = SaleStatus::Active;
        sale.version += 1;
        sale.updated_at = tx.now();
        tx.put(&sale)?;
    }
    sales::schedule_report(tx, sale_id)?;
    Ok(Freed { group: sale_id, gate: hold.item, user: hold.user_id, quantity: hold.quantity })
}

/// Ends reservations and releases their units.
fn end(tx: &mut Tx<'_>, holds: Vec<FlashHold>, step: HoldStep) -> Result<Vec<Freed>, Error> {
    let mut freed = Vec::with_capacity(holds.len());
    for hold in holds {
        hold.advance(tx, step, |tx, hold, _| {
            freed.push(release_units(tx, hold)?);
            Ok(())
        })?;
    }
    Ok(freed)
}

/// Releases a user's reservation. Does nothing if it has already ended; refuses if an order claimed it.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    sale_id: FlashSaleId,
    id: FlashReservationId,
    user_id: UserId,
) -> Result<Vec<Freed>, Error> {
    let hold = tx.get::<FlashHold>(&id)?.filter(|hold| hold.sale_id == sale_id && hold.user_id == user_id);
    let hold = hold.ok_or(Error::not_found("reservation"))?;
    match hold.state {
        HoldState::Held if hold.order_id.is_none() => end(tx, vec![hold], HoldStep::Release),
        HoldState::Held | HoldState::Posted => Err(reject::reservation_ordered()),
        HoldState::Released | HoldState::Expired | HoldState::Reversed => Ok(Vec::new()),
    }
}

/// Expires a bounded batch of a sale's reservations: those past their time, or all if the sale is over.
pub(crate) fn expire(tx: &mut Tx<'_>, sale_id: FlashSaleId) -> Result<Vec<Freed>, Error> {
    let sale = tx.get::<FlashSale>(&sale_id)?.ok_or(Error::not_found("flash sale"))?;
    let scan = tx.scan_by::<HoldByLapse>().prefix(Some(sale_id));
    let soon = tx.now() + Duration::from_micros(1);
    let expired = if sale.is_over() { scan.collect(MAX_SWEEP)? } else { scan.before(soon).collect(MAX_SWEEP)? };
    end(tx, expired, HoldStep::Expire)
}
