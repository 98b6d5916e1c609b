//! Returns: requested, then approved or rejected. An approval takes three transactions: the first counts the units as
//! returned and fixes their worth, the second, in the payment service, decides how much of it is refunded, and the
//! third sets the return to APPROVED with the result. Then the goods are restocked. Each step is resumed after a crash.

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
use crate::commands::fulfil::{
    all_returned, as_sold, captured_by_shipment, finish_if_returned, shippable, update_status,
};
use crate::order_row::{self, fact, note, note_payment, touch};
use crate::queries::{any_settling, items, return_view, visible};
use crate::records::{Approval, Order, OrderItem, Return, ReturnByOrder, ReturnId, ReturnStatus};
use crate::reject;
use crate::rules::returns::{Split, Worth};
use crate::rules::{request, returns, states};

/// Maximum returns of an order.
const MAX_RETURNS: usize = 500;
/// The pauses before the refund and restocking of an approved return are retried: at most 256 seconds.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 7 };

/// Requests a return. Its refund is an estimate: the price of the units, and the shipping if it is returned with them, at
/// most what is left of `payment`.
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
    let units = as_sold(request::merge(op.items.clone())?, &lines);
    let earlier = all(tx, op.id)?;
    if earlier.len() >= MAX_RETURNS {
        return Err(reject::too_many_returns(MAX_RETURNS));
    }
    // Units of open returns cannot be returned again; those of approved ones are counted in the lines already.
    let open = earlier.iter().filter(|other| other.status == ReturnStatus::Requested && !other.is_settling());
    for other in open {
        count_returned_units(&order, &mut lines, &other.items)?;
    }
    let worth = count_returned_units(&order, &mut lines, &units)?;
    let split = split_money_and_points(&order, &lines, worth.total);
    let shipping = if was_never_needed(&lines) {
        let refunded = shipping_refunded(tx, &order)?;
        split_shipping(&order, &lines, refunded, shipping_paid(&order, &lines) - refunded)
    } else {
        Split { money: order.currency.zero(), points: 0 }
    };
    let left = payment.map_or(order.currency.zero(), |payment| payment.left);
    let row = Return {
        id: ReturnId(tx.next_id::<Return>()?),
        order_id: order.id,
        status: ReturnStatus::Requested,
        items: Json(units),
        reason: reason.unwrap_or_default(),
        refund: (split.money + shipping.money).min(left),
        voided: order.currency.zero(),
        points: split.points + shipping.points,
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

/// All returns of an order.
fn all(tx: &Tx<'_>, id: OrderId) -> Result<Vec<Return>, Error> {
    Ok(tx.scan_by::<ReturnByOrder>().prefix(id).collect(MAX_RETURNS)?)
}

/// Whether an approved return of an order is not completely refunded and restocked yet.
pub(crate) fn any_in_progress(tx: &Tx<'_>, id: OrderId) -> Result<bool, Error> {
    Ok(all(tx, id)?.iter().any(|row| row.due_at.is_some()))
}

/// Rejects all requested returns of an order, because it is cancelled.
pub(crate) fn reject_all(tx: &mut Tx<'_>, id: OrderId) -> Result<(), Error> {
    for row in all(tx, id)?.into_iter().filter(|row| row.status == ReturnStatus::Requested) {
        tx.put(&Return { status: ReturnStatus::Rejected, decided_at: Some(tx.now()), ..row })?;
    }
    Ok(())
}

/// 409: the status of the order does not allow returns.
fn not_returnable(order: &Order) -> Error {
    let message = format!("An order that is {} cannot be returned.", order.status);
    reject::state(codes::NOT_RETURNABLE, message, order.status)
}

/// Counts units as returned in an order's lines. Returns their worth; refused if the order has fewer units left.
fn count_returned_units(order: &Order, lines: &mut [OrderItem], units: &[SkuQuantity]) -> Result<Worth, Error> {
    let mut unassigned: HashMap<String, u32> = units.iter().map(|item| (item.sku.fold(), item.quantity)).collect();
    let zero = order.currency.zero();
    let mut worth = Worth { total: zero, net: zero, unshipped: zero };
    // Units that were not shipped are returned first, so that none of them is left to ship to a buyer who wants it no more.
    for line in lines.iter_mut() {
        if let Some(left) = unassigned.get_mut(&line.sku.fold()) {
            let withdrawn = shippable(line).min(*left);
            let price = count_units(order, line, withdrawn, &mut worth);
            worth.unshipped += price;
            line.withdrawn += withdrawn;
            *left -= withdrawn;
        }
    }
    for line in lines.iter_mut() {
        if let Some(left) = unassigned.get_mut(&line.sku.fold()) {
            let count = (line.quantity - line.returned).min(*left);
            count_units(order, line, count, &mut worth);
            *left -= count;
        }
    }
    match units.iter().find(|item| unassigned.get(&item.sku.fold()).is_some_and(|left| *left > 0)) {
        None => Ok(worth),
        Some(item) => {
            let message = format!("This order has fewer than {} of \"{}\" left to return.", item.quantity, item.sku);
            Err(Error::conflict(codes::NOTHING_LEFT_TO_RETURN, message).with("sku", &item.sku))
        }
    }
}

/// Counts `count` more units of a line as returned and adds their worth. Returns their price.
fn count_units(order: &Order, line: &mut OrderItem, count: u32, worth: &mut Worth) -> Amount {
    let share = |of| returns::share_of_units(of, line.quantity, line.returned, count, order.currency);
    let (total, net) = (share(line.total), share(line.net(order.prices_include_tax)));
    worth.total += total;
    worth.net += net;
    line.returned += count;
    total
}

/// How returned goods with this worth are repaid in money and points.
fn split_money_and_points(order: &Order, lines: &[OrderItem], worth: Amount) -> Split {
    let goods_total = lines.iter().map(|line| line.total).sum();
    returns::split_money_and_points(
        goods_total,
        order.returned,
        worth,
        order.points_redeemed,
        order.points_value,
        order.currency,
    )
}

/// Starts the approval of a return once, and claims the request's idempotency key. From then on the units count as
/// returned.
pub(crate) fn begin_approval(tx: &mut Tx<'_>, cx: &Cx, op: &ApproveReturn) -> Result<(), Error> {
    if let Some(claim) = &cx.claim
        && matches!(tx.recall(claim)?, Recall::Undecided(_))
    {
        return Ok(());
    }
    let mut row = return_of_order(tx, op.id, op.rid)?;
    if row.status == ReturnStatus::Approved || row.is_settling() {
        return Ok(());
    }
    refuse_decided(&row)?;
    let mut order = order_row::load(tx, op.id)?;
    if !states::returnable(order.status) {
        return Err(not_returnable(&order));
    }
    // Which part is voided and which refunded depends on the decisions before.
    if captured_by_shipment(&order) && any_settling(tx, op.id)? {
        return Err(reject::return_in_progress());
    }
    let mut lines = items(tx, op.id)?;
    let worth = count_returned_units(&order, &mut lines, &row.items)?;
    let approval = approval_terms(tx, cx, op, (&order, &lines), worth)?;
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

/// The terms of an approval. Refused if more shipping is to be refunded than is left of what was paid for it, or if the
/// fee exceeds the money part of the refund.
fn approval_terms(
    tx: &Tx<'_>,
    cx: &Cx,
    op: &ApproveReturn,
    (order, lines): (&Order, &[OrderItem]),
    worth: Worth,
) -> Result<Approval, Error> {
    let (given, fee) = given_amounts(op, order)?;
    let refunded = shipping_refunded(tx, order)?;
    let shipping_left = shipping_paid(order, lines) - refunded;
    let unneeded = if was_never_needed(lines) { shipping_left } else { order.currency.zero() };
    let shipping_refund = given.unwrap_or(unneeded);
    if shipping_refund > shipping_left {
        return Err(reject::shipping_refund(shipping_left, order.currency));
    }
    let Split { money, points } = split_money_and_points(order, lines, worth.total);
    let shipping = split_shipping(order, lines, refunded, shipping_refund);
    let left_to_ship: u32 = lines.iter().map(shippable).sum();
    let max_fee = money + shipping.money;
    if fee > max_fee {
        return Err(reject::fee(max_fee, order.currency));
    }
    Ok(Approval {
        money,
        points: points + shipping.points,
        net: worth.net,
        shipping_refund,
        shipping_by_points: shipping_refund - shipping.money,
        fee,
        whole: all_returned(lines),
        unshipped: returns::part_in_money(money, worth.unshipped, worth.total, order.currency),
        complete: left_to_ship == 0,
        actor: cx.principal.name(),
    })
}

/// The shipping to refund, if it is given, and the fee of an approval.
fn given_amounts(op: &ApproveReturn, order: &Order) -> Result<(Option<Amount>, Amount), Error> {
    let mut faults = Faults::default();
    let mut money = |amount: Amount, at: &str| match order.currency.exact(amount) {
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
    let shipping_refund = op.shipping_refund.map(|amount| money(amount, "/shippingRefund"));
    let fee = money(op.fee.unwrap_or_default(), "/fee");
    faults.finish()?;
    Ok((shipping_refund, fee))
}

/// Whether an order ends without any shipment, so that its shipping is returned with the last of its goods. When the money
/// is captured makes no difference.
fn was_never_needed(lines: &[OrderItem]) -> bool {
    all_returned(lines) && lines.iter().all(|line| line.shipped == 0)
}

/// What was paid for the shipping of an order, in money and points.
fn shipping_paid(order: &Order, lines: &[OrderItem]) -> Amount {
    let goods: Amount = lines.iter().map(|line| line.total).sum();
    order.total + order.points_value - goods
}

/// The shipping that approved returns of an order have refunded.
fn shipping_refunded(tx: &Tx<'_>, order: &Order) -> Result<Amount, Error> {
    let returns = all(tx, order.id)?;
    let approvals = returns.iter().filter_map(|row| row.approval.as_ref());
    Ok(approvals.map(|approval| approval.shipping_refund).fold(order.currency.zero(), |sum, refund| sum + refund))
}

/// How a part of the shipping is repaid in money and points, after `refunded` was.
fn split_shipping(order: &Order, lines: &[OrderItem], refunded: Amount, refund: Amount) -> Split {
    let goods = lines.iter().map(|line| line.total).sum();
    returns::split_shipping(
        (goods, shipping_paid(order, lines)),
        refunded,
        refund,
        order.points_redeemed,
        order.points_value,
        order.currency,
    )
}

/// Sets a return to APPROVED with the refund that the payment service decided; `settled` is `None` if the order has no
/// payment. Repeating it changes nothing.
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
    note(&mut order, tx.now(), "RETURN", "DONE", &detail, &actor)?;
    let is_refunded = finish_if_returned(&mut order, &lines);
    let ended = !is_refunded && update_status(&mut order, &lines) == Some(OrderStatus::Delivered);
    touch(tx, &mut order)?;
    // Nobody is told that goods were delivered of which nothing is kept.
    if ended && !all_returned(&lines) {
        tx.emit(order.id, &OrderDelivered(fact(&order)))?;
    }
    tx.emit(order.id, &returned_fact(&order, &lines, &row))?;
    Ok(return_view(row))
}

/// The description of an approved return in the timeline.
fn describe(order: &Order, row: &Return) -> String {
    let currency = order.currency;
    let mut parts = vec![format!("Return {} refunds {} {currency}", row.id, row.refund)];
    if !row.voided.is_zero() {
        parts.push(format!("{} {currency} is no longer due", row.voided));
    }
    if row.points > 0 {
        parts.push(format!("{} points are returned", row.points));
    }
    parts.join(", ") + "."
}

/// The event of an approved return.
fn returned_fact(order: &Order, lines: &[OrderItem], row: &Return) -> OrderReturned {
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

/// Counts the money and the revenue of a return. The returned revenue never exceeds the order's.
fn count_return(order: &mut Order, lines: &[OrderItem], row: &Return, net: Amount) {
    let revenue = revenue(order, lines);
    order.given_back += row.refund + row.voided;
    order.returned_net = (order.returned_net + net).min(revenue);
}

/// Counts a refund of money without goods. It reduces the revenue of the order by its share of what remains; it is not
/// split over the lines.
pub(crate) fn count_refund(order: &mut Order, lines: &[OrderItem], amount: Amount) {
    let remaining_revenue = revenue(order, lines) - order.returned_net;
    let remaining_points_value = match order.points_redeemed {
        0 => Decimal::ZERO,
        all => order.points_value.0 * Decimal::from(all - order.returned_points) / Decimal::from(all),
    };
    let remaining_paid = (order.total - order.given_back).0 + remaining_points_value;
    order.returned_net +=
        returns::share_of_remaining_revenue(remaining_revenue, amount, remaining_paid, order.currency);
    order.given_back += amount;
}

/// The revenue of an order's goods.
fn revenue(order: &Order, lines: &[OrderItem]) -> Amount {
    lines.iter().map(|line| line.net(order.prices_include_tax)).sum()
}

/// Rejects a requested return. Repeating it changes nothing.
pub(crate) fn reject(tx: &mut Tx<'_>, cx: &Cx, id: OrderId, rid: ReturnId) -> Result<ReturnView, Error> {
    let mut row = return_of_order(tx, id, rid)?;
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
    note(&mut order, tx.now(), "RETURN", "FAILED", &format!("Return {rid} was rejected."), &cx.principal.name())?;
    touch(tx, &mut order)?;
    Ok(return_view(row))
}

/// A return of an order; 404 if the order has no such return.
fn return_of_order(tx: &Tx<'_>, id: OrderId, rid: ReturnId) -> Result<Return, Error> {
    tx.get::<Return>(&rid)?.filter(|row| row.order_id == id).ok_or_else(|| Error::not_found("return"))
}

/// Refuses a return that is already approved or rejected.
fn refuse_decided(row: &Return) -> Result<(), Error> {
    if row.status == ReturnStatus::Requested {
        return Ok(());
    }
    Err(reject::state(codes::RETURN_DECIDED, format!("The return is already {}.", row.status), row.status))
}

/// Records that an approved return is refunded and restocked.
pub(crate) fn mark_completed(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.due_at = None;
    Ok(tx.put(&row)?)
}

/// Schedules another attempt to refund and restock an approved return.
pub(crate) fn retry_later(tx: &mut Tx<'_>, rid: ReturnId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Return>(&rid)? else { return Ok(()) };
    row.tries += 1;
    row.due_at = Some(tx.now() + PAUSES.after(row.tries));
    Ok(tx.put(&row)?)
}
