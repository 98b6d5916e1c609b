//! Holds of stock: taken all or nothing, then posted, released, expired or reversed.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::inventory::{Restock, VariantQuantity};
use promox_contract::product::VariantRef;
use promox_contract::refusal::InsufficientStock;
use promox_kernel::{Error, Json, Timestamp};
use promox_storage::{Begin, Hold, HoldState, HoldStep, StoreError, Tx};

use super::Book;
use super::book::Cause;
use crate::queries;
use crate::records::{
    AllocationPurchase, HeldLine, MovementKind, Reservation, ReservationByLapse, ReservationByReference, Restocked,
};
use crate::reject;
use crate::rules::{self, MAIN};

/// The maximum of reservations that one sweep ends, and the number of lines after which it stops.
const SWEEP: usize = 200;
const SWEEP_LINES: usize = 2_000;

/// The reference of an order's hold.
pub(crate) fn order_reference(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// Holds stock for an order or a sale, without a time limit. Repeating it changes nothing; an ended hold is refused.
pub(crate) fn hold(tx: &mut Tx<'_>, reference: String, items: &[VariantQuantity]) -> Result<(), Error> {
    match Reservation::begin(tx, &reference)? {
        Begin::New => take(tx, reference, items, None).map(drop),
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
        None => take(tx, reference.to_owned(), items, Some(tx.now() + ttl)),
    }
}

fn take(
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

/// Changes the stock by one step of a hold: units leave, become available again, or return to their locations.
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
                for back in line.take_back(u32::MAX) {
                    book.enter(tx, line.variant_id, (&back.location, i64::from(back.quantity)), cancel)?;
                }
            }
        }
    }
    Ok(())
}

/// Takes one step of a reservation.
fn advance(tx: &mut Tx<'_>, known: Reservation, step: HoldStep) -> Result<Reservation, Error> {
    let mut book = Book::default();
    let known = known.advance(tx, step, |tx, held, step| apply(tx, &mut book, held, step))?;
    book.close(tx)?;
    Ok(known)
}

/// The units of a line leave the stock.
pub(crate) fn post_line(tx: &mut Tx<'_>, book: &mut Book, line: &HeldLine, cause: Cause<'_>) -> Result<(), StoreError> {
    for taken in line.taken() {
        let quantity = i64::from(taken.quantity);
        book.open(tx, line.variant_id)?.change(&taken.location, 0, -quantity);
        book.enter(tx, line.variant_id, (&taken.location, -quantity), cause)?;
    }
    Ok(())
}

/// The units of a line become available again.
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

/// Releases an order's hold: its units become available again or, if they left, return.
pub(crate) fn release_order(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    release_all(tx, &order_reference(order_id), Book::default())
}

/// Ends a hold in any state, together with the changes in the book.
pub(crate) fn release_all(tx: &mut Tx<'_>, reference: &str, mut book: Book) -> Result<(), Error> {
    Reservation::release(tx, &reference.to_owned(), |tx, held, step| apply(tx, &mut book, held, step))?;
    Ok(book.close(tx)?)
}

/// A caller's own reservation; one of an order is refused.
fn own(tx: &Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = tx.get::<Reservation>(&id)?.ok_or(Error::not_found("reservation"))?;
    if known.expires_at.is_none() { Err(reject::pinned()) } else { Ok(known) }
}

/// Confirms a reservation that has not expired. Repeating it changes nothing.
pub(crate) fn confirm(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = own(tx, id)?;
    match (known.state, known.lapses_at) {
        (HoldState::Held, Some(at)) if at <= tx.now() => Err(reject::lapsed(at)),
        (HoldState::Held | HoldState::Posted, _) => advance(tx, known, HoldStep::Post),
        (ended, _) => Err(reject::ended(ended)),
    }
}

/// Releases a reservation. Repeating it, or releasing an expired one, changes nothing.
pub(crate) fn release(tx: &mut Tx<'_>, id: i64) -> Result<Reservation, Error> {
    let known = own(tx, id)?;
    match known.state {
        HoldState::Held | HoldState::Released | HoldState::Expired => advance(tx, known, HoldStep::Release),
        state => Err(reject::ended(state)),
    }
}

/// Ends expired reservations, one bounded batch. Returns whether there may be more.
pub(crate) fn expire(tx: &mut Tx<'_>) -> Result<bool, Error> {
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
        held.advance(tx, HoldStep::Expire, |tx, held, step| apply(tx, &mut book, held, step))?;
    }
    book.close(tx)?;
    Ok(ended < found || found == SWEEP)
}

/// Takes returned units back, once per reference. Units of an order without a hold here, such as an imported one, go to
/// `MAIN`; `variants` describes those that were never counted.
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
    let purchases = queries::sales_of(tx, order_id)?;
    let is_held = !held.is_empty() || !purchases.is_empty();
    if is_held {
        restock_sold(tx, &mut book, (held, purchases), items, cause)?;
    } else if let Some(cause) = cause {
        for item in items {
            if let Some(of) = variants.iter().find(|of| of.variant_id == item.variant_id) {
                book.begin(tx, of)?;
            }
            book.enter(tx, item.variant_id, (MAIN, i64::from(item.quantity)), cause)?;
        }
    }
    book.close(tx)?;
    tx.insert(&Restocked { reference: reference.clone(), order_id: order_id.0, at: tx.now() })?;
    Ok(())
}

/// Returns an order's units to where they were taken: first those of its own hold, then those from allocations. Without
/// a cause they are written off. The return may overtake the event that posts the hold, so it posts the hold itself.
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
        let lines = own.chain(purchases.iter_mut().flat_map(|sale| &mut sale.lines.0));
        for line in lines.filter(|line| line.variant_id == item.variant_id) {
            for back in line.take_back(left) {
                left -= back.quantity;
                if let Some(cause) = cause {
                    book.enter(tx, line.variant_id, (&back.location, i64::from(back.quantity)), cause)?;
                }
            }
        }
        if left > 0 {
            return Err(reject::not_sold(item.sku.clone(), item.quantity - left));
        }
    }
    held.iter().try_for_each(|held| tx.put(held))?;
    Ok(purchases.iter().try_for_each(|sale| tx.put(sale))?)
}
