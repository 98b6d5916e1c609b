//! Returns: asked for, approved or rejected; an approved one moves money and goods until both have moved.

use std::collections::HashMap;

use promox_contract::ids::OrderId;
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{OrderDelivered, OrderReturned, OrderStatus};
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Cx, Error, FieldError, Json, bounded};
use promox_storage::Tx;

use crate::api::{RequestReturn, ReturnView};
use crate::checkout::steps::{fact, note, order, touch};
use crate::commands::fulfil::{advance, as_sold};
use crate::queries::{items, return_view, visible};
use crate::records::{Order, OrderItem, Return, ReturnByOrder, ReturnId, ReturnStatus};
use crate::reject;
use crate::rules::{request, returns, states};

/// Returns of one order that are looked at.
const MOST_RETURNS: usize = 500;

/// Asks for a return.
pub(crate) fn request(tx: &mut Tx<'_>, cx: &Cx, op: &RequestReturn) -> Result<ReturnView, Error> {
    let mut faults = Vec::new();
    request::item_faults(&op.items, "/items", &mut faults);
    let reason = bounded(&op.reason, 1, 1_000).map_err(|detail| faults.push(FieldError::new("/reason", detail)));
    if !faults.is_empty() {
        return Err(Error::invalid(faults));
    }
    let order = visible(tx, cx, op.id, "order:return")?;
    if !states::returnable(order.status) || order.imported {
        return Err(not_returnable(&order));
    }
    let mut lines = items(tx, op.id)?;
    let wanted = as_sold(request::merge(op.items.clone())?, &lines);
    let pending = tx.scan_by::<ReturnByOrder>().prefix(op.id).collect(MOST_RETURNS)?;
    for asked in pending.iter().filter(|other| other.status == ReturnStatus::Requested) {
        give_back(&order, &mut lines, &asked.items)?;
    }
    let worth = give_back(&order, &mut lines, &wanted)?;
    if order.status == OrderStatus::Refunded && !worth.is_zero() {
        return Err(not_returnable(&order));
    }
    let split = split(&order, &lines, worth);
    let row = Return {
        id: ReturnId(tx.next_id::<Return>()?),
        order_id: order.id,
        status: ReturnStatus::Requested,
        items: Json(wanted),
        reason: reason.unwrap_or_default(),
        refund: split.money,
        points: split.points,
        restock: true,
        due_at: None,
        tries: 0,
        created_at: tx.now(),
        decided_at: None,
    };
    tx.insert(&row)?;
    Ok(return_view(row))
}

fn not_returnable(order: &Order) -> Error {
    let message = format!("Nothing of an order that is {} can be returned.", order.status);
    reject::state("NOT_RETURNABLE", message, order.status)
}

/// Counts units as returned; what they give back, or why they cannot be returned.
fn give_back(order: &Order, lines: &mut [OrderItem], wanted: &[SkuQuantity]) -> Result<Amount, Error> {
    let mut left: HashMap<String, u32> = wanted.iter().map(|item| (item.sku.fold(), item.quantity)).collect();
    let mut refund = order.currency.zero();
    for line in lines.iter_mut() {
        if let Some(left) = left.get_mut(&line.sku.fold()) {
            let units = (line.quantity - line.returned).min(*left);
            refund += returns::share(line.total, line.quantity, line.returned, units, order.currency);
            // Goods that the buyer has are given back before goods that never left.
            line.withdrawn += units.saturating_sub(line.shipped.saturating_sub(line.returned - line.withdrawn));
            line.returned += units;
            *left -= units;
        }
    }
    match wanted.iter().find(|item| left.get(&item.sku.fold()).is_some_and(|left| *left > 0)) {
        None => Ok(refund),
        Some(item) => {
            let message = format!("There are not {} of \"{}\" left to return in this order.", item.quantity, item.sku);
            Err(Error::conflict("NOTHING_LEFT_TO_RETURN", message).with("sku", &item.sku))
        }
    }
}

/// Approves a return: the refund is fixed now, from what was returned before it.
pub(crate) fn approve(
    tx: &mut Tx<'_>,
    cx: &Cx,
    id: OrderId,
    rid: ReturnId,
    restock: bool,
) -> Result<ReturnView, Error> {
    let mut row = requested(tx, id, rid)?;
    if row.status == ReturnStatus::Approved {
        return Ok(return_view(row));
    }
    refuse_decided(&row)?;
    let mut order = order(tx, id)?;
    if order.payment_status == Some(PaymentStatus::Pending) {
        let message = "The payment is not captured yet: capture it, or cancel the order instead.";
        return Err(reject::state("PAYMENT_NOT_CAPTURED", message, order.status));
    }
    let mut lines = items(tx, id)?;
    let worth = give_back(&order, &mut lines, &row.items)?;
    let split = split(&order, &lines, worth);
    row.refund = split.money;
    row.points = split.points;
    row.status = ReturnStatus::Approved;
    row.restock = restock;
    row.decided_at = Some(tx.now());
    row.due_at = Some(tx.now());
    order.returned += worth;
    order.returned_money += split.money;
    order.returned_points += split.points;
    for line in &lines {
        tx.put(line)?;
    }
    tx.put(&row)?;
    let detail = format!("Return {rid} gives {} back.", row.refund);
    note(&mut order, tx.now(), "RETURN", "DONE", &detail, &cx.principal.name());
    let all_back = lines.iter().all(|line| line.returned == line.quantity);
    let arrived = if all_back && states::may_follow(order.status, OrderStatus::Refunded) {
        order.status = OrderStatus::Refunded;
        false
    } else {
        advance(&mut order, &lines) == Some(OrderStatus::Delivered)
    };
    touch(tx, &mut order)?;
    if arrived {
        tx.emit(id, &OrderDelivered(fact(&order)))?;
    }
    let (user_id, refund, currency) = (order.user_id, row.refund, order.currency);
    let fact = OrderReturned {
        order_id: id,
        return_id: rid.0,
        user_id,
        refund,
        currency,
        points: row.points,
        returned: order.returned,
        whole: lines.iter().map(|line| line.total).sum(),
    };
    tx.emit(id, &fact)?;
    Ok(return_view(row))
}

fn split(order: &Order, lines: &[OrderItem], worth: Amount) -> returns::Split {
    let whole = lines.iter().map(|line| line.total).sum();
    returns::split(whole, order.returned, worth, order.points_redeemed, order.points_value, order.currency)
}

/// Rejects a return.
pub(crate) fn reject(tx: &mut Tx<'_>, cx: &Cx, id: OrderId, rid: ReturnId) -> Result<ReturnView, Error> {
    let mut row = requested(tx, id, rid)?;
    if row.status == ReturnStatus::Rejected {
        return Ok(return_view(row));
    }
    refuse_decided(&row)?;
    row.status = ReturnStatus::Rejected;
    row.decided_at = Some(tx.now());
    tx.put(&row)?;
    let mut order = order(tx, id)?;
    note(&mut order, tx.now(), "RETURN", "FAILED", &format!("Return {rid} was rejected."), &cx.principal.name());
    touch(tx, &mut order)?;
    Ok(return_view(row))
}

fn requested(tx: &Tx<'_>, id: OrderId, rid: ReturnId) -> Result<Return, Error> {
    tx.get::<Return>(&rid)?.filter(|row| row.order_id == id).ok_or_else(|| Error::not_found("return"))
}

fn refuse_decided(row: &Return) -> Result<(), Error> {
    if row.status == ReturnStatus::Requested {
        return Ok(());
    }
    Err(reject::state("RETURN_DECIDED", format!("The return is {} already.", row.status), row.status))
}

/// Money and goods of an approved return have moved.
pub(crate) fn moved(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.due_at = None;
    Ok(tx.put(&row)?)
}

/// They have not: it is tried again later.
pub(crate) fn moved_later(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.tries += 1;
    row.due_at = Some(tx.now() + std::time::Duration::from_secs(1 << row.tries.clamp(0, 8)));
    Ok(tx.put(&row)?)
}
