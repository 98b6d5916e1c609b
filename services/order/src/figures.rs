//! Figures for other services: a customer's purchases, and orders and credit notes for analytics and backtests.

use std::collections::{BTreeMap, HashSet};

use promox_contract::buyer::Buyer;
use promox_contract::ids::OrderId;
use promox_contract::order::{
    CreditFigure, CreditFigureList, FigureLine, FigureRefund, FigureUse, FirstPaidOrder, ListCreditFigures,
    ListOrderFigures, OrderFigure, OrderFigureList, OrderStatus, PurchaseTotals,
};
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Email, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::queries::{items, totals};
use crate::records::{CreditNote, CreditNoteId, Order, OrderByCreated, OrderByMailbox, OrderByUser, OrderItem};
use crate::tokens;

/// Default number of orders per reply.
const DEFAULT_LIMIT: usize = 500;
/// Approximate maximum of order and line rows read for one reply.
const MAX_ROWS: usize = 15_000;
/// Maximum orders of one customer that are counted.
const MAX_PURCHASES: usize = 10_000;

/// The first order, of the account `user_id` or with its e-mail address, that was paid and not completely returned.
pub(crate) fn first_paid(
    tx: &Tx<'_>,
    user_id: UserId,
    buyer: &Buyer,
    referrer: &Buyer,
) -> Result<FirstPaidOrder, StoreError> {
    let own = tx.scan_by::<OrderByUser>().prefix(Some(user_id)).rows().take(MAX_PURCHASES);
    let mut orders: Vec<Order> = own.collect::<Result<_, _>>()?;
    if let Some(email) = buyer.email() {
        for order in tx.scan_by::<OrderByMailbox>().prefix(Some(email.mailbox())).rows().take(MAX_PURCHASES) {
            let order = order?;
            if order.email.as_ref().is_some_and(|address| buyer.same(address, email)) {
                orders.push(order);
            }
        }
    }
    orders.sort_by_key(|order| (order.created_at, order.id));
    for order in orders {
        if is_kept(tx, &order)? {
            let has_address = |email: &Email| order.email.as_ref().is_some_and(|address| buyer.same(address, email));
            let of_referrer = referrer.email().is_some_and(has_address);
            let by_account = order.user_id == Some(user_id);
            return Ok(FirstPaidOrder { order_id: Some(order.id), by_account, of_referrer });
        }
    }
    Ok(FirstPaidOrder::default())
}

/// Whether an order was paid and not all of its goods were returned.
fn is_kept(tx: &Tx<'_>, order: &Order) -> Result<bool, StoreError> {
    use OrderStatus as Status;
    let active = matches!(order.status, Status::Confirmed | Status::Processing | Status::Shipped | Status::Delivered);
    let paid = matches!(order.payment_status, Some(PaymentStatus::Captured | PaymentStatus::PartiallyRefunded));
    let imported_sale = order.imported && order.total > Amount::ZERO;
    if !active || !(paid || imported_sale) {
        return Ok(false);
    }
    Ok(items(tx, order.id)?.iter().any(|line| line.returned < line.quantity))
}

/// The number and total of the orders of these accounts or with these addresses. Each order counts once; failed and
/// cancelled orders do not count.
pub(crate) fn purchases(
    tx: &Tx<'_>,
    buyer: &Buyer,
    accounts: &[UserId],
    emails: &[Email],
) -> Result<PurchaseTotals, StoreError> {
    let mut seen = HashSet::new();
    let mut totals = PurchaseTotals::default();
    let mut add = |order: Order| {
        let counts = !matches!(order.status, OrderStatus::Failed | OrderStatus::Cancelled);
        if counts && seen.insert(order.id) {
            totals.count += 1;
            totals.total += order.total;
        }
    };
    for user in accounts {
        for order in tx.scan_by::<OrderByUser>().prefix(Some(*user)).rows().take(MAX_PURCHASES) {
            add(order?);
        }
    }
    for email in emails {
        for order in tx.scan_by::<OrderByMailbox>().prefix(Some(email.mailbox())).rows().take(MAX_PURCHASES) {
            let order = order?;
            if order.email.as_ref().is_some_and(|address| buyer.same(address, email)) {
                add(order);
            }
        }
    }
    Ok(totals)
}

/// The orders with the given ids; without ids, a page of all orders, oldest first.
pub(crate) fn orders(tx: &Tx<'_>, op: &ListOrderFigures) -> Result<OrderFigureList, Error> {
    if op.ids.is_empty() { by_time(tx, op) } else { by_id(tx, &op.ids) }
}

fn by_id(tx: &Tx<'_>, ids: &[OrderId]) -> Result<OrderFigureList, Error> {
    let mut list = OrderFigureList::default();
    for id in ids {
        if let Some(order) = tx.get::<Order>(id)? {
            list.items.push(figure(tx, order)?);
        }
    }
    Ok(list)
}

/// A page of orders by the time at which they were placed. It ends at the limit, or after about [`MAX_ROWS`] rows.
fn by_time(tx: &Tx<'_>, op: &ListOrderFigures) -> Result<OrderFigureList, Error> {
    let from = op.from.unwrap_or(Timestamp(i64::MIN));
    let scan = tx.scan_by::<OrderByCreated>();
    let scan = match op.after {
        Some((at, id)) => scan.from((at, OrderId(id.0 + 1))),
        None => scan.from(from),
    };
    let scan = match op.to {
        Some(to) => scan.before(to),
        None => scan,
    };
    let (mut list, mut rows) = (OrderFigureList::default(), 0);
    for order in scan.rows().take(op.limit.unwrap_or(DEFAULT_LIMIT)) {
        let figure = figure(tx, order?)?;
        rows += figure.lines.len() + 1;
        list.items.push(figure);
        if rows >= MAX_ROWS {
            break;
        }
    }
    Ok(list)
}

fn figure(tx: &Tx<'_>, order: Order) -> Result<OrderFigure, Error> {
    let lines = items(tx, order.id)?.into_iter().map(figure_line).collect();
    Ok(OrderFigure {
        id: order.id,
        status: order.status,
        user_id: order.user_id,
        customer: customer(&order),
        currency: order.currency,
        prices_include_tax: order.prices_include_tax,
        lines,
        totals: totals(&order),
        uses: uses(&order),
        refunds: order.refunds.iter().map(|refund| FigureRefund { at: refund.at.0, amount: refund.amount }).collect(),
        returned: order.returned_net,
        imported: order.imported,
        placed_at: order.created_at,
    })
}

/// The cost of each promotion of an order: the amount taken from its budget, or else the sum of its discounts.
fn uses(order: &Order) -> Vec<FigureUse> {
    let mut uses = BTreeMap::new();
    for applied in &order.details.applied {
        let without_cost = || FigureUse { promotion_id: applied.promotion_id, campaign_id: None, cost: Amount::ZERO };
        let discount = applied.amount + applied.shipping_amount;
        uses.entry(applied.promotion_id.0).or_insert_with(without_cost).cost += discount;
    }
    uses.extend(order.details.uses.iter().map(|applied| (applied.promotion_id.0, applied.clone())));
    uses.into_values().collect()
}

fn figure_line(item: OrderItem) -> FigureLine {
    FigureLine { campaign_id: item.campaign_id, line: item.into_line() }
}

/// A key that identifies the customer of an order and contains no personal data.
fn customer(order: &Order) -> String {
    let imported = order.details.customer.clone();
    let account = order.user_id.map(|user| format!("user:{user}"));
    let guest = || order.email.as_ref().map(|email| format!("guest:{}", tokens::digest_hex(&email.normal())));
    account.or(imported).or_else(guest).unwrap_or_else(|| format!("order:{}", order.id))
}

/// A page of credit notes, in the order of their ids.
pub(crate) fn credits(tx: &Tx<'_>, op: &ListCreditFigures) -> Result<CreditFigureList, StoreError> {
    let notes = tx.scan::<CreditNote>().from(CreditNoteId(op.after.saturating_add(1))).collect(op.limit)?;
    let figure = |note: CreditNote| CreditFigure { id: note.id.0, total: note.total, issued_at: note.issued_at };
    Ok(CreditFigureList { items: notes.into_iter().map(figure).collect() })
}
