//! Commands on allocations: stock that is held for a flash sale. Purchases reduce the hold, and it ends with the sale.

use promox_contract::inventory::{AllocationSale, VariantQuantity};
use promox_contract::refusal::Short;
use promox_kernel::{Error, Json};
use promox_storage::{Begin, Hold, HoldState, StoreError, Tx};

use super::Book;
use super::book::Cause;
use super::holds::{self, order_reference};
use crate::records::{AllocationPurchase, HeldLine, MovementKind, Reservation, ReservationByReference};
use crate::reject;
use crate::rules;

/// Returns the active allocation with this reference, if there is one.
fn find_active(tx: &Tx<'_>, reference: &str) -> Result<Option<Reservation>, StoreError> {
    let known = tx.get_by::<ReservationByReference>(reference)?;
    Ok(known.filter(|held| held.state == HoldState::Held))
}

/// Returns the allocation with this reference. It must be active.
fn require_active(tx: &Tx<'_>, reference: &str) -> Result<Reservation, Error> {
    let held = tx.get_by::<ReservationByReference>(reference)?.ok_or(Error::not_found("allocation"))?;
    if held.state == HoldState::Held { Ok(held) } else { Err(reject::ended(held.state)) }
}

/// Sets the allocation to exactly these quantities: missing units are reserved and surplus units are released,
/// including all units of variants that are not listed. Changes all of it or nothing.
pub(crate) fn change(tx: &mut Tx<'_>, reference: &str, items: &[VariantQuantity]) -> Result<(), Error> {
    let mut held = require_active(tx, reference)?;
    let mut book = Book::default();
    for line in &mut held.lines.0 {
        let surplus = line.quantity.saturating_sub(target_quantity(items, line));
        if let Some(released) = line.split(surplus) {
            holds::release_line(tx, &mut book, &released)?;
        }
    }
    held.lines.0.retain(|line| line.quantity > 0);
    let mut short = Vec::new();
    for item in items {
        short.extend(grow(tx, &mut book, &mut held.lines.0, item)?);
    }
    if !short.is_empty() {
        return Err(reject::insufficient_stock(short));
    }
    tx.put(&held)?;
    Ok(book.close(tx)?)
}

/// Returns the quantity that the items give for the variant of a line; 0 if it is not listed.
fn target_quantity(items: &[VariantQuantity], line: &HeldLine) -> u32 {
    items.iter().find(|item| item.variant_id == line.variant_id).map_or(0, |item| item.quantity)
}

/// Reserves the units that a line lacks. Returns the shortage if there are too few.
fn grow(
    tx: &mut Tx<'_>,
    book: &mut Book,
    lines: &mut Vec<HeldLine>,
    item: &VariantQuantity,
) -> Result<Option<Short>, StoreError> {
    let line = lines.iter_mut().find(|line| line.variant_id == item.variant_id);
    let allocated = line.as_ref().map_or(0, |line| line.quantity);
    let missing = item.quantity.saturating_sub(allocated);
    if missing == 0 {
        return Ok(None);
    }
    let stock = book.find(tx, item.variant_id)?;
    let available = stock.as_ref().map_or(0, |stock| stock.sellable()).saturating_add(allocated);
    let Some(added) = stock.and_then(|stock| stock.take(missing)) else {
        return Ok(Some(rules::shortage(item, available)));
    };
    match line {
        Some(line) => added.taken().into_iter().for_each(|taken| line.join(taken)),
        None => lines.push(added),
    }
    Ok(None)
}

/// Sells allocated units, once per reference: the units on hand and the units reserved decrease together.
pub(crate) fn sell(tx: &mut Tx<'_>, reference: &str, sales: &[AllocationSale]) -> Result<(), Error> {
    let mut new_sales = Vec::new();
    for sale in sales {
        if let Begin::New = AllocationPurchase::begin(tx, &sale.reference)? {
            new_sales.push(sale);
        }
    }
    if new_sales.is_empty() {
        return Ok(());
    }
    let mut held = require_active(tx, reference)?;
    let mut book = Book::default();
    for sale in new_sales {
        sell_one(tx, &mut book, &mut held, sale)?;
    }
    tx.put(&held)?;
    Ok(book.close(tx)?)
}

fn sell_one(tx: &mut Tx<'_>, book: &mut Book, held: &mut Reservation, sale: &AllocationSale) -> Result<(), Error> {
    let order = order_reference(sale.order_id);
    let cause = Cause { kind: MovementKind::Sale, reason: None, reference: Some(&order) };
    let mut lines = Vec::with_capacity(sale.items.len());
    for item in &sale.items {
        let line = held.lines.0.iter_mut().find(|line| line.variant_id == item.variant_id);
        let left = line.as_ref().map_or(0, |line| line.quantity);
        let sold = line.and_then(|line| line.split(item.quantity));
        let sold = sold.ok_or_else(|| reject::not_allocated(item.sku.clone(), left))?;
        holds::post_line(tx, book, &sold, cause)?;
        lines.push(sold);
    }
    let (reference, order_id, at) = (sale.reference.clone(), sale.order_id, tx.now());
    Ok(tx.insert(&AllocationPurchase { reference, order_id, lines: Json(lines), state: HoldState::Posted, at })?)
}

/// Reverses a purchase: its units, except for those already returned, go to the allocation while it is active,
/// otherwise to the stock. For an unknown purchase it stores a tombstone, so that the purchase is refused if it arrives
/// later.
pub(crate) fn return_sold(tx: &mut Tx<'_>, allocation: &str, reference: &str) -> Result<(), Error> {
    let mut book = Book::default();
    AllocationPurchase::release(tx, &reference.to_owned(), |tx, purchase, _| {
        return_units(tx, &mut book, allocation, purchase)
    })?;
    Ok(book.close(tx)?)
}

fn return_units(
    tx: &mut Tx<'_>,
    book: &mut Book,
    allocation: &str,
    purchase: &mut AllocationPurchase,
) -> Result<(), Error> {
    let order = order_reference(purchase.order_id);
    let cause = Cause { kind: MovementKind::Cancel, reason: None, reference: Some(&order) };
    let mut held = find_active(tx, allocation)?;
    for line in &mut purchase.lines.0 {
        let mut allocated =
            held.as_mut().and_then(|held| held.lines.0.iter_mut().find(|item| item.variant_id == line.variant_id));
        for returned in line.restock(u32::MAX) {
            let quantity = i64::from(returned.quantity);
            book.record_movement(tx, line.variant_id, (&returned.location, quantity), cause)?;
            if let Some(allocated) = &mut allocated {
                book.open(tx, line.variant_id)?.change(&returned.location, 0, quantity);
                allocated.join(returned);
            }
        }
    }
    Ok(held.iter().try_for_each(|held| tx.put(held))?)
}

/// Releases an allocation except for the units in `keep`. If no units are kept, the allocation ends.
pub(crate) fn end(tx: &mut Tx<'_>, reference: &str, keep: &[VariantQuantity]) -> Result<(), Error> {
    let mut book = Book::default();
    if let Some(mut held) = find_active(tx, reference)? {
        for line in &mut held.lines.0 {
            let surplus = line.quantity.saturating_sub(target_quantity(keep, line));
            if let Some(released) = line.split(surplus) {
                holds::release_line(tx, &mut book, &released)?;
            }
        }
        tx.put(&held)?;
        if held.lines.iter().any(|line| line.quantity > 0) {
            return Ok(book.close(tx)?);
        }
    }
    holds::release_all(tx, reference, book)
}
