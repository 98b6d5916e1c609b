//! Parcels: shipping and delivery of units, and the order status that follows from them.

use std::collections::HashMap;

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::inventory::{SkuQuantity, VariantQuantity};
use promox_contract::order::{OrderDelivered, OrderShipped, OrderStatus, ParcelShipped};
use promox_contract::payment::{CaptureAt, PaymentOutcome, PaymentStatus};
use promox_kernel::{Amount, Cx, Error, Faults, Json, bounded};
use promox_storage::Tx;

use crate::api::{FulfilmentView, ShipOrder};
use crate::order_row::{self, fact, note, touch};
use crate::queries::{any_settling, fulfilment_view, items};
use crate::records::{Fulfilment, FulfilmentId, FulfilmentStatus, Order, OrderItem};
use crate::reject;
use crate::rules::returns::{Split, share_of_units, split_money_and_points};
use crate::rules::{request, states};

/// Ships a parcel, if `payment` covers its goods or the request confirms that they are shipped unpaid.
pub(crate) fn ship(
    tx: &mut Tx<'_>,
    cx: &Cx,
    op: &ShipOrder,
    payment: Option<&PaymentOutcome>,
) -> Result<FulfilmentView, Error> {
    check_request(op)?;
    let mut order = order_row::load(tx, op.id)?;
    if !matches!(order.status, OrderStatus::Confirmed | OrderStatus::Processing) || order.imported {
        let message = if order.imported {
            "An imported order is history: it is read and counted, but not shipped.".to_owned()
        } else {
            format!("An order that is {} has nothing to ship.", order.status)
        };
        return Err(reject::state(codes::NOT_SHIPPABLE, message, order.status));
    }
    if captured_by_shipment(&order) && any_settling(tx, order.id)? {
        return Err(reject::return_in_progress());
    }
    let mut lines = items(tx, op.id)?;
    let parcel = match &op.items {
        Some(requested) => as_sold(request::merge(requested.clone())?, &lines),
        None => lines.iter().filter(|line| shippable(line) > 0).map(all_shippable).collect(),
    };
    if parcel.is_empty() {
        return Err(Error::conflict(codes::NOTHING_LEFT_TO_SHIP, "This order has nothing left to ship."));
    }
    mark_shipped(&mut lines, &parcel)?;
    if !op.confirm {
        check_paid(&order, &lines, payment)?;
    }
    let id = FulfilmentId(tx.next_id::<Fulfilment>()?);
    let fulfilment = Fulfilment {
        id,
        order_id: order.id,
        status: FulfilmentStatus::Shipped,
        carrier: bounded(&op.carrier, 1, 100).unwrap_or_default(),
        tracking_number: bounded(&op.tracking_number, 1, 100).unwrap_or_default(),
        items: Json(parcel),
        shipped_at: tx.now(),
        delivered_at: None,
    };
    tx.insert(&fulfilment)?;
    let detail = format!("Parcel {id} shipped with {} {}.", fulfilment.carrier, fulfilment.tracking_number);
    note(&mut order, tx.now(), "SHIP", "DONE", &detail, &cx.principal.name())?;
    put_lines(tx, &lines)?;
    update_status(&mut order, &lines);
    touch(tx, &mut order)?;
    tx.emit(order.id, &OrderShipped(fact(&order)))?;
    if captured_by_shipment(&order) {
        let unshipped = unshipped_money(&order, &lines);
        tx.emit(order.id, &ParcelShipped { order_id: order.id, parcel_id: id.0, unshipped })?;
    }
    Ok(fulfilment_view(fulfilment))
}

/// Whether the money of an order is captured as its goods are shipped.
pub(crate) fn captured_by_shipment(order: &Order) -> bool {
    order.details.capture_at == CaptureAt::Shipment && order.payment_id.is_some()
}

/// The money that the goods left to ship cost. The last goods cost what all others leave.
fn unshipped_money(order: &Order, lines: &[OrderItem]) -> Amount {
    let goods_total: Amount = lines.iter().map(|line| line.total).sum();
    let left = |line: &OrderItem| {
        let before = line.shipped + line.withdrawn;
        share_of_units(line.total, line.quantity, before, line.quantity.saturating_sub(before), order.currency)
    };
    let worth = lines.iter().map(left).sum();
    money_and_points_of(order, goods_total, goods_total - worth, worth).money
}

/// How goods worth `now` were paid for in money and points, after goods worth `before`.
fn money_and_points_of(order: &Order, goods_total: Amount, before: Amount, now: Amount) -> Split {
    let Order { points_redeemed, points_value, currency, .. } = *order;
    split_money_and_points(goods_total, before, now, points_redeemed, points_value, currency)
}

/// Refuses to ship unpaid goods. Compares the price of the units that the buyer would have, less returned ones, with
/// the amount that the payment secures.
fn check_paid(order: &Order, lines: &[OrderItem], payment: Option<&PaymentOutcome>) -> Result<(), Error> {
    let zero = order.currency.zero();
    let kept = |line: &OrderItem| {
        let units = line.shipped - (line.returned - line.withdrawn);
        share_of_units(line.total, line.quantity, line.returned, units, order.currency)
    };
    let goods_total: Amount = lines.iter().map(|line| line.total).sum();
    let worth = lines.iter().map(kept).sum();
    let needed = money_and_points_of(order, goods_total, order.returned, worth);
    let secured = payment.map_or(zero, |payment| payment.secured);
    if needed.money > secured { Err(reject::unpaid(needed.money, secured, order.currency)) } else { Ok(()) }
}

/// Validates the texts and items of a shipment.
fn check_request(op: &ShipOrder) -> Result<(), Error> {
    let mut faults = Faults::default();
    for (text, at) in [(&op.carrier, "/carrier"), (&op.tracking_number, "/trackingNumber")] {
        if let Err(detail) = bounded(text, 1, 100) {
            faults.note(at, detail);
        }
    }
    if let Some(items) = &op.items {
        request::item_faults(items, "/items", &mut faults);
    }
    faults.finish()
}

/// The units of a line that are not shipped and were not returned before they were shipped.
pub(crate) fn shippable(line: &OrderItem) -> u32 {
    line.quantity.saturating_sub(line.shipped + line.withdrawn)
}

/// The units with each SKU written as in the order's lines; SKUs that differ only in case are the same.
pub(crate) fn as_sold(mut units: Vec<SkuQuantity>, lines: &[OrderItem]) -> Vec<SkuQuantity> {
    for item in &mut units {
        if let Some(line) = lines.iter().find(|line| line.sku == item.sku) {
            item.sku = line.sku.clone();
        }
    }
    units
}

/// The units of an order's lines by variant, as the inventory service expects them.
pub(crate) fn variant_quantities(lines: &[OrderItem], units: &[SkuQuantity]) -> Vec<VariantQuantity> {
    let by_variant = |item: &SkuQuantity| {
        let variant_id = lines.iter().find(|line| line.sku == item.sku)?.variant_id?;
        Some(VariantQuantity { variant_id, sku: item.sku.clone(), quantity: item.quantity })
    };
    units.iter().filter_map(by_variant).collect()
}

/// All units of a line that can be shipped.
fn all_shippable(line: &OrderItem) -> SkuQuantity {
    SkuQuantity { sku: line.sku.clone(), quantity: shippable(line) }
}

/// Counts the units of a parcel as shipped. Several lines with the same SKU (one may be of a flash sale) are filled in
/// order.
fn mark_shipped(lines: &mut [OrderItem], parcel: &[SkuQuantity]) -> Result<(), Error> {
    let mut unassigned: HashMap<String, u32> = HashMap::new();
    for item in parcel {
        *unassigned.entry(item.sku.fold()).or_default() += item.quantity;
    }
    for line in lines.iter_mut() {
        if let Some(left) = unassigned.get_mut(&line.sku.fold()) {
            let units = shippable(line).min(*left);
            line.shipped += units;
            *left -= units;
        }
    }
    match parcel.iter().find(|item| unassigned.get(&item.sku.fold()).is_some_and(|left| *left > 0)) {
        None => Ok(()),
        Some(item) => {
            let message = format!("This order has fewer than {} of \"{}\" left to ship.", item.quantity, item.sku);
            Err(Error::conflict(codes::NOTHING_LEFT_TO_SHIP, message).with("sku", &item.sku))
        }
    }
}

/// Records that a parcel was delivered. Repeating it changes nothing.
pub(crate) fn deliver(tx: &mut Tx<'_>, cx: &Cx, id: OrderId, fid: FulfilmentId) -> Result<FulfilmentView, Error> {
    let fulfilment = tx.get::<Fulfilment>(&fid)?.filter(|fulfilment| fulfilment.order_id == id);
    let mut fulfilment = fulfilment.ok_or_else(|| Error::not_found("fulfilment"))?;
    if fulfilment.status == FulfilmentStatus::Delivered {
        return Ok(fulfilment_view(fulfilment));
    }
    fulfilment.status = FulfilmentStatus::Delivered;
    fulfilment.delivered_at = Some(tx.now());
    let mut order = order_row::load(tx, id)?;
    if order.imported {
        let message = "The parcels of an imported order cannot be changed.";
        return Err(reject::state(codes::NOT_SHIPPABLE, message, order.status));
    }
    let mut lines = items(tx, id)?;
    for item in fulfilment.items.iter() {
        let mut left = item.quantity;
        for line in lines.iter_mut().filter(|line| line.sku == item.sku) {
            let units = (line.shipped - line.delivered).min(left);
            line.delivered += units;
            left -= units;
        }
    }
    tx.put(&fulfilment)?;
    note(&mut order, tx.now(), "DELIVER", "DONE", &format!("Parcel {fid} was delivered."), &cx.principal.name())?;
    put_lines(tx, &lines)?;
    let all_delivered = update_status(&mut order, &lines) == Some(OrderStatus::Delivered);
    touch(tx, &mut order)?;
    if all_delivered {
        tx.emit(order.id, &OrderDelivered(fact(&order)))?;
    }
    Ok(fulfilment_view(fulfilment))
}

fn put_lines(tx: &mut Tx<'_>, lines: &[OrderItem]) -> Result<(), Error> {
    for line in lines {
        tx.put(line)?;
    }
    Ok(())
}

/// Whether all units of an order were returned.
pub(crate) fn all_returned(lines: &[OrderItem]) -> bool {
    lines.iter().all(|line| line.returned == line.quantity)
}

/// Whether some units were shipped, and all units of the order were returned.
pub(crate) fn shipped_and_returned(order: &Order, lines: &[OrderItem]) -> bool {
    use OrderStatus::{Delivered, Processing, Shipped};
    all_returned(lines) && matches!(order.status, Processing | Shipped | Delivered)
}

/// Sets an order to REFUNDED if all its goods and all its money are returned. Returns whether it did.
pub(crate) fn finish_if_returned(order: &mut Order, lines: &[OrderItem]) -> bool {
    let may_end = states::may_follow(order.status, OrderStatus::Refunded);
    let ends = all_returned(lines) && is_money_returned(order) && may_end;
    if ends {
        order.status = OrderStatus::Refunded;
    }
    ends
}

/// Whether nothing is left of the payment, and nothing is due.
pub(crate) fn is_money_returned(order: &Order) -> bool {
    use PaymentStatus::{Failed, Refunded, Voided};
    order.payment_id.is_none() || matches!(order.payment_status, Some(Refunded | Voided | Failed))
}

/// Updates an order's status to match the shipped and delivered units. Returns the new status if it changed.
pub(crate) fn update_status(order: &mut Order, lines: &[OrderItem]) -> Option<OrderStatus> {
    let ordered = lines.iter().map(|line| line.quantity - line.withdrawn).sum();
    let shipped = lines.iter().map(|line| line.shipped).sum();
    // A buyer who has returned everything has received it, whether or not the carrier has said so.
    let arrived = |line: &OrderItem| if all_returned(lines) { line.shipped } else { line.delivered };
    let delivered = lines.iter().map(arrived).sum();
    let status = states::by_units(ordered, shipped, delivered);
    let changes = states::may_follow(order.status, status);
    if changes {
        order.status = status;
    }
    changes.then_some(status)
}
