//! Applies one batch of changes to one generation. Its effects and the position in the log are written in one
//! transaction.
//!
//! The contribution of an order is a function of its figures alone. The same events therefore produce the same rows,
//! however often and in whichever batches they are applied.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::order::{CreditFigure, FigureLine, OrderFigure, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{Database, StoreError, Tx};

use super::entry_writer::EntryWriter;
use crate::events::Change;
use crate::records::{Customer, CustomerByName, Entry, EntryKind, Generation, NumberedSku, NumberedSkuBySku, Refunded};
use crate::rules::counting::{self, CampaignSales, Flash, Uses};
use crate::rules::measures::{Measures, plain};
use crate::rules::sold::Products;
use crate::rules::sum::Sum as _;

/// Changes between two positions of a log, and the figures that they refer to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) orders: BTreeMap<i64, OrderFigure>,
    pub(crate) notes: BTreeMap<i64, CreditFigure>,
}

/// A step in a log, from one position to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) source: Database,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Writes a batch, unless another process has moved the position since. Returns the position after the write.
pub(crate) fn project(tx: &mut Tx<'_>, generation: u32, step: Step, batch: &Batch) -> Result<i64, StoreError> {
    let Some(mut row) = tx.get::<Generation>(&generation)? else { return Ok(step.to) };
    let position = match step.source {
        Database::Ecommerce => &mut row.shop_position,
        Database::Promox => &mut row.promox_position,
    };
    if *position != step.from {
        return Ok(*position);
    }
    *position = step.to;
    tx.put(&row)?;
    apply(tx, generation, batch)?;
    Ok(step.to)
}

fn apply(tx: &mut Tx<'_>, generation: u32, batch: &Batch) -> Result<(), StoreError> {
    let numbers = number_products(tx, batch)?;
    let mut writer = EntryWriter::new(tx, generation);
    let mut changed_orders = BTreeSet::new();
    for change in &batch.changes {
        if let Some(order) = apply_change(&mut writer, change, batch)? {
            changed_orders.insert(order);
        }
    }
    for order in changed_orders.iter().filter_map(|order| batch.orders.get(order)) {
        update_order(&mut writer, order, &numbers)?;
    }
    writer.finish()
}

/// Applies a change, except to an order. Returns the order whose entries must be updated, if any.
fn apply_change(writer: &mut EntryWriter<'_, '_>, change: &Change, batch: &Batch) -> Result<Option<i64>, StoreError> {
    let generation = writer.generation;
    match change {
        Change::Order(order) => return Ok(Some(*order)),
        Change::CreditNote(id) => update_note(writer, *id, batch.notes.get(id))?,
        Change::Redeemed { redemption, at } => {
            let measures = Measures { coupons_redeemed: 1, ..Measures::default() };
            let new = entry(generation, *at, EntryKind::Redemption, *redemption, measures);
            let old = writer.entry_of(*redemption, EntryKind::Redemption)?;
            writer.replace(old.as_ref(), Some(&Entry { owner: Some(*redemption), ..new }))?;
        }
        Change::Released { redemption } => {
            let old = writer.entry_of(*redemption, EntryKind::Redemption)?;
            writer.replace(old.as_ref(), None)?;
        }
        Change::Sum { kind, position, at, measures } => {
            let new = entry(generation, *at, *kind, *position, (**measures).clone());
            let old = writer.tx.get::<Entry>(&(generation, *at, *kind, *position))?;
            writer.replace(old.as_ref(), Some(&new))?;
        }
    }
    Ok(None)
}

/// An entry with only these measures.
fn entry(generation: u32, at: Timestamp, kind: EntryKind, subject: i64, measures: Measures) -> Entry {
    let (sold, uses, flash) = (Products::default(), Uses::default(), Flash::default());
    let campaign_sales = CampaignSales::default();
    Entry { generation, at, kind, subject, measures, owner: None, buyer: None, sold, uses, flash, campaign_sales }
}

/// Updates the entry of a credit note, which counts as a refund at its date.
fn update_note(writer: &mut EntryWriter<'_, '_>, id: i64, figure: Option<&CreditFigure>) -> Result<(), StoreError> {
    let old = writer.entry_of(id, EntryKind::CreditNote)?;
    let new = figure.map(|figure| {
        let measures = Measures { refunds: plain(-figure.total), ..Measures::default() };
        let new = entry(writer.generation, figure.issued_at, EntryKind::CreditNote, id, measures);
        Entry { owner: Some(id), ..new }
    });
    writer.replace(old.as_ref(), new.as_ref())
}

/// Updates the entries of an order and its refunds to the current figures.
fn update_order(
    writer: &mut EntryWriter<'_, '_>,
    figure: &OrderFigure,
    numbers: &BTreeMap<String, i64>,
) -> Result<(), StoreError> {
    let id = figure.id.0;
    let old = writer.entry_of(id, EntryKind::Order)?;
    let mut new = order_entry(writer, figure, numbers)?;
    if let Some(new) = &mut new {
        let same = old.as_ref().filter(|old| (old.at, old.buyer) == (new.at, new.buyer));
        new.measures.new_customers = same.map_or(0, |old| old.measures.new_customers);
    }
    writer.replace(old.as_ref(), new.as_ref())?;
    update_placed(writer, figure, new.is_some())?;
    update_refunds(writer, id, &counting::refunds(figure))
}

/// Updates the entry of an order that was placed but does not count.
fn update_placed(writer: &mut EntryWriter<'_, '_>, figure: &OrderFigure, order_counts: bool) -> Result<(), StoreError> {
    let id = figure.id.0;
    let old = writer.entry_of(id, EntryKind::Placed)?;
    let measures = Measures { placed: counting::placed(figure), ..Measures::default() };
    let new = Entry { owner: Some(id), ..entry(writer.generation, figure.placed_at, EntryKind::Placed, id, measures) };
    writer.replace(old.as_ref(), Some(&new).filter(|new| !order_counts && !new.measures.is_empty()))
}

/// The entry of an order; `None` if it does not count.
fn order_entry(
    writer: &mut EntryWriter<'_, '_>,
    figure: &OrderFigure,
    numbers: &BTreeMap<String, i64>,
) -> Result<Option<Entry>, StoreError> {
    if !counting::counts(figure.status) {
        return Ok(None);
    }
    let buyer = match counting::known_customer(figure) {
        Some(name) => Some(number_customer(writer.tx, name)?),
        None => None,
    };
    let measures = counting::measures(figure);
    let new = entry(writer.generation, figure.placed_at, EntryKind::Order, figure.id.0, measures);
    let sold = counting::sold(figure, |line| numbers.get(&line.sku.fold()).copied());
    let (uses, flash) = (counting::uses(figure), counting::flash(figure));
    let campaign_sales = counting::campaign_sales(figure);
    Ok(Some(Entry { owner: Some(figure.id.0), buyer, sold, uses, flash, campaign_sales, ..new }))
}

/// Updates the entries of an order's refunds. They count at their dates, whether or not the order counts.
fn update_refunds(
    writer: &mut EntryWriter<'_, '_>,
    order_id: i64,
    refunds: &BTreeMap<Timestamp, Amount>,
) -> Result<(), StoreError> {
    let generation = writer.generation;
    let stored: Vec<Refunded> =
        writer.tx.scan::<Refunded>().prefix((generation, order_id)).rows().collect::<Result<_, _>>()?;
    for removed in stored.iter().filter(|row| !refunds.contains_key(&row.at)) {
        update_refund(writer, order_id, removed.at, None)?;
        writer.tx.delete::<Refunded>(&(generation, order_id, removed.at))?;
    }
    for (at, amount) in refunds {
        let amount = plain(*amount);
        update_refund(writer, order_id, *at, Some(amount))?;
        writer.tx.put(&Refunded { generation, order_id, at: *at, amount })?;
    }
    Ok(())
}

fn update_refund(
    writer: &mut EntryWriter<'_, '_>,
    order_id: i64,
    at: Timestamp,
    amount: Option<Amount>,
) -> Result<(), StoreError> {
    let generation = writer.generation;
    let old = writer.tx.get::<Entry>(&(generation, at, EntryKind::Refund, order_id))?;
    let new = amount
        .map(|refunds| entry(generation, at, EntryKind::Refund, order_id, Measures { refunds, ..Measures::default() }));
    writer.replace(old.as_ref(), new.as_ref())
}

/// The number of a customer, which is assigned at the first order.
fn number_customer(tx: &mut Tx<'_>, name: &str) -> Result<i64, StoreError> {
    if let Some(known) = tx.get_by::<CustomerByName>(name)? {
        return Ok(known.number);
    }
    let number = tx.next_id::<Customer>()?;
    tx.insert(&Customer { number, name: name.to_owned() })?;
    Ok(number)
}

/// The numbers of all SKUs of a batch, by their folded form. The spelling and name of a SKU in the latest order that is
/// not pending are stored. If two orders have the same time, the choice depends on their content and not on their order
/// in the batch.
fn number_products(tx: &mut Tx<'_>, batch: &Batch) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut latest = BTreeMap::<String, (Timestamp, &OrderLine)>::new();
    for order in batch.orders.values().filter(|order| order.status != OrderStatus::Pending) {
        for FigureLine { line, .. } in &order.lines {
            let current = latest.entry(line.sku.fold()).or_insert((order.placed_at, line));
            let is_later = |current: &(Timestamp, &OrderLine)| {
                (order.placed_at, &line.name, line.sku.as_str()) > (current.0, &current.1.name, current.1.sku.as_str())
            };
            if is_later(current) {
                *current = (order.placed_at, line);
            }
        }
    }
    let mut numbers = BTreeMap::new();
    for (fold, (at, line)) in latest {
        numbers.insert(fold, number_product(tx, line, at)?);
    }
    Ok(numbers)
}

/// The number of a line's SKU, which is assigned at the first order. Updates its spelling and name.
fn number_product(tx: &mut Tx<'_>, line: &OrderLine, at: Timestamp) -> Result<i64, StoreError> {
    let product_id = line.product_id.map(|id| id.0);
    let Some(known) = tx.get_by::<NumberedSkuBySku>(line.sku.clone())? else {
        let number = tx.next_id::<NumberedSku>()?;
        let (sku, name) = (line.sku.clone(), line.name.clone());
        tx.insert(&NumberedSku { number, sku, product_id, name, named_at: at })?;
        return Ok(number);
    };
    let number = known.number;
    let is_later = (at, &line.name, line.sku.as_str()) > (known.named_at, &known.name, known.sku.as_str());
    let mut updated = NumberedSku { product_id: known.product_id.or(product_id), ..known.clone() };
    if is_later {
        let (sku, name, product_id) = (line.sku.clone(), line.name.clone(), product_id.or(known.product_id));
        updated = NumberedSku { number, sku, product_id, name, named_at: at };
    }
    if is_later || updated != known {
        tx.put(&updated)?;
    }
    Ok(number)
}
