//! Commands on holds of stock: created for all items or none, then posted, released, expired or reversed.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::ids::OrderId;
use promox_contract::inventory::{Restock, VariantQuantity};
use promox_contract::product::VariantRef;
use promox_kernel::{Error, Json, Timestamp};
use promox_storage::{Begin, Hold, HoldState, HoldStep, StoreError, Tx};

use super::Book;
use super::book::Cause;
use crate::api::{ReservationStatus, ReservationView};
use crate::records::{
    AllocationPurchase, HeldLine, MovementKind, Reservation, ReservationByLapse, ReservationByReference, Restocked,
};
use crate::rules::{self, MAIN};
use crate::{queries, reject};

/// The maximum number of reservations that one sweep expires.
const MAX_SWEPT: usize = 200;

/// The maximum number of lines of the reservations that one sweep expires, unless a single one has more.
const MAX_SWEPT_LINES: usize = 2_000;

/// Returns the reference of an order's hold.
pub(crate) fn order_reference(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// Holds stock for an order or a flash sale, without expiry. Repeating it changes nothing. Refused if the hold has
/// ended.
pub(crate) fn hold(tx: &mut Tx<'_>, reference: String, items: &[VariantQuantity]) -> Result<(), Error> {
    match Reservation::begin(tx, &reference)? {
        Begin::New => create(tx, reference, items, None).map(drop),
        Begin::Already(_) => Ok(()),
        Begin::Ended(state) => Err(reject::ended(state)),
    }
}

/// Reserves stock for a limited time. The same reference with the same items returns the same reservation, whatever its
/// state.
pub(crate) fn reserve(
    tx: &mut Tx<'_>,
    reference: &str,
    items: &[VariantQuantity],
    ttl: Duration,
) -> Result<Reservation, Error> {
    match tx.get_by::<ReservationByReference>(reference)? {
        Some(known) if rules::same_items(&known.lines, items) => Ok(known),
        Some(other) => Err(reject::reference_taken(other.id)),
        None => create(tx, reference.to_owned(), items, Some(tx.now() + ttl)),
    }
}

/// Reserves the units of all items and stores the hold, or refuses with every SKU that is short.
fn create(
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
            None => short.push(rules::shortage(item, available)),
        }
    }
    if !short.is_empty() {
        return Err(reject::insufficient_stock(short));
    }
    book.close(tx)?;
    let reservation = Reservation {
        id: tx.next_id::<Reservation>()?,
        reference,
        state: HoldState::Held,
        lines: Json(lines),
        lapses_at: expires_at,
        expires_at,
        created_at: tx.now(),
        ended_at: None,
    };
    tx.insert(&reservation)?;
    Ok(reservation)
}

/// Applies one step of a hold to the stock: its units leave, become available again, or return to their locations.
fn apply(tx: &mut Tx<'_>, book: &mut Book, held: &mut Reservation, step: HoldStep) -> Result<(), Error> {
    let cause = |kind| Cause { kind, reason: None, reference: Some(&held.reference) };
    match step {
        HoldStep::Post => {
            let sale = cause(MovementKind::Sale);
            held.lines.iter().try_for_each(|line| post_line(tx, book, line, sale))?;
        }
        HoldStep::Release | HoldStep::Expire => {
            held.lines.iter().try_for_each(|line| release_line(tx, book, line))?;
        }
        HoldStep::Reverse => {
            let cancel = cause(MovementKind::Cancel);
            for line in &mut held.lines.0 {
                for returned in line.restock(u32::MAX) {
                    let quantity = i64::from(returned.quantity);
                    book.record_movement(tx, line.variant_id, (&returned.location, quantity), cancel)?;
                }
            }
        }
    }
    Ok(())
}

/// Moves a reservation to the next state and applies the step to the stock.
fn advance(tx: &mut Tx<'_>, known: Reservation, step: HoldStep) -> Result<Reservation, Error> {
    let mut book = Book::default();
    let known = known.advance(tx, step, |tx, held, step| apply(tx, &mut book, held, step))?;
    book.close(tx)?;
    Ok(known)
}

/// Removes the units of a line from the stock.
pub(crate) fn post_line(tx: &mut Tx<'_>, book: &mut Book, line: &HeldLine, cause: Cause<'_>) -> Result<(), StoreError> {
    for taken in line.taken() {
        let quantity = i64::from(taken.quantity);
        book.open(tx, line.variant_id)?.change(&taken.location, 0, -quantity);
        book.record_movement(tx, line.variant_id, (&taken.location, -quantity), cause)?;
    }
    Ok(())
}

/// Makes the units of a line available again.
pub(crate) fn release_line(tx: &mut Tx<'_>, book: &mut Book, line: &HeldLine) -> Result<(), StoreError> {
    let stock = book.open(tx, line.variant_id)?;
    for taken in line.taken() {
        stock.change(&taken.location, 0, -i64::from(taken.quantity));
    }
    Ok(())
}

/// Posts a confirmed order's hold: its units leave the stock.
pub(crate) fn post_order(tx: &mut Tx<'_>, book: &mut Book, order_id: OrderId) -> Result<(), Error> {
    Reservation::post(tx, &order_reference(order_id), |tx, held, step| apply(tx, book, held, step))
}

/// Releases an order's hold: its units become available again or, if they have left the stock, return to it.
pub(crate) fn release_order(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    release_all(tx, &order_reference(order_id), Book::default())
}

/// Releases or reverses a hold, whatever its state, and writes the book.
pub(crate) fn release_all(tx: &mut Tx<'_>, reference: &str, mut book: Book) -> Result<(), Error> {
    Reservation::release(tx, &reference.to_owned(), |tx, held, step| apply(tx, &mut book, held, step))?;
    Ok(book.close(tx)?)
}

/// Returns a reservation that callers may end. The hold of an order or an allocation is refused.
fn find_unpinned(tx: &Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = tx.get::<Reservation>(&id)?.ok_or(Error::not_found("reservation"))?;
    if known.expires_at.is_none() { Err(reject::pinned()) } else { Ok(known) }
}

/// Confirms a reservation that has not expired. Repeating it changes nothing.
pub(crate) fn confirm(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = find_unpinned(tx, id)?;
    match (known.state, known.lapses_at) {
        (HoldState::Held, Some(at)) if at <= tx.now() => Err(reject::expired(at)),
        (HoldState::Held | HoldState::Posted, _) => advance(tx, known, HoldStep::Post),
        (ended, _) => Err(reject::ended(ended)),
    }
}

/// Releases a reservation. Repeating it, or releasing an expired one, changes nothing.
pub(crate) fn release(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = find_unpinned(tx, id)?;
    match known.state {
        HoldState::Held | HoldState::Released | HoldState::Expired => advance(tx, known, HoldStep::Release),
        state => Err(reject::ended(state)),
    }
}

/// Expires one bounded batch of reservations. Returns whether there may be more.
pub(crate) fn expire(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let soon = Some(tx.now() + Duration::from_micros(1));
    let due = tx.scan_by::<ReservationByLapse>().before(soon).collect(MAX_SWEPT)?;
    let mut book = Book::default();
    let (mut lines, found) = (0, due.len());
    let mut ended = 0;
    for held in due {
        lines += held.lines.len();
        if ended > 0 && lines > MAX_SWEPT_LINES {
            break;
        }
        ended += 1;
        held.advance(tx, HoldStep::Expire, |tx, held, step| apply(tx, &mut book, held, step))?;
    }
    book.close(tx)?;
    Ok(ended < found || found == MAX_SWEPT)
}

/// Restocks or writes off returned units, once per reference. Units of an order that has no hold here, such as an
/// imported order, go to `MAIN`; `variants` describes the variants that were never counted.
pub(crate) fn restock(tx: &mut Tx<'_>, op: &Restock, variants: &[VariantRef]) -> Result<(), Error> {
    let Restock { reference, order_id, items, write_off } = op;
    let order_id = *order_id;
    if tx.get::<Restocked>(reference)?.is_some() {
        return Ok(());
    }
    let mut book = Book::default();
    let cause = Cause { kind: MovementKind::Return, reason: None, reference: Some(reference) };
    let cause = (!write_off).then_some(cause);
    let held = match Reservation::begin(tx, &order_reference(order_id))? {
        Begin::New => Vec::new(),
        Begin::Already(held) => held,
        Begin::Ended(state) => return Err(reject::ended(state)),
    };
    let purchases = queries::purchases_of(tx, order_id)?;
    let sold_here = !held.is_empty() || !purchases.is_empty();
    if sold_here {
        restock_sold(tx, &mut book, (held, purchases), items, cause)?;
    } else if let Some(cause) = cause {
        for item in items {
            if let Some(of) = variants.iter().find(|of| of.variant_id == item.variant_id) {
                book.open_or_create(tx, of)?;
            }
            book.record_movement(tx, item.variant_id, (MAIN, i64::from(item.quantity)), cause)?;
        }
    }
    book.close(tx)?;
    tx.insert(&Restocked { reference: reference.clone(), order_id: order_id.0, at: tx.now() })?;
    Ok(())
}

/// Returns an order's units to the locations that they came from: first those of its own hold, then those from
/// allocations. Without a cause they are written off. The return may be processed before the event that posts the hold,
/// so this function posts the hold itself.
fn restock_sold(
    tx: &mut Tx<'_>,
    book: &mut Book,
    (held, mut purchases): (Vec<Reservation>, Vec<AllocationPurchase>),
    items: &[VariantQuantity],
    cause: Option<Cause<'_>>,
) -> Result<(), Error> {
    let post = |held: Reservation| held.advance(tx, HoldStep::Post, |tx, held, step| apply(tx, book, held, step));
    let mut held = held.into_iter().map(post).collect::<Result<Vec<_>, _>>()?;
    for item in items {
        let mut left = item.quantity;
        let own = held.iter_mut().flat_map(|held| &mut held.lines.0);
        let lines = own.chain(purchases.iter_mut().flat_map(|purchase| &mut purchase.lines.0));
        for line in lines.filter(|line| line.variant_id == item.variant_id) {
            for returned in line.restock(left) {
                left -= returned.quantity;
                if let Some(cause) = cause {
                    let quantity = i64::from(returned.quantity);
                    book.record_movement(tx, line.variant_id, (&returned.location, quantity), cause)?;
                }
            }
        }
        if left > 0 {
            return Err(reject::restock_exceeds_sold(item.sku.clone(), item.quantity - left));
        }
    }
    held.iter().try_for_each(|held| tx.put(held))?;
    Ok(purchases.iter().try_for_each(|purchase| tx.put(purchase))?)
}

/// The reply to a change of a reservation, which it records in the audit trail.
pub(crate) fn report(
    tx: &mut Tx<'_>,
    (actor, action): (&str, &'static str),
    reservation: Reservation,
) -> Result<ReservationView, Error> {
    let (id, status) = (reservation.id, ReservationStatus::of(reservation.state));
    tx.emit(id, &Audited::new(actor.to_owned(), action, format!("reservation:{id}"), (), status))?;
    Ok(queries::reservation_view(tx, reservation, tx.now())?)
}
