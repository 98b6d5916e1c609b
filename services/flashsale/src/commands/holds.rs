//! Reservations: created, released, expired. An item's row counts the units taken, a user's row those of the user.

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

/// Maximum reservations that one sweep ends.
pub(crate) const SWEEP: usize = 500;

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
    /// Other accounts of the same person, whose units count towards the limit.
    pub(crate) others: Vec<UserId>,
}

/// Reserves units. The decision is made here, whatever the gate let through.
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
    let mut of_others = 0;
    for other in reserver.others.iter().filter(|_| row.per_user_limit.is_some()) {
        of_others += tx.get::<UserCount>(&(sale_id, item, *other))?.map_or(0, |count| count.taken);
    }
    count(tx, &row, user_id, (i64::from(quantity), of_others))?;
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

/// Changes a user's count of an item with a limit, and enforces the limit, to which the person's other accounts count
/// too.
fn count(tx: &mut Tx<'_>, item: &FlashItem, user_id: UserId, (delta, of_others): (i64, i64)) -> Result<(), Error> {
    let Some(limit) = item.per_user_limit else { return Ok(()) };
    let key = (item.sale_id, item.item, user_id);
    let taken = tx.get::<UserCount>(&key)?.map_or(0, |count| count.taken) + delta;
    if delta > 0 && taken + of_others > i64::from(limit) {
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

/// Returns a reservation's units to the sale, which continues if it was sold out.
pub(super) fn free(tx: &mut Tx<'_>, hold: &FlashHold) -> Result<Freed, Error> {
    let (sale_id, quantity) = (hold.sale_id, i64::from(hold.quantity));
    let mut row = tx.get::<FlashItem>(&(sale_id, hold.item))?.ok_or(Error::not_found("item in this sale"))?;
    count(tx, &row, hold.user_id, (-quantity, 0))?;
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

/// Ends reservations that no user or order has any more.
fn end(tx: &mut Tx<'_>, holds: Vec<FlashHold>, step: HoldStep) -> Result<Vec<Freed>, Error> {
    let mut freed = Vec::with_capacity(holds.len());
    for hold in holds {
        hold.advance(tx, step, |tx, hold, _| {
            freed.push(free(tx, hold)?);
            Ok(())
        })?;
    }
    Ok(freed)
}

/// Releases a user's reservation; does nothing if it has ended.
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
        HoldState::Held | HoldState::Posted => Err(reject::ordered()),
        HoldState::Released | HoldState::Expired | HoldState::Reversed => Ok(Vec::new()),
    }
}

/// Ends expired reservations of a sale, or all of them when the sale is over: one bounded batch.
pub(crate) fn expire(tx: &mut Tx<'_>, sale_id: FlashSaleId) -> Result<Vec<Freed>, Error> {
    let sale = tx.get::<FlashSale>(&sale_id)?.ok_or(Error::not_found("flash sale"))?;
    let scan = tx.scan_by::<HoldByLapse>().prefix(Some(sale_id));
    let soon = tx.now() + Duration::from_micros(1);
    let lapsed = if sale.is_over() { scan.collect(SWEEP)? } else { scan.before(soon).collect(SWEEP)? };
    end(tx, lapsed, HoldStep::Expire)
}
