//! One batch of news into one generation: everything that follows from it, and its place in the log, in one transaction.
//!
//! What an order adds is a function of its figures, the uses of promotions and the refunds that are known. So it does not
//! matter how often or in which batches the events come: the same events lead to the same rows.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::order::{CreditFigure, FigureLine, OrderFigure};
use promox_kernel::Timestamp;
use promox_storage::{Database, StoreError, Tx};

use super::books::Books;
use crate::events::News;
use crate::records::{
    Applied, Customer, CustomerByName, Entry, EntryKind, Generation, NumberedSku, NumberedSkuBySku, Refunded,
};
use crate::rules::counting::{self, CampaignSales, Flash, Use, Uses};
use crate::rules::measures::{Measures, plain};
use crate::rules::sold::Products;

/// News between two places of a log, and the figures that they speak of.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) news: Vec<News>,
    pub(crate) orders: BTreeMap<i64, OrderFigure>,
    pub(crate) notes: BTreeMap<i64, CreditFigure>,
}

/// From where to where in which log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) source: Database,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Writes a batch, unless somebody else has moved the place meanwhile; where the place is then.
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
    for news in &batch.news {
        if let Some(order) = enter(&mut books, news, batch)? {
            orders.insert(order);
        }
    }
    for order in orders {
        settle_order(&mut books, order, batch.orders.get(&order), &numbers)?;
    }
    books.close()
}

/// Enters news; the order that is to be counted anew, if there is one.
fn enter(books: &mut Books<'_, '_>, news: &News, batch: &Batch) -> Result<Option<i64>, StoreError> {
    let generation = books.generation;
    match news {
        News::Order(order) => return Ok(Some(*order)),
        News::Refund { order, position, at, amount } => {
            let row = Refunded { generation, order_id: *order, position: *position, at: *at, amount: plain(*amount) };
            books.tx.put(&row)?;
            return Ok(Some(*order));
        }
        News::Applied { order, told } => {
            let Use { promotion, campaign: campaign_id, cost } = *told;
            let row = Applied { generation, order_id: *order, promotion_id: promotion, campaign_id, cost: plain(cost) };
            books.tx.put(&row)?;
            return Ok(Some(*order));
        }
        News::CreditNote(id) => settle_note(books, *id, batch.notes.get(id))?,
        News::Redeemed { redemption, at } => {
            let measures = Measures { coupons_redeemed: 1, ..Measures::default() };
            let new = entry(generation, *at, EntryKind::Redemption, *redemption, measures);
            let old = books.one_of(*redemption, EntryKind::Redemption)?;
            books.replace(old.as_ref(), Some(&Entry { owner: Some(*redemption), ..new }))?;
        }
        News::Released { redemption } => {
            let old = books.one_of(*redemption, EntryKind::Redemption)?;
            books.replace(old.as_ref(), None)?;
        }
        News::Sum { kind, position, at, measures } => {
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

/// A credit note gives back at its date.
fn settle_note(books: &mut Books<'_, '_>, id: i64, figure: Option<&CreditFigure>) -> Result<(), StoreError> {
    let old = books.one_of(id, EntryKind::CreditNote)?;
    let new = figure.map(|figure| {
        let measures = Measures { refunds: plain(-figure.total), ..Measures::default() };
        let new = entry(books.generation, figure.issued_at, EntryKind::CreditNote, id, measures);
        Entry { owner: Some(id), ..new }
    });
    books.replace(old.as_ref(), new.as_ref())
}

/// An order and its refunds are counted as they now are. What was imported has neither payments nor uses of promotions here.
fn settle_order(
    books: &mut Books<'_, '_>,
    id: i64,
    figure: Option<&OrderFigure>,
    numbers: &BTreeMap<String, i64>,
) -> Result<(), StoreError> {
    let old = books.one_of(id, EntryKind::Order)?;
    let imported = figure.is_some_and(|figure| figure.imported);
    let mut new = match figure {
        Some(figure) => of_order(books, figure, numbers)?,
        None => old.clone(),
    };
    if let Some(new) = &mut new {
        let told = if imported { Vec::new() } else { told_uses(books, id)? };
        told.into_iter().for_each(|told| new.uses.record(told));
        let same = old.as_ref().filter(|old| (old.at, old.buyer) == (new.at, new.buyer));
        new.measures.new_customers = same.map_or(0, |old| old.measures.new_customers);
    }
    books.replace(old.as_ref(), new.as_ref())?;
    if let Some(figure) = figure {
        settle_placed(books, figure, new.is_some())?;
    }
    if imported { Ok(()) } else { settle_refunds(books, id, new.is_some()) }
}

/// An order that was placed and does not count is an entry of its own; one that counts says so itself.
fn settle_placed(books: &mut Books<'_, '_>, figure: &OrderFigure, order_counts: bool) -> Result<(), StoreError> {
    let (generation, at, kind, id) = (books.generation, figure.placed_at, EntryKind::Placed, figure.id.0);
    let old = books.tx.get::<Entry>(&(generation, at, kind, id))?;
    let measures = Measures { placed: counting::placed(figure), ..Measures::default() };
    let new = entry(generation, at, kind, id, measures);
    books.replace(old.as_ref(), Some(&new).filter(|new| !order_counts && !new.measures.is_empty()))
}

/// What the promotion engine's books say of an order.
fn told_uses(books: &Books<'_, '_>, id: i64) -> Result<Vec<Use>, StoreError> {
    let told = |row: Applied| Use { promotion: row.promotion_id, campaign: row.campaign_id, cost: row.cost };
    let rows = books.tx.scan::<Applied>().prefix((books.generation, id)).rows();
    rows.map(|row| row.map(told)).collect()
}

/// What an order adds, if it counts.
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

/// Refunds of an order that counts are entered at their dates; of one that does not, none: its revenue is gone already.
fn settle_refunds(books: &mut Books<'_, '_>, id: i64, order_counts: bool) -> Result<(), StoreError> {
    let known: Vec<Refunded> =
        books.tx.scan::<Refunded>().prefix((books.generation, id)).rows().collect::<Result<_, _>>()?;
    for row in known {
        let old = books.tx.get::<Entry>(&(books.generation, row.at, EntryKind::Refund, row.position))?;
        let measures = Measures { refunds: row.amount, ..Measures::default() };
        let new = entry(books.generation, row.at, EntryKind::Refund, row.position, measures);
        books.replace(old.as_ref(), order_counts.then_some(&new))?;
    }
    Ok(())
}

/// The number of a customer, given with the first order.
fn number_customer(tx: &mut Tx<'_>, name: &str) -> Result<i64, StoreError> {
    if let Some(known) = tx.get_by::<CustomerByName>(name)? {
        return Ok(known.number);
    }
    let number = tx.next_id::<Customer>()?;
    tx.insert(&Customer { number, name: name.to_owned() })?;
    Ok(number)
}

/// The numbers of all SKUs of a batch, by their folded form. What a SKU was called last is noted.
fn number_products(tx: &mut Tx<'_>, batch: &Batch) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut latest = BTreeMap::<String, (Timestamp, &FigureLine)>::new();
    for order in batch.orders.values().filter(|order| counting::counts(order.status)) {
        for line in &order.lines {
            let known = latest.entry(line.sku.fold()).or_insert((order.placed_at, line));
            if order.placed_at > known.0 {
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

fn number_product(tx: &mut Tx<'_>, line: &FigureLine, at: Timestamp) -> Result<i64, StoreError> {
    let product_id = line.product_id.map(|id| id.0);
    let Some(known) = tx.get_by::<NumberedSkuBySku>(line.sku.clone())? else {
        let number = tx.next_id::<NumberedSku>()?;
        let (sku, name) = (line.sku.clone(), line.name.clone());
        tx.insert(&NumberedSku { number, sku, product_id, name, named_at: at })?;
        return Ok(number);
    };
    let mut now = NumberedSku { product_id: product_id.or(known.product_id), ..known.clone() };
    if at > known.named_at {
        now.name.clone_from(&line.name);
        now.named_at = at;
    }
    if now != known {
        tx.put(&now)?;
    }
    Ok(known.number)
}
