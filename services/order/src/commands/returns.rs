//! Returns: requested, approved or rejected. An approval takes three transactions: its units are counted as returned
//! and its worth is fixed; the payment decides how much of that can be refunded; the return is APPROVED with the
//! result. Then the goods move. Each step is resumed after a crash.

use std::collections::HashMap;
use std::time::Duration;

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{OrderDelivered, OrderReturned, OrderStatus};
use promox_contract::payment::{PaymentOutcome, ReturnSettlement};
use promox_kernel::{Amount, BackOff, Cx, Error, Faults, Json, multiline};
use promox_storage::{Recall, Tx};
use rust_decimal::Decimal;

use crate::api::{ApproveReturn, RequestReturn, ReturnView};
use crate::commands::fulfil::{advance, all_back, as_sold, finish};
use crate::order_row::{self, fact, note, note_payment, touch};
use crate::queries::{items, return_view, visible};
use crate::records::{Approval, Order, OrderItem, Return, ReturnByOrder, ReturnId, ReturnStatus};
use crate::reject;
use crate::rules::returns::{Split, Worth};
use crate::rules::{request, returns, states};

/// Maximum returns of an order.
const MAX_RETURNS: usize = 500;
/// The pauses before money and goods that have not moved are tried again: at most 256 seconds.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 7 };

/// Requests a return. Its refund is an estimate: the price of the units, as far as `payment` has money left.
pub(crate) fn request(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &RequestReturn,
    payment: Option<&PaymentOutcome>,
) -> Result<ReturnView, Error> {
    let mut faults = Faults::default();
    request::item_faults(&op.items, "/items", &mut faults);
    let reason = multiline(&op.reason, 1, 1_000).map_err(|detail| faults.note("/reason", detail));
    faults.finish()?;
    let order = visible(tx, cx, op.id, "order:return")?;
    if !states::returnable(order.status) || order.imported {
        return Err(not_returnable(&order));
    }
    let mut lines = items(tx, op.id)?;
    let wanted = as_sold(request::merge(op.items.clone())?, &lines);
    let known = all(tx, op.id)?;
    if known.len() >= MAX_RETURNS {
        return Err(reject::too_many_returns(MAX_RETURNS));
    }
    let waiting = known.iter().filter(|other| other.status == ReturnStatus::Requested && !other.is_settling());
    for asked in waiting {
        give_back(&order, &mut lines, &asked.items)?;
    }
    let worth = give_back(&order, &mut lines, &wanted)?;
    let split = split(&order, &lines, worth.total);
    let left = payment.map_or(order.currency.zero(), |payment| payment.left);
    let row = Return {
        id: ReturnId(tx.next_id::<Return>()?),
        order_id: order.id,
        status: ReturnStatus::Requested,
        items: Json(wanted),
        reason: reason.unwrap_or_default(),
        refund: split.money.min(left),
        voided: order.currency.zero(),
        points: split.points,
        restock: true,
        approval: Json(None),
        due_at: None,
        tries: 0,
        created_at: tx.now(),
        decided_at: None,
    };
    tx.insert(&row)?;
    Ok(return_view(row))
}

/// A return and its order.
pub(crate) fn load(tx: &Tx<'_>, rid: ReturnId) -> Result<(Return, Order), Error> {
    let row = tx.get::<Return>(&rid)?.ok_or_else(|| Error::not_found("return"))?;
    let order = order_row::load(tx, row.order_id)?;
    Ok((row, order))
}

/// An order's returns.
fn all(tx: &Tx<'_>, id: OrderId) -> Result<Vec<Return>, Error> {
    Ok(tx.scan_by::<ReturnByOrder>().prefix(id).collect(MAX_RETURNS)?)
}

/// Whether money or goods of a return of this order have yet to move.
pub(crate) fn any_moving(tx: &Tx<'_>, id: OrderId) -> Result<bool, Error> {
    Ok(all(tx, id)?.iter().any(|row| row.due_at.is_some()))
}

/// Rejects all requested returns, because the order is cancelled.
pub(crate) fn reject_all(tx: &mut Tx<'_>, id: OrderId) -> Result<(), Error> {
    for row in all(tx, id)?.into_iter().filter(|row| row.status == ReturnStatus::Requested) {
        tx.put(&Return { status: ReturnStatus::Rejected, decided_at: Some(tx.now()), ..row })?;
    }
    Ok(())
}

fn not_returnable(order: &Order) -> Error {
    let message = format!("An order that is {} cannot be returned.", order.status);
    reject::state(codes::NOT_RETURNABLE, message, order.status)
}

/// Counts units as returned; returns their worth, or why they cannot be returned.
fn give_back(order: &Order, lines: &mut [OrderItem], wanted: &[SkuQuantity]) -> Result<Worth, Error> {
    let mut left: HashMap<String, u32> = wanted.iter().map(|item| (item.sku.fold(), item.quantity)).collect();
    let mut worth = Worth { total: order.currency.zero(), net: order.currency.zero() };
    for line in lines.iter_mut() {
        if let Some(left) = left.get_mut(&line.sku.fold()) {
            let units = (line.quantity - line.returned).min(*left);
            let share = |of| returns::share(of, line.quantity, line.returned, units, order.currency);
            worth.total += share(line.total);
            worth.net += share(line.net(order.prices_include_tax));
            // Goods that the buyer has are returned before goods that were never shipped.
            line.withdrawn += units.saturating_sub(line.shipped.saturating_sub(line.returned - line.withdrawn));
            line.returned += units;
            *left -= units;
        }
    }
    match wanted.iter().find(|item| left.get(&item.sku.fold()).is_some_and(|left| *left > 0)) {
        None => Ok(worth),
        Some(item) => {
            let message = format!("Fewer than {} of \"{}\" are left to return in this order.", item.quantity, item.sku);
            Err(Error::conflict(codes::NOTHING_LEFT_TO_RETURN, message).with("sku", &item.sku))
        }
    }
}

fn split(order: &Order, lines: &[OrderItem], worth: Amount) -> Split {
    let whole = lines.iter().map(|line| line.total).sum();
    returns::split(whole, order.returned, worth, order.points_redeemed, order.points_value, order.currency)
}

/// Starts an approval, once, and claims the request's key for it: the units are counted as returned from here on.
pub(crate) fn begin_approval(tx: &mut Tx<'_>, cx: &Cx, op: &ApproveReturn) -> Result<(), Error> {
    if let Some(claim) = &cx.claim
        && matches!(tx.recall(claim)?, Recall::Undecided(_))
    {
        return Ok(());
    }
    let mut row = requested(tx, op.id, op.rid)?;
    if row.status == ReturnStatus::Approved || row.is_settling() {
        return Ok(());
    }
    refuse_decided(&row)?;
    let mut order = order_row::load(tx, op.id)?;
    if !states::returnable(order.status) {
        return Err(not_returnable(&order));
    }
    let mut lines = items(tx, op.id)?;
    let worth = give_back(&order, &mut lines, &row.items)?;
    let approval = terms(tx, cx, op, (&order, &lines), worth)?;
    order.returned += worth.total;
    order.returned_points += approval.points;
    row.restock = op.restock.unwrap_or(true);
    row.approval = Json(Some(approval));
    row.due_at = Some(tx.now());
    if let Some(claim) = &cx.claim {
        tx.claim(claim, row.id.0)?;
    }
    lines.iter().try_for_each(|line| tx.put(line))?;
    tx.put(&row)?;
    touch(tx, &mut order)
}

/// The terms of an approval; shipping and fee are limited to what there is.
fn terms(
    tx: &Tx<'_>,
    cx: &Cx,
    op: &ApproveReturn,
    (order, lines): (&Order, &[OrderItem]),
    worth: Worth,
) -> Result<Approval, Error> {
    let mut faults = Faults::default();
    let mut money = |amount: Option<Amount>, at: &str| match order.currency.exact(amount.unwrap_or_default()) {
        Ok(amount) if amount.is_negative() => {
            faults.note(at, "must not be negative");
            Amount::ZERO
        }
        Ok(amount) => amount,
        Err(detail) => {
            faults.note(at, detail);
            Amount::ZERO
        }
    };
    let (shipping_refund, fee) = (money(op.shipping_refund, "/shippingRefund"), money(op.fee, "/fee"));
    faults.finish()?;
    let given = all(tx, order.id)?
        .iter()
        .filter_map(|row| row.approval.as_ref())
        .map(|approval| approval.shipping_refund)
        .fold(order.currency.zero(), |sum, given| sum + given);
    let goods: Amount = lines.iter().map(|line| line.total).sum();
    let shipping_paid = order.total + order.points_value - goods;
    let left = shipping_paid - given;
    if shipping_refund > left {
        return Err(reject::shipping_refund(left, order.currency));
    }
    let Split { money, points } = split(order, lines, worth.total);
    let (redeemed, value) = (order.points_redeemed, order.points_value);
    let shipping =
        returns::split_shipping((goods, shipping_paid), given, shipping_refund, redeemed, value, order.currency);
    let most_fee = money + shipping.money;
    if fee > most_fee {
        return Err(reject::fee(most_fee, order.currency));
    }
    Ok(Approval {
        money,
        points: points + shipping.points,
        net: worth.net,
        shipping_refund,
        shipping_by_points: shipping_refund - shipping.money,
        fee,
        whole: all_back(lines),
        actor: cx.principal.name(),
    })
}

/// The payment has decided the refund of a return: it is APPROVED, once. `None` when nothing was due.
pub(crate) fn approve(tx: &mut Tx<'_>, rid: ReturnId, settled: Option<&ReturnSettlement>) -> Result<ReturnView, Error> {
    let mut row = tx.get::<Return>(&rid)?.ok_or_else(|| Error::not_found("return"))?;
    let Some(mut approval) = row.approval.0.clone().filter(|_| row.is_settling()) else { return Ok(return_view(row)) };
    let mut order = order_row::load(tx, row.order_id)?;
    let lines = items(tx, row.order_id)?;
    let zero = order.currency.zero();
    row.refund = settled.map_or(zero, |settled| settled.refund);
    row.voided = settled.map_or(zero, |settled| settled.voided);
    approval.fee = settled.map_or(zero, |settled| settled.fee);
    row.points = approval.points;
    row.status = ReturnStatus::Approved;
    row.decided_at = Some(tx.now());
    let actor = approval.actor.clone();
    count_return(&mut order, &lines, &row, approval.net);
    row.approval = Json(Some(approval));
    tx.put(&row)?;
    note_payment(&mut order, settled.map(|settled| &settled.payment));
    let detail = describe(&order, &row);
    note(&mut order, tx.now(), "RETURN", "DONE", &detail, &actor);
    let arrived = !finish(&mut order, &lines) && advance(&mut order, &lines) == Some(OrderStatus::Delivered);
    touch(tx, &mut order)?;
    if arrived {
        tx.emit(order.id, &OrderDelivered(fact(&order)))?;
    }
    tx.emit(order.id, &returned(&order, &lines, &row))?;
    Ok(return_view(row))
}

/// A description of what a return did, for humans.
fn describe(order: &Order, row: &Return) -> String {
    let currency = order.currency;
    let mut parts = vec![format!("Return {} refunds {} {currency}", row.id, row.refund)];
    if !row.voided.is_zero() {
        parts.push(format!("{} {currency} are no longer due", row.voided));
    }
    if row.points > 0 {
        parts.push(format!("{} points are returned", row.points));
    }
    parts.join(", ") + "."
}

fn returned(order: &Order, lines: &[OrderItem], row: &Return) -> OrderReturned {
    OrderReturned {
        order_id: order.id,
        return_id: row.id.0,
        user_id: order.user_id,
        refund: row.refund,
        voided: row.voided,
        currency: order.currency,
        points: row.points,
        returned: order.returned,
        whole: lines.iter().map(|line| line.total).sum(),
    }
}

/// Counts the revenue of a return: never more than there is, and all of it with the last of the goods.
fn count_return(order: &mut Order, lines: &[OrderItem], row: &Return, net: Amount) {
    let revenue = revenue(order, lines);
    order.given_back += row.refund + row.voided;
    order.returned_net = (order.returned_net + net).min(revenue);
}

/// Counts a refund of money alone: its share of the remaining revenue.
pub(crate) fn count_refund(order: &mut Order, lines: &[OrderItem], amount: Amount) {
    let rest = revenue(order, lines) - order.returned_net;
    let left_of_points = match order.points_redeemed {
        0 => Decimal::ZERO,
        all => order.points_value.0 * Decimal::from(all - order.returned_points) / Decimal::from(all),
    };
    let paid = (order.total - order.given_back).0 + left_of_points;
    order.returned_net += returns::share_of_rest(rest, amount, paid, order.currency);
    order.given_back += amount;
}

fn revenue(order: &Order, lines: &[OrderItem]) -> Amount {
    lines.iter().map(|line| line.net(order.prices_include_tax)).sum()
}

/// Rejects a return.
pub(crate) fn reject(tx: &mut Tx<'_>, cx: &Cx, id: OrderId, rid: ReturnId) -> Result<ReturnView, Error> {
    let mut row = requested(tx, id, rid)?;
    if row.status == ReturnStatus::Rejected {
        return Ok(return_view(row));
    }
    if row.is_settling() {
        return Err(reject::return_in_progress());
    }
    refuse_decided(&row)?;
    row.status = ReturnStatus::Rejected;
    row.decided_at = Some(tx.now());
    tx.put(&row)?;
    let mut order = order_row::load(tx, id)?;
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
    Err(reject::state(codes::RETURN_DECIDED, format!("The return is already {}.", row.status), row.status))
}

/// Money and goods of an approved return have moved.
pub(crate) fn moved(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.due_at = None;
    Ok(tx.put(&row)?)
}

/// They have not moved: it is retried later.
pub(crate) fn moved_later(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.tries += 1;
    row.due_at = Some(tx.now() + PAUSES.after(row.tries));
    Ok(tx.put(&row)?)
}
