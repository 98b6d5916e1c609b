//! The audit of orders: their invariants, and the facts that other services must agree with.

use promox_contract::analytics::{COUNTED, CREDITED, REFUNDED, REFUNDED_BY_PAYMENT, counted};
use promox_contract::inventory::{SOLD, SkuQuantity, units_out};
use promox_contract::order::OrderStatus;
use promox_contract::payment::{
    DUE, PAID, PAYMENT_REFUNDS, PaymentCaptured, PaymentFailed, PaymentRefunded, PaymentStatus, SETTLED, return_effect,
};
use promox_contract::product::{VARIANTS, variant_named};
use promox_contract::reward::{EARNED, SPENT};
use promox_contract::store::IN_CURRENCY;
use promox_kernel::Amount;
use promox_storage::{Database, Event, Report, StoreError, Tx};

use crate::commands::erasure;
use crate::commands::fulfil::{all_returned, is_money_returned};
use crate::events::PAYMENT_EVENTS;
use crate::order_facts;
use crate::records::{CreditNote, LeavingBuyer, Order, OrderItem, Return, ReturnByOrder, ReturnStatus, Saga};
use crate::rules::states;

/// The attempts after which an approved return counts as stuck, which is some minutes after the approval.
const MAX_TRIES: i64 = 8;

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut items = tx.scan::<OrderItem>().rows().peekable();
    for order in tx.scan::<Order>().rows() {
        let order = order?;
        let mut lines = Vec::new();
        while let Some(item) = items.next_if(|item| item.as_ref().is_ok_and(|item| item.order_id == order.id)) {
            lines.push(item?);
        }
        let returns: Vec<Return> = tx.scan_by::<ReturnByOrder>().prefix(order.id).rows().collect::<Result<_, _>>()?;
        check_order(&order, &lines, report);
        check_returns(&order, &lines, &returns, report);
        report_money(&order, &returns, report);
        for line in &lines {
            if let Some(id) = line.variant_id {
                report.names(VARIANTS, variant_named(id, line.product_id), || format!("order {}", order.id));
            }
        }
        check_saga(tx, &order, report)?;
        check_erased(tx, &order, report)?;
        report_sold(&order, &lines, &returns, report);
        order_facts::report_discounts(&order, &lines, report);
    }
    for saga in tx.scan::<Saga>().rows() {
        let order_id = saga?.order_id;
        order_facts::exclude(order_id, report);
        report.open(SOLD, order_id);
        report.open(SPENT, order_id);
        report.open(EARNED, order_id);
    }
    open_unprocessed(tx, report)?;
    report.check("references: every order line belongs to an order", items.next().is_none(), || {
        "a line without an order".to_owned()
    });
    for note in tx.scan::<CreditNote>().rows() {
        let note = note?;
        report.left(CREDITED, note.id, note.total.0.normalize());
    }
    Ok(())
}

/// Checks the sums of an order, and reports the facts about its revenue, refunds and points.
fn check_order(order: &Order, lines: &[OrderItem], report: &mut Report) {
    let sum = |part: fn(&OrderItem) -> Amount| lines.iter().map(part).sum::<Amount>();
    let tag = || format!("order {}", order.id);
    report.names(IN_CURRENCY, order.currency.code(), tag);
    let amounts = [order.subtotal, order.discount, order.shipping, order.tax, order.points_value, order.total];
    let exact = amounts.iter().all(|amount| order.currency.minor_units(*amount).is_some());
    report.check("order: amounts have no more digits than their currency", exact, tag);
    report.check(
        "order: subtotal and discount = sums of its lines",
        sum(|l| l.subtotal) == order.subtotal && sum(|l| l.discount) == order.discount,
        tag,
    );
    let shipping = order.shipping - order.shipping_discount;
    let added_shipping_tax = if order.prices_include_tax { Amount::ZERO } else { order.tax - sum(|l| l.tax) };
    let total = sum(|l| l.total) + shipping + added_shipping_tax - order.points_value;
    report.check("order: total = lines − discounts + shipping + tax − points", total == order.total, || {
        format!("order {}: its parts add up to {total}, not to {}", order.id, order.total)
    });
    for line in lines {
        check_line(order, line, report);
    }
    let has_timeline = order.imported || !order.timeline.is_empty();
    report.check("order: the timeline is not empty", has_timeline, tag);
    if !matches!(order.status, OrderStatus::Pending | OrderStatus::Failed | OrderStatus::Cancelled) {
        let revenue: Amount = lines.iter().map(|line| line.net(order.prices_include_tax)).sum();
        report.left(COUNTED, order.id, counted(revenue, order.returned_net));
        order_facts::report_campaign_sales(order, lines, report);
    }
    let refunded: Amount = order.refunds.iter().map(|refund| refund.amount).sum();
    if !refunded.is_zero() {
        report.left(REFUNDED, order.id, refunded.0.normalize());
        if !order.imported {
            report.right(REFUNDED_BY_PAYMENT, order.id, refunded.0.normalize());
        }
    }
    if order.points_redeemed > 0
        && !order.imported
        && !matches!(order.status, OrderStatus::Failed | OrderStatus::Cancelled)
    {
        report.left(SPENT, order.id, order.points_redeemed);
    }
    if order.points_earned > 0 && !order.imported && was_confirmed(order) {
        report.left(EARNED, order.id, order.points_earned);
    }
}

/// Checks that returned units match the returns, that no more is returned than was paid, and that an order is REFUNDED
/// if and only if all goods and all money are returned.
fn check_returns(order: &Order, lines: &[OrderItem], returns: &[Return], report: &mut Report) {
    let tag = || format!("order {}", order.id);
    let total: Amount = lines.iter().map(|line| line.total).sum();
    let whole_returned = !lines.is_empty() && all_returned(lines);
    report.check("refunds of all units = what was paid for them", !whole_returned || order.returned == total, tag);
    let revenue: Amount = lines.iter().map(|line| line.net(order.prices_include_tax)).sum();
    let within = order.returned <= total
        && order.given_back <= order.total
        && order.returned_points <= order.points_redeemed
        && order.returned_net <= revenue;
    report.check("refunds: money, points and revenue returned are within what was paid", within, tag);
    for row in returns {
        let decided = row.status != ReturnStatus::Requested;
        let approved = row.approval.is_some() && row.status != ReturnStatus::Rejected;
        let settles_if_approved = row.due_at.is_none() || approved;
        report.check("returns: money and goods move only after an approval", settles_if_approved, || {
            format!("return {}", row.id)
        });
        report.check("returns: a decided return has a decision time", decided == row.decided_at.is_some(), || {
            format!("return {}", row.id)
        });
        report.check(
            "returns: an approved return is completed within its retries",
            row.due_at.is_none() || row.tries < MAX_TRIES,
            || format!("return {} has been tried {} times", row.id, row.tries),
        );
    }
    if order.imported || returns.iter().any(Return::is_settling) {
        return;
    }
    report.check(
        "order: a completely returned order has no revenue left",
        !whole_returned || order.returned_net == revenue,
        || format!("order {}: {} of {revenue}", order.id, order.returned_net),
    );
    let ended = whole_returned && is_money_returned(order);
    report.check(
        "order: REFUNDED = all its goods and all its money are returned",
        !was_confirmed(order) || ended == (order.status == OrderStatus::Refunded),
        tag,
    );
    let in_returns: u32 = returns
        .iter()
        .filter(|row| row.status == ReturnStatus::Approved)
        .flat_map(|row| row.items.iter())
        .map(|item| item.quantity)
        .sum();
    let in_lines: u32 = lines.iter().map(|line| line.returned).sum();
    report.check("returns: units of approved returns = returned units of the lines", in_returns == in_lines, tag);
}

/// Reports the facts that payments must agree with: the captured or due amount of an order, and the refunds of each
/// return and in total.
fn report_money(order: &Order, returns: &[Return], report: &mut Report) {
    if order.imported {
        return;
    }
    let voided: Amount = returns.iter().map(|row| row.voided).sum();
    let due = order.total - voided;
    if was_confirmed(order) && !due.is_zero() {
        match order.payment_status {
            Some(PaymentStatus::Pending | PaymentStatus::Authorized | PaymentStatus::PartiallyCaptured) => {
                report.left(DUE, order.id, due);
            }
            Some(PaymentStatus::Voided) => {
                let confirmed = order.status == OrderStatus::Confirmed;
                report.check("order: no confirmed order has a voided payment", !confirmed, || {
                    format!("order {}", order.id)
                });
            }
            _ => report.left(PAID, order.id, due),
        }
    }
    if order.given_back > voided {
        report.left(PAYMENT_REFUNDS, order.id, order.given_back - voided);
    }
    for row in returns {
        if row.due_at.is_some() {
            [PAYMENT_REFUNDS, PAID, DUE].into_iter().for_each(|invariant| report.open(invariant, order.id));
            report.open(SETTLED, row.id.0);
        }
        if row.status == ReturnStatus::Approved && order.payment_id.is_some() {
            report.left(SETTLED, row.id.0, return_effect(row.refund, row.voided));
        }
    }
}

/// Excludes orders with unprocessed payment events from the comparison with payments.
fn open_unprocessed(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let last_processed = tx.consumer_position(PAYMENT_EVENTS)?;
    for event in tx.scan::<Event>().prefix(Event::log_of(Database::Ecommerce)).from(last_processed + 1).rows() {
        let event = event?;
        let order_id = if event.is::<PaymentCaptured>() {
            event.fact::<PaymentCaptured>()?.order_id
        } else if event.is::<PaymentFailed>() {
            event.fact::<PaymentFailed>()?.order_id
        } else if event.is::<PaymentRefunded>() {
            event.fact::<PaymentRefunded>()?.order_id
        } else {
            continue;
        };
        [PAYMENT_REFUNDS, PAID, DUE, REFUNDED_BY_PAYMENT]
            .into_iter()
            .for_each(|invariant| report.open(invariant, order_id));
    }
    Ok(())
}

/// Whether an order was confirmed and has not been cancelled.
fn was_confirmed(order: &Order) -> bool {
    use OrderStatus as Status;
    matches!(
        order.status,
        Status::Confirmed | Status::Processing | Status::Shipped | Status::Delivered | Status::Refunded
    )
}

/// Reports the units that stock must agree with: those that were sold and not returned. Flash sale units are allocated
/// separately. If an order has such lines and returns, it is excluded, because it is unknown which line a returned unit
/// belongs to.
fn report_sold(order: &Order, lines: &[OrderItem], returns: &[Return], report: &mut Report) {
    let unsold = matches!(order.status, OrderStatus::Pending | OrderStatus::Failed | OrderStatus::Cancelled);
    if unsold || order.imported {
        return;
    }
    let plain = lines.iter().filter(|line| line.flash_sale_id.is_none());
    let sold = plain.filter_map(|line| Some((line.variant_id?, i64::from(line.quantity))));
    let approved: Vec<&Return> = returns.iter().filter(|row| row.status == ReturnStatus::Approved).collect();
    let returned_items = approved.iter().flat_map(|row| row.items.iter());
    let variant_of = |item: &SkuQuantity| lines.iter().find(|line| line.sku == item.sku)?.variant_id;
    let returned = returned_items.filter_map(|item| Some((variant_of(item)?, -i64::from(item.quantity))));
    let units = units_out(sold.chain(returned));
    let is_ambiguous = !approved.is_empty() && lines.iter().any(|line| line.flash_sale_id.is_some());
    if is_ambiguous || returns.iter().any(|row| row.due_at.is_some()) {
        report.open(SOLD, order.id);
    }
    if !units.is_empty() {
        report.left(SOLD, order.id, units);
    }
}

fn check_line(order: &Order, line: &OrderItem, report: &mut Report) {
    let tag = || format!("order {} line {}", order.id, line.line);
    let product = line.unit_price.times(i64::from(line.quantity));
    report.check("order: a line's subtotal = quantity × price", product.is_some_and(|p| p == line.subtotal), tag);
    let bounded = !line.discount.is_negative() && line.discount <= line.subtotal;
    report.check("order: 0 ≤ discount of a line ≤ its subtotal", bounded, tag);
    let shares: Amount = line.discounts.iter().map(|share| share.amount).sum();
    // Imported discounts may lack their promotions.
    report.check("order: a line's discount = sum of its shares", order.imported || shares == line.discount, tag);
    report.check("order: delivered ≤ shipped ≤ ordered, returned ≤ shipped + withdrawn", states::units_fit(line), tag);
}

/// Checks that an order of an erased user has ended and contains no personal data.
fn check_erased(tx: &Tx<'_>, order: &Order, report: &mut Report) -> Result<(), StoreError> {
    let Some(user_id) = order.user_id else { return Ok(()) };
    if tx.get::<LeavingBuyer>(&user_id)?.is_some_and(|buyer| buyer.erased_at.is_some()) {
        let erased = erasure::is_erased(tx, order)?;
        report.check("erasure: the orders of an erased user have ended and contain no personal data", erased, || {
            format!("order {}", order.id)
        });
    }
    Ok(())
}

/// Checks that a pending order has a saga, and that the saga of a decided order only compensates it.
fn check_saga(tx: &Tx<'_>, order: &Order, report: &mut Report) -> Result<(), StoreError> {
    let saga = tx.get::<Saga>(&order.id)?;
    let pending = order.status == OrderStatus::Pending;
    report.check("saga: a pending order has a saga", !pending || saga.is_some(), || {
        format!("order {} is PENDING without a saga", order.id)
    });
    if saga.is_some() {
        [PAYMENT_REFUNDS, PAID, DUE].into_iter().for_each(|invariant| report.open(invariant, order.id));
    }
    let compensates = |saga: &Saga| saga.draft.decode().is_ok_and(|draft| draft.undo.is_some());
    let pending_or_compensating = saga.as_ref().is_none_or(|saga| pending || compensates(saga));
    report.check("saga: a decided order's saga only compensates", pending_or_compensating, || {
        format!("order {}", order.id)
    });
    Ok(())
}
