//! Follows the two event logs. Events are read in order, and the figures of the orders and credit notes they name are
//! queried. Each batch is written with its position in one transaction, in the bulk lane, so that no checkout waits for
//! it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use promox_contract::ids::OrderId;
use promox_contract::order::{CreditFigure, ListCreditFigures, ListOrderFigures, OrderFigure};
use promox_kernel::{Cx, Error};
use promox_storage::{Database, EventLog, Lane, StoreError};

use crate::Analytics;
use crate::commands::generations;
use crate::commands::project::{self, Batch, Step};
use crate::events::{Change, change_of};
use crate::records::{Generation, GenerationStatus};

/// The maximum number of events read at once.
const EVENTS_PER_READ: usize = 512;
/// The maximum number of orders queried at once.
const ORDERS_PER_CALL: usize = 200;
/// The maximum number of credit notes queried at once.
const NOTES_PER_CALL: usize = 500;
/// The maximum weight of one transaction, in order lines. The store's writer does nothing else during a transaction.
const MAX_WEIGHT: usize = 400;
/// The maximum number of irrelevant events that are skipped before the position is stored.
const MAX_SKIPPED: i64 = 4_096;

/// The position of each generation in each log, in memory, so that irrelevant events are skipped without a write.
#[derive(Debug, Default)]
pub(crate) struct Positions(BTreeMap<(u32, Database), i64>);

impl Positions {
    /// The stored position of a generation in a log.
    fn stored(row: &Generation, source: Database) -> i64 {
        match source {
            Database::Ecommerce => row.shop_position,
            Database::Promox => row.promox_position,
        }
    }

    /// The position of a generation in a log: the stored one, or a later one if only irrelevant events followed it.
    pub(crate) fn of(&self, row: &Generation, source: Database) -> i64 {
        self.0.get(&(row.id, source)).copied().unwrap_or(0).max(Self::stored(row, source))
    }

    fn set(&mut self, id: u32, source: Database, position: i64) {
        self.0.insert((id, source), position);
    }
}

impl Analytics {
    /// Follows one batch of each log for each generation that is not retired. Returns whether there is more to do
    /// immediately.
    pub(crate) async fn follow(&self, cx: &Cx) -> Result<bool, Error> {
        let _guard = self.following.lock().await;
        let mut generations = self.db.read(generations::all).await?;
        if !generations.iter().any(|generation| generation.status == GenerationStatus::Current) {
            self.db.write(cx, generations::ensure_current).await?;
            generations = self.db.read(generations::all).await?;
        }
        let mut more = false;
        for generation in generations.iter().filter(|row| row.status != GenerationStatus::Retired) {
            let shop = self.follow_log(cx, generation, Database::Ecommerce).await?;
            let promox = self.follow_log(cx, generation, Database::Promox).await?;
            more |= shop || promox;
            if generation.status == GenerationStatus::Rebuilding && !shop && !promox {
                more |= self.activate(cx, generation.id).await?;
            }
        }
        Ok(more)
    }

    /// Activates a rebuild that has reached the ends of both logs, unless it is behind the current generation. Returns
    /// whether it was activated.
    async fn activate(&self, cx: &Cx, id: u32) -> Result<bool, Error> {
        let row = self.db.read(|tx| tx.get::<Generation>(&id)).await?;
        let Some(row) = row else { return Ok(false) };
        for source in Database::ALL {
            self.store_position(cx, &row, source).await?;
        }
        Ok(self.db.write(cx, move |tx| generations::activate(tx, id)).await?)
    }

    fn log(&self, source: Database) -> &EventLog {
        match source {
            Database::Ecommerce => &self.shop,
            Database::Promox => &self.own,
        }
    }

    /// Applies the next events of a log to a generation. Returns whether there may be more.
    async fn follow_log(&self, cx: &Cx, row: &Generation, source: Database) -> Result<bool, Error> {
        let position = self.positions.lock().of(row, source);
        let events = self.log(source).after(position, EVENTS_PER_READ).await?;
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        let changes = events.iter().map(|event| Ok(change_of(event)?.map(|change| (event.position, change))));
        let changes: Vec<(i64, Change)> = changes.filter_map(Result::transpose).collect::<Result<_, StoreError>>()?;
        let stored = Positions::stored(row, source);
        if changes.is_empty() && last - stored < MAX_SKIPPED {
            self.positions.lock().set(row.id, source, last);
            return Ok(events.len() == EVENTS_PER_READ);
        }
        self.project(cx, row.id, Step { source, from: stored, to: last }, changes).await?;
        Ok(events.len() == EVENTS_PER_READ)
    }

    /// Writes changes in several transactions, short enough that other writers need not wait long.
    async fn project(&self, cx: &Cx, id: u32, step: Step, changes: Vec<(i64, Change)>) -> Result<(), Error> {
        let figures = self.figures(cx, &changes).await?;
        let mut parts = figures.split(changes);
        let mut reached = step.from;
        loop {
            let part = parts.pop_front().unwrap_or_default();
            let to = if parts.is_empty() { step.to } else { part.last().map_or(reached, |(position, _)| *position) };
            let (batch, next) = (figures.batch(&part), Step { from: reached, to, ..step });
            let written = self.db.write_in(cx, Lane::Bulk, move |tx| project::project(tx, id, next, &batch)).await;
            match written {
                Ok(position) if position == to => reached = to,
                Ok(position) => {
                    // Another process moved the position: continue from there.
                    self.positions.lock().set(id, step.source, position);
                    return Ok(());
                }
                Err(StoreError::TooLarge { .. }) if part.len() > 1 => {
                    let mut first = part;
                    let later = first.split_off(first.len() / 2);
                    parts.push_front(later);
                    parts.push_front(first);
                }
                Err(error) => return Err(error.into()),
            }
            if reached == step.to {
                break;
            }
        }
        self.positions.lock().set(id, step.source, step.to);
        Ok(())
    }

    /// Stores the position after irrelevant events were skipped.
    async fn store_position(&self, cx: &Cx, row: &Generation, source: Database) -> Result<(), Error> {
        let (from, to) = (Positions::stored(row, source), self.positions.lock().of(row, source));
        if to > from {
            self.project(cx, row.id, Step { source, from, to }, Vec::new()).await?;
        }
        Ok(())
    }

    /// Queries the figures that changes refer to.
    async fn figures(&self, cx: &Cx, changes: &[(i64, Change)]) -> Result<Figures, Error> {
        let order = |(_, change): &(i64, Change)| if let Change::Order(id) = change { Some(*id) } else { None };
        let note = |(_, change): &(i64, Change)| if let Change::CreditNote(id) = change { Some(*id) } else { None };
        let ids: BTreeSet<i64> = changes.iter().filter_map(order).collect();
        let mut notes: BTreeSet<i64> = changes.iter().filter_map(note).collect();
        let mut figures = Figures::default();
        let ids: Vec<OrderId> = ids.into_iter().map(OrderId).collect();
        for chunk in ids.chunks(ORDERS_PER_CALL) {
            let orders = order_figures(cx, chunk.to_vec()).await?;
            figures.orders.extend(orders.into_iter().map(|order| (order.id.0, order)));
        }
        while let Some(first) = notes.pop_first() {
            let request = ListCreditFigures { after: first - 1, limit: NOTES_PER_CALL };
            for figure in cx.call(request).await?.items {
                if figure.id == first || notes.remove(&figure.id) {
                    figures.notes.insert(figure.id, figure);
                }
            }
        }
        Ok(figures)
    }
}

/// The figures that changes refer to.
#[derive(Debug, Default)]
struct Figures {
    orders: BTreeMap<i64, OrderFigure>,
    notes: BTreeMap<i64, CreditFigure>,
}

impl Figures {
    /// The cost of writing a change, in order lines: each line updates a product's row at every level.
    fn weight(&self, change: &Change) -> usize {
        let lines = |id: &i64| self.orders.get(id).map_or(0, |order| order.lines.len());
        1 + if let Change::Order(id) = change { lines(id) } else { 0 }
    }

    /// Splits changes into parts that weigh at most [`MAX_WEIGHT`] each or contain a single change.
    fn split(&self, changes: Vec<(i64, Change)>) -> VecDeque<Vec<(i64, Change)>> {
        let (mut parts, mut weight) = (VecDeque::<Vec<(i64, Change)>>::new(), 0);
        for item in changes {
            let item_weight = self.weight(&item.1);
            if let Some(part) = parts.back_mut().filter(|_| weight + item_weight <= MAX_WEIGHT) {
                part.push(item);
                weight += item_weight;
            } else {
                parts.push_back(vec![item]);
                weight = item_weight;
            }
        }
        parts
    }

    /// The changes of a part, with the figures that they refer to.
    fn batch(&self, part: &[(i64, Change)]) -> Batch {
        let mut batch = Batch::default();
        for (_, change) in part {
            match change {
                Change::Order(id) => batch.orders.extend(self.orders.get(id).map(|order| (*id, order.clone()))),
                Change::CreditNote(id) => batch.notes.extend(self.notes.get(id).map(|note| (*id, note.clone()))),
                _ => {}
            }
            batch.changes.push(change.clone());
        }
        batch
    }
}

/// Queries the figures of orders. A request that is too large for one read is split in halves.
async fn order_figures(cx: &Cx, ids: Vec<OrderId>) -> Result<Vec<OrderFigure>, Error> {
    let (mut figures, mut parts) = (Vec::with_capacity(ids.len()), vec![ids]);
    while let Some(mut ids) = parts.pop() {
        let request = ListOrderFigures { ids: ids.clone(), from: None, to: None, after: None, limit: None };
        match cx.call(request).await {
            Ok(answer) => figures.extend(answer.items),
            Err(error) if ids.len() > 1 && !error.is_transient() => {
                let later = ids.split_off(ids.len() / 2);
                parts.extend([later, ids]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(figures)
}
