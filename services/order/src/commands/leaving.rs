//! Erasure of buyers: once it is requested they can place no orders, and when the last of their orders has ended,
//! personal data is removed and the books stay.

use std::time::Duration;

use promox_contract::codes;
use promox_contract::order::{OpenOrders, OrderStatus};
use promox_kernel::{Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::address::Address;
use crate::order_row::touch;
use crate::records::{
    Fulfilment, FulfilmentByOrder, LeavingBuyer, Order, OrderByUser, Return, ReturnByOrder, ReturnStatus, Saga,
};

/// Seconds of a day.
const DAY: u64 = 24 * 3600;
/// Replaces a name, a street and a city.
const ERASED: &str = "erased";

/// Refuses an order of a user whose erasure was requested.
pub(crate) fn refuse(tx: &Tx<'_>, buyer: Option<UserId>) -> Result<(), Error> {
    let Some(user_id) = buyer else { return Ok(()) };
    match tx.get::<LeavingBuyer>(&user_id)? {
        Some(_) => {
            Err(Error::conflict(codes::ERASURE_REQUESTED, "This account is to be erased and cannot place orders."))
        }
        None => Ok(()),
    }
}

/// Records that an account leaves; returns which of its orders its erasure waits for.
pub(crate) fn prepare(tx: &mut Tx<'_>, user_id: UserId, return_days: u32) -> Result<OpenOrders, Error> {
    if tx.get::<LeavingBuyer>(&user_id)?.is_none() {
        let since = tx.now();
        tx.insert(&LeavingBuyer { user_id, since, erased_at: None })?;
    }
    Ok(open_orders(tx, user_id, return_days, tx.now())?)
}

/// The orders of an account that have not ended, including checkouts in progress.
fn open_orders(tx: &Tx<'_>, user_id: UserId, return_days: u32, now: Timestamp) -> Result<OpenOrders, StoreError> {
    let window = Duration::from_secs(u64::from(return_days) * DAY);
    let mut found = OpenOrders::default();
    for saga in tx.scan::<Saga>().rows() {
        let saga = saga?;
        let of = saga.draft.open().ok().and_then(|draft| draft.order).and_then(|order| order.user_id);
        found.open += i64::from(of == Some(user_id));
    }
    for order in tx.scan_by::<OrderByUser>().prefix(Some(user_id)).rows() {
        match ends(tx, &order?, window)? {
            Ends::Open => found.open += 1,
            Ends::At(at) if at > now => {
                found.open += 1;
                found.until = found.until.max(Some(at));
            }
            Ends::At(_) => {}
        }
    }
    Ok(found)
}

/// When an order is final.
enum Ends {
    /// Something is still to be done.
    Open,
    /// At this time, past or future.
    At(Timestamp),
}

fn ends(tx: &Tx<'_>, order: &Order, window: Duration) -> Result<Ends, StoreError> {
    use OrderStatus as Status;
    if order.imported {
        return Ok(Ends::At(order.created_at));
    }
    let undecided =
        matches!(order.status, Status::Pending | Status::Confirmed | Status::Processing | Status::NeedsReview);
    if undecided || tx.get::<Saga>(&order.id)?.is_some() {
        return Ok(Ends::Open);
    }
    for back in tx.scan_by::<ReturnByOrder>().prefix(order.id).rows() {
        let back: Return = back?;
        if back.status == ReturnStatus::Requested || back.due_at.is_some() {
            return Ok(Ends::Open);
        }
    }
    if !matches!(order.status, Status::Shipped | Status::Delivered) {
        return Ok(Ends::At(order.updated_at));
    }
    let mut last = order.created_at;
    for parcel in tx.scan_by::<FulfilmentByOrder>().prefix(order.id).rows() {
        let parcel: Fulfilment = parcel?;
        last = last.max(parcel.delivered_at.unwrap_or(parcel.shipped_at));
    }
    Ok(Ends::At(last + window))
}

/// Removes personal data from all orders of an account; the books stay.
pub(crate) fn erase(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), Error> {
    let now = tx.now();
    let orders: Vec<Order> = tx.scan_by::<OrderByUser>().prefix(Some(user_id)).rows().collect::<Result<_, _>>()?;
    for mut order in orders {
        order.email = None;
        order.mailbox = None;
        order.details.shipping_address = order.details.shipping_address.take().map(without_person);
        order.details.billing_address = None;
        order.details.note = None;
        order.details.attributes.clear();
        touch(tx, &mut order)?;
    }
    let since = tx.get::<LeavingBuyer>(&user_id)?.map_or(now, |leaver| leaver.since);
    Ok(tx.put(&LeavingBuyer { user_id, since, erased_at: Some(now) })?)
}

/// Country and region determine the tax in the books; everything else is personal.
fn without_person(address: Address) -> Address {
    Address {
        name: ERASED.to_owned(),
        company: None,
        vat_id: None,
        line1: ERASED.to_owned(),
        line2: None,
        city: ERASED.to_owned(),
        postal_code: None,
        phone: None,
        ..address
    }
}

/// Whether no personal data is left in an order, and it needs none any more.
pub(crate) fn is_erased(tx: &Tx<'_>, order: &Order) -> Result<bool, StoreError> {
    let details = &order.details;
    let address = details.shipping_address.as_ref();
    let nobody = address.is_none_or(|to| *to == without_person(to.clone()));
    let nothing = order.email.is_none() && order.mailbox.is_none() && details.billing_address.is_none();
    let ended = matches!(ends(tx, order, Duration::ZERO)?, Ends::At(_));
    Ok(nobody && nothing && details.note.is_none() && details.attributes.is_empty() && ended)
}
