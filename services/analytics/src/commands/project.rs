//! Applies one batch of changes to one generation: all its effects, and its position in the log, in one transaction.
//!
//! The contribution of an order is a function of its figures alone. So it does not matter how often or in which batches
//! the events come: the same events give the same rows.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::order::{CreditFigure, FigureLine, OrderFigure, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{Database, StoreError, Tx};

use super::books::Books;
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

/// The log and the positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) source: Database,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Writes a batch, unless another process has moved the position in the meantime; returns the position.
pub(crate) fn project(tx: &mut Tx<'_>, generation: u32, step: Step, batch: &Batch) -> Result<i64, StoreError> {
    let Some(mut row) = tx.get::<Generation>(&generation)? else { return Ok(step.to) };
    let place = match step.source {
        Database::Ecommerce => &mut row.shop_position,
        Database::Promox => &mut row.promox_position,
    };
    if *place != step.from {
        return Ok(*place);
    }
    *place = step.to;
    tx.put(&row)?;
    apply(tx, generation, batch)?;
    Ok(step.to)
}

fn apply(tx: &mut Tx<'_>, generation: u32, batch: &Batch) -> Result<(), StoreError> {
    let numbers = number_products(tx, batch)?;
    let mut books = Books::open(tx, generation);
    let mut orders = BTreeSet::new();
    for change in &batch.changes {
        if let Some(order) = enter(&mut books, change, batch)? {
            orders.insert(order);
        }
    }
    for order in orders.iter().filter_map(|order| batch.orders.get(order)) {
        settle_order(&mut books, order, &numbers)?;
    }
    books.close()
}

/// Applies changes; returns the order to be counted again, if any.
fn enter(books: &mut Books<'_, '_>, change: &Change, batch: &Batch) -> Result<Option<i64>, StoreError> {
    let generation = books.generation;
    match change {
        Change::Order(order) => return Ok(Some(*order)),
        Change::CreditNote(id) => settle_note(books, *id, batch.notes.get(id))?,
        Change::Redeemed { redemption, at } => {
            let measures = Measures { coupons_redeemed: 1, ..Measures::default() };
            let new = entry(generation, *at, EntryKind::Redemption, *redemption, measures);
            let old = books.one_of(*redemption, EntryKind::Redemption)?;
            books.replace(old.as_ref(), Some(&Entry { owner: Some(*redemption), ..new }))?;
        }
        Change::Released { redemption } => {
            let old = books.one_of(*redemption, EntryKind::Redemption)?;
            books.replace(old.as_ref(), None)?;
        }
        Change::Sum { kind, position, at, measures } => {
            let new = entry(generation, *at, *kind, *position, (**measures).clone());
            let old = books.tx.get::<Entry>(&(generation, *at, *kind, *position))?;
            books.replace(old.as_ref(), Some(&new))?;
        }
    }
    Ok(None)
}

fn entry(generation: u32, at: Timestamp, kind: EntryKind, subject: i64, measures: Measures) -> Entry {
    let (sold, uses, flash) = (Products::default(), Uses::default(), Flash::default());
    let campaign_sales = CampaignSales::default();
    Entry { generation, at, kind, subject, measures, owner: None, buyer: None, sold, uses, flash, campaign_sales }
}

/// A credit note is a refund at its date.
fn settle_note(books: &mut Books<'_, '_>, id: i64, figure: Option<&CreditFigure>) -> Result<(), StoreError> {
    let old = books.one_of(id, EntryKind::CreditNote)?;
    let new = figure.map(|figure| {
        let measures = Measures { refunds: plain(-figure.total), ..Measures::default() };
        let new = entry(books.generation, figure.issued_at, EntryKind::CreditNote, id, measures);
        Entry { owner: Some(id), ..new }
    });
    books.replace(old.as_ref(), new.as_ref())
}

/// Counts the current state of an order and its refunds.
fn settle_order(
    books: &mut Books<'_, '_>,
    figure: &OrderFigure,
    numbers: &BTreeMap<String, i64>,
) -> Result<(), StoreError> {
    let id = figure.id.0;
    let old = books.one_of(id, EntryKind::Order)?;
    let mut new = of_order(books, figure, numbers)?;
    if let Some(new) = &mut new {
        let same = old.as_ref().filter(|old| (old.at, old.buyer) == (new.at, new.buyer));
        new.measures.new_customers = same.map_or(0, |old| old.measures.new_customers);
    }
    books.replace(old.as_ref(), new.as_ref())?;
    settle_placed(books, figure, new.is_some())?;
    settle_refunds(books, id, &counting::refunds(figure))
}

/// An order that was placed and does not count has an entry of its own.
fn settle_placed(books: &mut Books<'_, '_>, figure: &OrderFigure, order_counts: bool) -> Result<(), StoreError> {
    let id = figure.id.0;
    let old = books.one_of(id, EntryKind::Placed)?;
    let measures = Measures { placed: counting::placed(figure), ..Measures::default() };
    let new = Entry { owner: Some(id), ..entry(books.generation, figure.placed_at, EntryKind::Placed, id, measures) };
    books.replace(old.as_ref(), Some(&new).filter(|new| !order_counts && !new.measures.is_empty()))
}

/// The contribution of an order, if it counts.
fn of_order(
    books: &mut Books<'_, '_>,
    figure: &OrderFigure,
    numbers: &BTreeMap<String, i64>,
) -> Result<Option<Entry>, StoreError> {
    if !counting::counts(figure.status) {
        return Ok(None);
    }
    let buyer = match counting::known_customer(figure) {
        Some(name) => Some(number_customer(books.tx, name)?),
        None => None,
    };
    let measures = counting::measures(figure);
    let new = entry(books.generation, figure.placed_at, EntryKind::Order, figure.id.0, measures);
    let sold = counting::sold(figure, |line| numbers.get(&line.sku.fold()).copied());
    let (uses, flash) = (counting::uses(figure), counting::flash(figure));
    let campaign_sales = counting::campaign_sales(figure);
    Ok(Some(Entry { owner: Some(figure.id.0), buyer, sold, uses, flash, campaign_sales, ..new }))
}

/// Refunds are entered at their dates, whether their order counts or not.
fn settle_refunds(
    books: &mut Books<'_, '_>,
    order_id: i64,
    refunds: &BTreeMap<Timestamp, Amount>,
) -> Result<(), StoreError> {
    let generation = books.generation;
    let known: Vec<Refunded> =
        books.tx.scan::<Refunded>().prefix((generation, order_id)).rows().collect::<Result<_, _>>()?;
    for gone in known.iter().filter(|row| !refunds.contains_key(&row.at)) {
        enter_refund(books, order_id, gone.at, None)?;
        books.tx.delete::<Refunded>(&(generation, order_id, gone.at))?;
    }
    for (at, amount) in refunds {
        let amount = plain(*amount);
        enter_refund(books, order_id, *at, Some(amount))?;
        books.tx.put(&Refunded { generation, order_id, at: *at, amount })?;
    }
    Ok(())
}

fn enter_refund(
    books: &mut Books<'_, '_>,
    order_id: i64,
    at: Timestamp,
    amount: Option<Amount>,
) -> Result<(), StoreError> {
    let generation = books.generation;
    let old = books.tx.get::<Entry>(&(generation, at, EntryKind::Refund, order_id))?;
    let new = amount
        .map(|refunds| entry(generation, at, EntryKind::Refund, order_id, Measures { refunds, ..Measures::default() }));
    books.replace(old.as_ref(), new.as_ref())
}

/// The number of a customer, assigned with the first order.
fn number_customer(tx: &mut Tx<'_>, name: &str) -> Result<i64, StoreError> {
    if let Some(known) = tx.get_by::<CustomerByName>(name)? {
        return Ok(known.number);
    }
    let number = tx.next_id::<Customer>()?;
    tx.insert(&Customer { number, name: name.to_owned() })?;
    Ok(number)
}

/// The numbers of all SKUs of a batch, by their folded form. The spelling and name of a SKU when it was last ordered
/// are recorded, whatever the order's status; of two orders at one instant, the choice depends on their content and not
/// on which comes first.
fn number_products(tx: &mut Tx<'_>, batch: &Batch) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut latest = BTreeMap::<String, (Timestamp, &OrderLine)>::new();
    for order in batch.orders.values().filter(|order| order.status != OrderStatus::Pending) {
        for FigureLine { line, .. } in &order.lines {
            let known = latest.entry(line.sku.fold()).or_insert((order.placed_at, line));
            let is_later = |known: &(Timestamp, &OrderLine)| {
                (order.placed_at, &line.name, line.sku.as_str()) > (known.0, &known.1.name, known.1.sku.as_str())
            };
            if is_later(known) {
                *known = (order.placed_at, line);
            }
        }
    }
    let mut numbers = BTreeMap::new();
    for (fold, (at, line)) in latest {
        numbers.insert(fold, number_product(tx, line, at)?);
    }
    Ok(numbers)
}

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
    let mut now = NumberedSku { product_id: known.product_id.or(product_id), ..known.clone() };
    if is_later {
        let (sku, name, product_id) = (line.sku.clone(), line.name.clone(), product_id.or(known.product_id));
        now = NumberedSku { number, sku, product_id, name, named_at: at };
    }
    if is_later || now != known {
        tx.put(&now)?;
    }
    Ok(number)
}
