//! Holds: taken all or nothing, then confirmed, released, lapsed, or given back after they were confirmed.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::inventory::VariantQuantity;
use promox_contract::product::VariantRef;
use promox_contract::refusal::InsufficientStock;
use promox_kernel::{Error, Json, Timestamp};
use promox_storage::{StoreError, Tx};

use super::Book;
use super::book::Cause;
use crate::queries;
use crate::records::{
    AsideSale, HeldLine, MovementKind, Reservation, ReservationByLapse, ReservationByReference,
    ReservationStatus as Status, Restocked,
};
use crate::reject;
use crate::rules::{self, MAIN};

/// Reservations that one sweep ends at most, and the lines after which it stops.
const SWEEP: usize = 200;
const SWEEP_LINES: usize = 2_000;

/// The reference of an order's hold.
pub(crate) fn order_reference(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// Holds for an order, pinned. A hold that is there is answered again; one that has ended is not revived.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, items: &[VariantQuantity]) -> Result<Reservation, Error> {
    let reference = order_reference(order_id);
    match tx.get_by::<ReservationByReference>(&reference)? {
        Some(known) if matches!(known.status, Status::Held | Status::Confirmed) => Ok(known),
        Some(ended) => Err(reject::ended(ended.status)),
        None => take(tx, reference, items, None),
    }
}

/// Reserves for a while. The same reference with the same items is the same reservation, whatever became of it.
pub(crate) fn reserve(
    tx: &mut Tx<'_>,
    reference: &str,
    items: &[VariantQuantity],
    ttl: Duration,
) -> Result<Reservation, Error> {
    match tx.get_by::<ReservationByReference>(reference)? {
        Some(known) if rules::same_items(&known.lines, items) => Ok(known),
        Some(other) => Err(reject::reference_taken(other.id)),
        None => take(tx, reference.to_owned(), items, Some(tx.now() + ttl)),
    }
}

pub(crate) fn take(
    tx: &mut Tx<'_>,
    reference: String,
    items: &[VariantQuantity],
    expires_at: Option<Timestamp>,
) -> Result<Reservation, Error> {
    let mut book = Book::default();
    let (mut lines, mut short) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let stock = book.find(tx, item.variant_id)?;
        let available = stock.as_ref().map_or(0, |stock| stock.sellable());
        match stock.and_then(|stock| stock.take(item.quantity)) {
            Some(line) => lines.push(line),
            None => short.push(rules::short(item, available)),
        }
    }
    if !short.is_empty() {
        return Err(InsufficientStock { items: short }.into());
    }
    book.close(tx)?;
    let reservation = Reservation {
        id: tx.next_id::<Reservation>()?,
        reference,
        status: Status::Held,
        lines: Json(lines),
        lapses_at: expires_at,
        expires_at,
        created_at: tx.now(),
        ended_at: None,
    };
    tx.insert(&reservation)?;
    Ok(reservation)
}

/// Ends a hold: it lapses no more.
pub(crate) fn end(tx: &mut Tx<'_>, mut reservation: Reservation, status: Status) -> Result<Reservation, StoreError> {
    reservation.status = status;
    reservation.lapses_at = None;
    reservation.ended_at = Some(tx.now());
    tx.put(&reservation)?;
    Ok(reservation)
}

/// The goods leave: on hand and reserved go down together.
fn post(tx: &mut Tx<'_>, book: &mut Book, held: Reservation) -> Result<Reservation, StoreError> {
    let cause = Cause { kind: MovementKind::Sale, reason: None, reference: Some(&held.reference) };
    for line in held.lines.iter() {
        post_line(tx, book, line, cause)?;
    }
    end(tx, held, Status::Confirmed)
}

/// A line's goods leave.
pub(crate) fn post_line(tx: &mut Tx<'_>, book: &mut Book, line: &HeldLine, cause: Cause<'_>) -> Result<(), StoreError> {
    for taken in line.taken() {
        let quantity = i64::from(taken.quantity);
        book.open(tx, line.variant_id)?.change(&taken.location, 0, -quantity);
        book.enter(tx, line.variant_id, (&taken.location, -quantity), cause)?;
    }
    Ok(())
}

/// The promise ends: the goods can be sold again.
fn unhold(tx: &mut Tx<'_>, book: &mut Book, held: Reservation, status: Status) -> Result<Reservation, StoreError> {
    for line in held.lines.iter() {
        unhold_line(tx, book, line)?;
    }
    end(tx, held, status)
}

/// A line's goods can be sold again.
pub(crate) fn unhold_line(tx: &mut Tx<'_>, book: &mut Book, line: &HeldLine) -> Result<(), StoreError> {
    let stock = book.open(tx, line.variant_id)?;
    for taken in line.taken() {
        stock.change(&taken.location, 0, -i64::from(taken.quantity));
    }
    Ok(())
}

/// Confirms an order's hold because the order is. One that was confirmed or ended before stays as it is.
pub(crate) fn post_order(tx: &mut Tx<'_>, book: &mut Book, order_id: OrderId) -> Result<(), StoreError> {
    match tx.get_by::<ReservationByReference>(order_reference(order_id))? {
        Some(held) if held.status == Status::Held => post(tx, book, held).map(drop),
        _ => Ok(()),
    }
}

/// A caller's own reservation: an order's is not theirs to end.
fn own(tx: &Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = tx.get::<Reservation>(&id)?.ok_or(Error::not_found("reservation"))?;
    if known.expires_at.is_none() { Err(reject::pinned()) } else { Ok(known) }
}

/// Confirms a reservation in time. Asking again changes nothing.
pub(crate) fn confirm(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = own(tx, id)?;
    match (known.status, known.lapses_at) {
        (Status::Confirmed, _) => Ok(known),
        (Status::Held, Some(at)) if at <= tx.now() => Err(reject::lapsed(at)),
        (Status::Held, _) => {
            let mut book = Book::default();
            let confirmed = post(tx, &mut book, known)?;
            book.close(tx)?;
            Ok(confirmed)
        }
        (status, _) => Err(reject::ended(status)),
    }
}

/// Releases a reservation. Asking again, or after it lapsed, changes nothing.
pub(crate) fn release(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = own(tx, id)?;
    match known.status {
        Status::Held => {
            let mut book = Book::default();
            let released = unhold(tx, &mut book, known, Status::Released)?;
            book.close(tx)?;
            Ok(released)
        }
        Status::Released | Status::Expired => Ok(known),
        status => Err(reject::ended(status)),
    }
}

/// Ends reservations whose time has come, one bounded batch; whether there may be more.
pub(crate) fn expire(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let soon = Some(tx.now() + Duration::from_micros(1));
    let lapsed = tx.scan_by::<ReservationByLapse>().before(soon).collect(SWEEP)?;
    let mut book = Book::default();
    let (mut lines, found) = (0, lapsed.len());
    let mut ended = 0;
    for held in lapsed {
        lines += held.lines.len();
        if ended > 0 && lines > SWEEP_LINES {
            break;
        }
        ended += 1;
        unhold(tx, &mut book, held, Status::Expired)?;
    }
    book.close(tx)?;
    Ok(ended < found || found == SWEEP)
}

/// Gives back what an order held or bought. Without a hold, it notes that a late one must not be taken.
pub(crate) fn give_back(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    let reference = order_reference(order_id);
    let Some(known) = tx.get_by::<ReservationByReference>(&reference)? else { return refuse_late(tx, reference) };
    let mut book = Book::default();
    match known.status {
        Status::Held => drop(unhold(tx, &mut book, known, Status::Released)?),
        Status::Confirmed => unsell(tx, &mut book, known)?,
        Status::Released | Status::Expired | Status::Returned => return Ok(()),
    }
    Ok(book.close(tx)?)
}

/// Notes that a hold of this reference must not be taken any more.
pub(crate) fn refuse_late(tx: &mut Tx<'_>, reference: String) -> Result<(), Error> {
    let (id, now) = (tx.next_id::<Reservation>()?, tx.now());
    let ended = Reservation {
        id,
        reference,
        status: Status::Released,
        lines: Json(Vec::new()),
        lapses_at: None,
        expires_at: None,
        created_at: now,
        ended_at: Some(now),
    };
    Ok(tx.insert(&ended)?)
}

/// A sale that is undone: everything still out goes back to where it was.
fn unsell(tx: &mut Tx<'_>, book: &mut Book, mut sold: Reservation) -> Result<(), StoreError> {
    let cause = Cause { kind: MovementKind::Cancel, reason: None, reference: Some(&sold.reference) };
    for line in &mut sold.lines.0 {
        for back in line.take_back(u32::MAX) {
            book.enter(tx, line.variant_id, (&back.location, i64::from(back.quantity)), cause)?;
        }
    }
    end(tx, sold, Status::Returned).map(drop)
}

/// Puts returned pieces back, once a reference. An order that held nothing here returns to `MAIN`, where what was never counted
/// begins with them; `variants` says what the items are.
pub(crate) fn restock(
    tx: &mut Tx<'_>,
    reference: &str,
    order_id: OrderId,
    items: &[VariantQuantity],
    variants: &[VariantRef],
) -> Result<(), Error> {
    if tx.get::<Restocked>(&reference.to_owned())?.is_some() {
        return Ok(());
    }
    let mut book = Book::default();
    let cause = Cause { kind: MovementKind::Return, reason: None, reference: Some(reference) };
    let held = tx.get_by::<ReservationByReference>(order_reference(order_id))?;
    let aside = queries::sales_of(tx, order_id)?;
    if held.is_none() && aside.is_empty() {
        for item in items {
            if let Some(of) = variants.iter().find(|of| of.variant_id == item.variant_id) {
                book.begin(tx, of)?;
            }
            book.enter(tx, item.variant_id, (MAIN, i64::from(item.quantity)), cause)?;
        }
    } else {
        restock_sold(tx, &mut book, (held, aside), items, cause)?;
    }
    book.close(tx)?;
    tx.insert(&Restocked { reference: reference.to_owned(), order_id: order_id.0, at: tx.now() })?;
    Ok(())
}

/// What an order bought comes back to where it was: what it held itself first, then what was set aside for it.
fn restock_sold(
    tx: &mut Tx<'_>,
    book: &mut Book,
    (held, mut aside): (Option<Reservation>, Vec<AsideSale>),
    items: &[VariantQuantity],
    cause: Cause<'_>,
) -> Result<(), Error> {
    let mut held = held.map(|held| posted(tx, book, held)).transpose()?;
    for item in items {
        let mut left = item.quantity;
        let own = held.iter_mut().flat_map(|held| &mut held.lines.0);
        let lines = own.chain(aside.iter_mut().flat_map(|sale| &mut sale.lines.0));
        for line in lines.filter(|line| line.variant_id == item.variant_id) {
            for back in line.take_back(left) {
                left -= back.quantity;
                book.enter(tx, line.variant_id, (&back.location, i64::from(back.quantity)), cause)?;
            }
        }
        if left > 0 {
            return Err(reject::not_sold(item.sku.clone(), item.quantity - left));
        }
    }
    held.iter().try_for_each(|held| tx.put(held))?;
    Ok(aside.iter().try_for_each(|sale| tx.put(sale))?)
}

/// An order's hold once its goods have left: the return may overtake the event that confirms it.
fn posted(tx: &mut Tx<'_>, book: &mut Book, held: Reservation) -> Result<Reservation, Error> {
    match held.status {
        Status::Held => Ok(post(tx, book, held)?),
        Status::Confirmed => Ok(held),
        status => Err(reject::ended(status)),
    }
}
