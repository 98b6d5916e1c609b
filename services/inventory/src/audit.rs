//! Audit of the stock: recomputes it from the ledger, the locations and the active holds.

use std::collections::BTreeMap;

use promox_contract::flashsale::ALLOCATED;
use promox_contract::ids::VariantId;
use promox_contract::inventory::{SOLD, units_out};
use promox_contract::product::{VARIANTS, variant_named};
use promox_storage::{Hold, HoldState, Report, StoreError, Tx};

use crate::records::{AllocationPurchase, Movement, Reservation, Stock};

/// What the ledger says about a variant.
#[derive(Default)]
struct LedgerTotals {
    /// The sum of the movements.
    sum: i64,
    /// The number of the newest movement.
    newest: i64,
    /// Whether the numbers of the movements have a gap.
    gap: bool,
}

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let ledger = read_ledger(tx, report)?;
    let mut held = read_holds(tx, report)?;
    check_purchases(tx, report)?;
    let none = LedgerTotals::default();
    let mut with_stock = 0;
    for stock in tx.scan::<Stock>().rows() {
        let stock = stock?;
        let named = variant_named(stock.variant_id, Some(stock.product_id));
        report.names(VARIANTS, named, || format!("stock of {}", stock.sku));
        let totals = ledger.get(&stock.variant_id).unwrap_or(&none);
        with_stock += usize::from(ledger.contains_key(&stock.variant_id));
        check_stock(report, &stock, totals);
        check_locations(report, &stock, &mut held);
    }
    report.check("stock: every movement belongs to a variant in stock", with_stock == ledger.len(), || {
        format!("{with_stock} of {} variants with movements have stock", ledger.len())
    });
    for ((id, location), quantity) in held {
        report.check("stock: reserved = sum of active holds", quantity == 0, || {
            format!("{quantity} of variant {id} at {location} are held but not reserved")
        });
    }
    Ok(())
}

fn read_ledger(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeMap<VariantId, LedgerTotals>, StoreError> {
    let mut ledger: BTreeMap<VariantId, LedgerTotals> = BTreeMap::new();
    for movement in tx.scan::<Movement>().rows() {
        let movement = movement?;
        let totals = ledger.entry(movement.variant_id).or_default();
        totals.sum += movement.delta;
        totals.gap |= movement.number != totals.newest + 1;
        totals.newest = movement.number;
        report.check("stock: each movement records the stock on hand after it", totals.sum == movement.on_hand, || {
            format!(
                "variant {} movement {}: {} recorded, {} expected",
                movement.variant_id, movement.number, movement.on_hand, totals.sum
            )
        });
    }
    Ok(ledger)
}

/// Checks every hold. Returns the units that active holds reserve, by variant and location.
fn read_holds(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeMap<(VariantId, String), i64>, StoreError> {
    let mut held = BTreeMap::new();
    for reservation in tx.scan::<Reservation>().rows() {
        let reservation = reservation?;
        let live = reservation.state == HoldState::Held;
        report.check("stock: a hold is active or has ended", live == reservation.ended_at.is_none(), || {
            format!("reservation {} is {}", reservation.id, reservation.state)
        });
        report.check("stock: an ended hold has no expiry", live || reservation.lapses_at.is_none(), || {
            format!("reservation {} is {}", reservation.id, reservation.state)
        });
        report_sold(&reservation, report);
        report_allocations(&reservation, report);
        for line in reservation.lines.iter() {
            report.check("stock: restocked ≤ sold", line.out() + line.restocked == line.quantity, || {
                format!("reservation {}: {} restocked of variant {}", reservation.id, line.restocked, line.variant_id)
            });
            for taken in line.taken().into_iter().filter(|_| live) {
                *held.entry((line.variant_id, taken.location)).or_default() += i64::from(taken.quantity);
            }
        }
    }
    Reservation::audit(tx, report)?;
    Ok(held)
}

/// Reports the units of an order that are held or sold.
fn report_sold(reservation: &Reservation, report: &mut Report) {
    let order = reservation.reference.strip_prefix("order:").and_then(|id| id.parse::<i64>().ok());
    let Some(order) = order.filter(|_| reservation.state.is_live()) else { return };
    let units = units_out(reservation.lines.iter().map(|line| (line.variant_id, i64::from(line.out()))));
    if !units.is_empty() {
        report.right(SOLD, order, units);
    }
}

/// Reports the units that are allocated to a flash sale.
fn report_allocations(reservation: &Reservation, report: &mut Report) {
    let sale = reservation.reference.strip_prefix("flash-sale:").and_then(|id| id.parse::<i64>().ok());
    let Some(sale) = sale.filter(|_| reservation.state == HoldState::Held) else { return };
    let units = units_out(reservation.lines.iter().map(|line| (line.variant_id, i64::from(line.quantity))));
    if !units.is_empty() {
        report.right(ALLOCATED, sale, units);
    }
}

/// Checks purchases from allocations: no more units are restocked than were sold, and all units of a reversed purchase
/// are restocked.
fn check_purchases(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for purchase in tx.scan::<AllocationPurchase>().rows() {
        let purchase = purchase?;
        for line in purchase.lines.iter() {
            let balanced = line.out() + line.restocked == line.quantity;
            let consistent = balanced && (purchase.state.is_live() || line.out() == 0);
            report.check("stock: restocked ≤ sold", consistent, || {
                format!("{}: {} restocked of variant {}", purchase.reference, line.restocked, line.variant_id)
            });
        }
    }
    AllocationPurchase::audit(tx, report)
}

fn check_stock(report: &mut Report, stock: &Stock, totals: &LedgerTotals) {
    let Stock { sku, on_hand, reserved, .. } = stock;
    report.check("stock: on hand = sum of movements", *on_hand == totals.sum, || {
        format!("{sku}: {on_hand} on hand, but the movements sum to {}", totals.sum)
    });
    let complete = !totals.gap && totals.newest == stock.movements;
    report.check("stock: the ledger has no gap", complete, || {
        format!("{sku}: last movement {} of {}", totals.newest, stock.movements)
    });
    report.check("stock: available = on hand − reserved ≥ 0", stock.backorder || stock.available() >= 0, || {
        format!("{sku}: {on_hand} on hand, {reserved} reserved")
    });
    report.check("stock: low = available ≤ threshold", stock.low.is_some() == stock.is_low(), || {
        format!("{sku}: {} available, threshold {}", stock.available(), stock.threshold)
    });
}

fn check_locations(report: &mut Report, stock: &Stock, held: &mut BTreeMap<(VariantId, String), i64>) {
    for location in stock.locations() {
        let held_units = held.remove(&(stock.variant_id, location.name.clone())).unwrap_or(0);
        report.check("stock: reserved = sum of active holds", held_units == location.reserved, || {
            format!("{} at {}: {} reserved, {held_units} held", stock.sku, location.name, location.reserved)
        });
    }
}
