//! Audit of the stock: recomputes it from the ledger, the locations and the active holds.

use std::collections::BTreeMap;

use promox_contract::flashsale::ALLOCATED;
use promox_contract::ids::VariantId;
use promox_contract::inventory::{SOLD, units_out};
use promox_contract::product::{VARIANTS, variant_named};
use promox_storage::{Hold, HoldState, Report, StoreError, Tx};

use crate::records::{AllocationPurchase, Movement, Reservation, Stock};

/// The ledger's figures for a variant.
#[derive(Default)]
struct Entered {
    sum: i64,
    newest: i64,
    gap: bool,
}

/// Checks every row of this service and states the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let ledger = read_ledger(tx, report)?;
    let mut held = read_holds(tx, report)?;
    check_sales(tx, report)?;
    let none = Entered::default();
    let mut known = 0;
    for stock in tx.scan::<Stock>().rows() {
        let stock = stock?;
        let named = variant_named(stock.variant_id, Some(stock.product_id));
        report.names(VARIANTS, named, || format!("stock of {}", stock.sku));
        let entered = ledger.get(&stock.variant_id).unwrap_or(&none);
        known += usize::from(ledger.contains_key(&stock.variant_id));
        check_stock(report, &stock, entered);
        check_places(report, &stock, &mut held);
    }
    report.check("stock: every movement belongs to a variant in stock", known == ledger.len(), || {
        format!("{} of {} variants with movements have stock", known, ledger.len())
    });
    for ((id, place), quantity) in held {
        report.check("stock: reserved = sum of active holds", quantity == 0, || {
            format!("{quantity} of variant {id} at {place} are held but not reserved")
        });
    }
    Ok(())
}

fn read_ledger(tx: &Tx<'_>, report: &mut Report) -> Result<BTreeMap<VariantId, Entered>, StoreError> {
    let mut ledger: BTreeMap<VariantId, Entered> = BTreeMap::new();
    for movement in tx.scan::<Movement>().rows() {
        let movement = movement?;
        let entered = ledger.entry(movement.variant_id).or_default();
        entered.sum += movement.delta;
        entered.gap |= movement.number != entered.newest + 1;
        entered.newest = movement.number;
        report.check(
            "stock: each movement records the stock on hand after it",
            entered.sum == movement.on_hand,
            || {
                format!(
                    "variant {} movement {}: {} recorded, {} expected",
                    movement.variant_id, movement.number, movement.on_hand, entered.sum
                )
            },
        );
    }
    Ok(ledger)
}

/// The units that active holds took of each variant at each location.
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
        state_sold(&reservation, report);
        state_allocations(&reservation, report);
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

/// States the units of each order that are held or sold.
fn state_sold(reservation: &Reservation, report: &mut Report) {
    let order = reservation.reference.strip_prefix("order:").and_then(|id| id.parse::<i64>().ok());
    let Some(order) = order.filter(|_| reservation.state.is_live()) else { return };
    let units = units_out(reservation.lines.iter().map(|line| (line.variant_id, i64::from(line.out()))));
    if !units.is_empty() {
        report.right(SOLD, order, units);
    }
}

/// States the units allocated to each flash sale.
fn state_allocations(reservation: &Reservation, report: &mut Report) {
    let sale = reservation.reference.strip_prefix("flash-sale:").and_then(|id| id.parse::<i64>().ok());
    let Some(sale) = sale.filter(|_| reservation.state == HoldState::Held) else { return };
    let units = units_out(reservation.lines.iter().map(|line| (line.variant_id, i64::from(line.quantity))));
    if !units.is_empty() {
        report.right(ALLOCATED, sale, units);
    }
}

/// Checks purchases from allocations: no more units return than were sold, and a reversed purchase has returned all of
/// its units.
fn check_sales(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for sale in tx.scan::<AllocationPurchase>().rows() {
        let sale = sale?;
        for line in sale.lines.iter() {
            let back = line.out() + line.restocked == line.quantity && (sale.state.is_live() || line.out() == 0);
            report.check("stock: restocked ≤ sold", back, || {
                format!("{}: {} restocked of variant {}", sale.reference, line.restocked, line.variant_id)
            });
        }
    }
    AllocationPurchase::audit(tx, report)
}

fn check_stock(report: &mut Report, stock: &Stock, entered: &Entered) {
    let Stock { sku, on_hand, reserved, .. } = stock;
    report.check("stock: on hand = sum of movements", *on_hand == entered.sum, || {
        format!("{sku}: {on_hand} on hand, but the movements sum to {}", entered.sum)
    });
    let whole = !entered.gap && entered.newest == stock.movements;
    report.check("stock: the ledger has no gap", whole, || {
        format!("{sku}: last movement {} of {}", entered.newest, stock.movements)
    });
    report.check("stock: available = on hand − reserved ≥ 0", stock.backorder || stock.available() >= 0, || {
        format!("{sku}: {on_hand} on hand, {reserved} reserved")
    });
    report.check("stock: low = available ≤ threshold", stock.low.is_some() == stock.is_low(), || {
        format!("{sku}: {} available, threshold {}", stock.available(), stock.threshold)
    });
}

fn check_places(report: &mut Report, stock: &Stock, held: &mut BTreeMap<(VariantId, String), i64>) {
    for place in stock.locations() {
        let live = held.remove(&(stock.variant_id, place.name.clone())).unwrap_or(0);
        report.check("stock: reserved = sum of active holds", live == place.reserved, || {
            format!("{} at {}: {} reserved, {live} held", stock.sku, place.name, place.reserved)
        });
    }
}
