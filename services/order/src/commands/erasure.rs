//! Erasure of accounts: once it is requested, the account can place no more orders; when its last order has ended,
//! personal data is removed from its orders. Amounts and goods stay for the books.

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

/// The seconds of a day.
const DAY_SECONDS: u64 = 24 * 3600;
/// The text that replaces a name, a street and a city.
const ERASED: &str = "erased";

/// Refuses an order of an account whose erasure was requested.
pub(crate) fn refuse_leaving(tx: &Tx<'_>, buyer: Option<UserId>) -> Result<(), Error> {
    let Some(user_id) = buyer else { return Ok(()) };
    match tx.get::<LeavingBuyer>(&user_id)? {
        Some(_) => {
            Err(Error::conflict(codes::ERASURE_REQUESTED, "This account is to be erased and cannot place orders."))
        }
        None => Ok(()),
    }
}

/// Records that the erasure of an account was requested. Returns the orders that it has to wait for.
pub(crate) fn prepare(tx: &mut Tx<'_>, user_id: UserId, return_days: u32) -> Result<OpenOrders, Error> {
    if tx.get::<LeavingBuyer>(&user_id)?.is_none() {
        let since = tx.now();
        tx.insert(&LeavingBuyer { user_id, since, erased_at: None })?;
    }
    Ok(open_orders(tx, user_id, return_days, tx.now())?)
}

/// The number of an account's orders that have not ended, including checkouts in progress, and when the last return
/// window closes.
fn open_orders(tx: &Tx<'_>, user_id: UserId, return_days: u32, now: Timestamp) -> Result<OpenOrders, StoreError> {
    let window = Duration::from_secs(u64::from(return_days) * DAY_SECONDS);
    let mut open_orders = OpenOrders::default();
    for saga in tx.scan::<Saga>().rows() {
        let saga = saga?;
        let buyer = saga.draft.decode().ok().and_then(|draft| draft.order).and_then(|order| order.user_id);
        open_orders.open += i64::from(buyer == Some(user_id));
    }
    for order in tx.scan_by::<OrderByUser>().prefix(Some(user_id)).rows() {
        match order_end(tx, &order?, window)? {
            OrderEnd::Open => open_orders.open += 1,
            OrderEnd::At(at) if at > now => {
                open_orders.open += 1;
                open_orders.until = open_orders.until.max(Some(at));
            }
            OrderEnd::At(_) => {}
        }
    }
    Ok(open_orders)
}

/// When an order ends.
enum OrderEnd {
    /// The end is not known, because something is still to be done.
    Open,
    /// The order ended, or will end, at this time.
    At(Timestamp),
}

/// When an order ends: a shipped one when the return window after its last parcel has closed.
fn order_end(tx: &Tx<'_>, order: &Order, window: Duration) -> Result<OrderEnd, StoreError> {
    use OrderStatus as Status;
    if order.imported {
        return Ok(OrderEnd::At(order.created_at));
    }
    let undecided =
        matches!(order.status, Status::Pending | Status::Confirmed | Status::Processing | Status::NeedsReview);
    if undecided || tx.get::<Saga>(&order.id)?.is_some() {
        return Ok(OrderEnd::Open);
    }
    for row in tx.scan_by::<ReturnByOrder>().prefix(order.id).rows() {
        let row: Return = row?;
        if row.status == ReturnStatus::Requested || row.due_at.is_some() {
            return Ok(OrderEnd::Open);
        }
    }
    if !matches!(order.status, Status::Shipped | Status::Delivered) {
        return Ok(OrderEnd::At(order.updated_at));
    }
    let mut last = order.created_at;
    for parcel in tx.scan_by::<FulfilmentByOrder>().prefix(order.id).rows() {
        let parcel: Fulfilment = parcel?;
        last = last.max(parcel.delivered_at.unwrap_or(parcel.shipped_at));
    }
    Ok(OrderEnd::At(last + window))
}

/// Removes personal data from all orders of an account. Amounts and goods stay for the books.
pub(crate) fn erase(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), Error> {
    let now = tx.now();
    let orders: Vec<Order> = tx.scan_by::<OrderByUser>().prefix(Some(user_id)).rows().collect::<Result<_, _>>()?;
    for mut order in orders {
        order.email = None;
        order.mailbox = None;
        order.details.shipping_address = order.details.shipping_address.take().map(anonymized);
        order.details.billing_address = None;
        order.details.note = None;
        order.details.languages.clear();
        order.details.attributes.clear();
        touch(tx, &mut order)?;
    }
    let since = tx.get::<LeavingBuyer>(&user_id)?.map_or(now, |buyer| buyer.since);
    Ok(tx.put(&LeavingBuyer { user_id, since, erased_at: Some(now) })?)
}

/// An address without personal data. Country and region stay, because they determine the tax.
fn anonymized(address: Address) -> Address {
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

/// Whether an order contains no personal data and has ended.
pub(crate) fn is_erased(tx: &Tx<'_>, order: &Order) -> Result<bool, StoreError> {
    let details = &order.details;
    let address = details.shipping_address.as_ref();
    let is_address_anonymized = address.is_none_or(|address| *address == anonymized(address.clone()));
    let has_no_contact = order.email.is_none() && order.mailbox.is_none() && details.billing_address.is_none();
    let has_no_texts = details.note.is_none() && details.attributes.is_empty();
    let has_ended = matches!(order_end(tx, order, Duration::ZERO)?, OrderEnd::At(_));
    Ok(is_address_anonymized && has_no_contact && has_no_texts && has_ended)
}
