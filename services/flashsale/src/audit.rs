//! Audit of flash sales: recomputes the taken units of each item from active reservations and purchases.

use std::collections::BTreeMap;

use promox_contract::flashsale::{ALLOCATED, TAKEN};
use promox_contract::ids::{FlashSaleId, OrderId};
use promox_contract::inventory::units_out;
use promox_contract::product::{VARIANTS, variant_named};
use promox_contract::store::IN_CURRENCY;
use promox_kernel::UserId;
use promox_storage::{Hold, HoldState, Report, StoreError, Tx};

use crate::queries;
use crate::records::{
    FlashHold, FlashItem, FlashPurchase, FlashSale, PurchaseByDue, PurchaseStatus, SaleStatus, UserCount,
};

type ItemKey = (FlashSaleId, u32);

/// Units of reservations and purchases, summed from their rows.
#[derive(Default)]
struct Totals {
    held: BTreeMap<ItemKey, i64>,
    bought: BTreeMap<ItemKey, i64>,
    users: BTreeMap<(FlashSaleId, u32, UserId), i64>,
    /// Units of `bought` that were reported to the inventory.
    reported: BTreeMap<ItemKey, i64>,
    /// Units claimed or bought by each order.
    orders: BTreeMap<OrderId, Vec<(ItemKey, i64)>>,
}

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut totals = Totals::default();
    read_holds(tx, report, &mut totals)?;
    read_purchases(tx, report, &mut totals)?;
    for sale in tx.scan::<FlashSale>().rows() {
        let sale = sale?;
        check_sale(tx, report, &sale)?;
        report.names(IN_CURRENCY, sale.currency.code(), || format!("flash sale {}", sale.id));
        for item in queries::items(tx, sale.id)? {
            let exact = sale.currency.minor_units(item.sale_price).is_some();
            report.check("flash sale: prices have no more digits than their currency", exact, || {
                format!("flash sale {} {}: {}", sale.id, item.sku, item.sale_price)
            });
        }
        report_allocations(tx, report, &sale, &totals)?;
    }
    report_orders(tx, report, &totals)?;
    let mut limits = BTreeMap::new();
    for item in tx.scan::<FlashItem>().rows() {
        let item = item?;
        report.names(VARIANTS, variant_named(item.variant_id, None), || format!("flash sale {}", item.sale_id));
        limits.extend(item.per_user_limit.map(|limit| ((item.sale_id, item.item), i64::from(limit))));
        check_item(report, &item, &mut totals);
    }
    let stray = totals.held.len() + totals.bought.len();
    report.check("flash sale: every reservation belongs to an item", stray == 0, || format!("{stray} do not"));
    check_users(tx, report, &limits, totals.users)
}

fn read_holds(tx: &Tx<'_>, report: &mut Report, totals: &mut Totals) -> Result<(), StoreError> {
    for hold in tx.scan::<FlashHold>().rows() {
        let hold = hold?;
        let key = (hold.sale_id, hold.item);
        let (held, live) = (hold.state == HoldState::Held, hold.state.is_live());
        if held {
            *totals.held.entry(key).or_default() += i64::from(hold.quantity);
        }
        if live {
            *totals.users.entry((key.0, key.1, hold.user_id)).or_default() += i64::from(hold.quantity);
        }
        if let Some(order) = hold.order_id.filter(|_| live) {
            totals.orders.entry(order).or_default().push((key, i64::from(hold.quantity)));
        }
        let claimed = hold.order_id.is_some();
        let marked = hold.live_in == (held && !claimed).then_some(hold.sale_id)
            && hold.claimed_in == (held && claimed).then_some(hold.sale_id)
            && (claimed || hold.state != HoldState::Posted);
        report.check("flash sale: a reservation belongs to its user or an order, or has ended", marked, || {
            format!("reservation {} is {}", hold.id, hold.state)
        });
        let bought =
            tx.get::<FlashPurchase>(&hold.id)?.is_some_and(|purchase| purchase.status == PurchaseStatus::Bought);
        report.check(
            "flash sale: a confirmed reservation has a purchase",
            bought == (hold.state == HoldState::Posted),
            || format!("reservation {} is {}", hold.id, hold.state),
        );
    }
    FlashHold::audit(tx, report)
}

fn read_purchases(tx: &Tx<'_>, report: &mut Report, totals: &mut Totals) -> Result<(), StoreError> {
    for purchase in tx.scan::<FlashPurchase>().rows() {
        let purchase = purchase?;
        let known = tx.get::<FlashHold>(&purchase.id)?;
        let same = known.is_some_and(|hold| hold.user_id == purchase.user_id && hold.quantity == purchase.quantity);
        report.check("flash sale: a purchase belongs to its reservation", same, || format!("purchase {}", purchase.id));
        if purchase.status == PurchaseStatus::Bought {
            let (key, quantity) = ((purchase.sale_id, purchase.item), i64::from(purchase.quantity));
            *totals.bought.entry(key).or_default() += quantity;
            if purchase.due_in.is_none() {
                *totals.reported.entry(key).or_default() += quantity;
            }
        }
    }
    Ok(())
}

/// Reports the allocation that the inventory must have: all units minus those sold or, after the sale, those kept for
/// orders in progress.
fn report_allocations(tx: &Tx<'_>, report: &mut Report, sale: &FlashSale, totals: &Totals) -> Result<(), StoreError> {
    let has_unreported = tx.scan_by::<PurchaseByDue>().prefix(Some(sale.id)).first()?.is_some();
    if sale.draft.is_some() || has_unreported || (sale.is_over() && sale.due_at.is_some()) {
        report.open(ALLOCATED, sale.id);
    }
    let allocated = if sale.is_over() {
        let kept = queries::units_to_keep(tx, sale.id)?.into_iter();
        units_out(kept.map(|item| (item.variant_id, i64::from(item.quantity))))
    } else {
        let sold = |item: &FlashItem| totals.reported.get(&(sale.id, item.item)).copied().unwrap_or(0);
        let items = queries::items(tx, sale.id)?.into_iter();
        units_out(items.map(|item| (item.variant_id, item.stock - sold(&item))))
    };
    if !allocated.is_empty() {
        report.left(ALLOCATED, sale.id, allocated);
    }
    Ok(())
}

/// Reports the flash sale lines that orders must have.
fn report_orders(tx: &Tx<'_>, report: &mut Report, totals: &Totals) -> Result<(), StoreError> {
    for (order, parts) in &totals.orders {
        let mut units = Vec::with_capacity(parts.len());
        for (key, quantity) in parts {
            if let Some(item) = tx.get::<FlashItem>(key)? {
                units.push((format!("{}:{}", key.0, item.variant_id), *quantity));
            }
        }
        report.right(TAKEN, *order, units_out(units));
    }
    Ok(())
}

fn check_sale(tx: &Tx<'_>, report: &mut Report, sale: &FlashSale) -> Result<(), StoreError> {
    let open = sale.open_until == sale.is_open().then_some(sale.ends_at);
    report.check("flash sale: it is open while it is running", open, || format!("sale {} is {}", sale.id, sale.status));
    if sale.is_open() {
        let left = queries::items(tx, sale.id)?.iter().any(|item| item.left() > 0);
        report.check(
            "flash sale: SOLD_OUT means that nothing is left",
            left == (sale.status == SaleStatus::Active),
            || format!("sale {} is {}", sale.id, sale.status),
        );
    }
    Ok(())
}

fn check_item(report: &mut Report, item: &FlashItem, totals: &mut Totals) {
    let FlashItem { sale_id, sku, stock, taken, sold, .. } = item;
    let key = (*sale_id, item.item);
    let (held, bought) = (totals.held.remove(&key).unwrap_or(0), totals.bought.remove(&key).unwrap_or(0));
    report.check("flash sale: 0 ≤ taken ≤ allocated", (0..=*stock).contains(taken), || {
        format!("sale {sale_id}, {sku}: {taken} taken of {stock}")
    });
    report.check("flash sale: taken = purchases + active holds", *taken == held + bought, || {
        format!("sale {sale_id}, {sku}: {taken} taken, but {held} held and {bought} bought")
    });
    report.check("flash sale: sold = purchases", *sold == bought, || {
        format!("sale {sale_id}, {sku}: {sold} sold, but {bought} bought")
    });
}

fn check_users(
    tx: &Tx<'_>,
    report: &mut Report,
    limits: &BTreeMap<ItemKey, i64>,
    mut users: BTreeMap<(FlashSaleId, u32, UserId), i64>,
) -> Result<(), StoreError> {
    users.retain(|(sale, item, _), _| limits.contains_key(&(*sale, *item)));
    for count in tx.scan::<UserCount>().rows() {
        let count = count?;
        let has = users.remove(&(count.sale_id, count.item, count.user_id)).unwrap_or(0);
        let limit = limits.get(&(count.sale_id, count.item)).copied().unwrap_or(0);
        report.check("flash sale: no user exceeds the limit", count.taken <= limit, || {
            format!("sale {}: user {} has {} of {limit}", count.sale_id, count.user_id, count.taken)
        });
        report.check("flash sale: a user's count = the user's reservations and purchases", count.taken == has, || {
            format!("sale {}: user {} has {has}, but {} are counted", count.sale_id, count.user_id, count.taken)
        });
    }
    report.check("flash sale: a user's count = the user's reservations and purchases", users.is_empty(), || {
        format!("{} users have no count", users.len())
    });
    Ok(())
}
