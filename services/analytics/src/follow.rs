//! Follows the two event logs: events are read in order, the figures of their subjects are queried, and each batch is
//! written with its position in one transaction, in the bulk lane, so that no checkout waits for it.

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

/// Events read at once.
const EVENTS: usize = 512;
/// Orders queried at once.
const FIGURES: usize = 200;
/// Credit notes queried at once.
const NOTES: usize = 500;
/// The maximum weight of one transaction, in lines of orders: the store's writer does nothing else in the meantime.
const WEIGHT: usize = 400;
/// Events that may be skipped before the position is stored.
const PASSED_OVER: i64 = 4_096;

/// The position of each generation in each log, in memory: irrelevant events are skipped without a write.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<(u32, Database), i64>);

impl Places {
    fn written(row: &Generation, source: Database) -> i64 {
        match source {
            Database::Ecommerce => row.shop_position,
            Database::Promox => row.promox_position,
        }
    }

    /// A generation's position in a log: the stored one, or later if nothing had to be written.
    pub(crate) fn of(&self, row: &Generation, source: Database) -> i64 {
        self.0.get(&(row.id, source)).copied().unwrap_or(0).max(Self::written(row, source))
    }

    fn pass(&mut self, id: u32, source: Database, place: i64) {
        self.0.insert((id, source), place);
    }
}

impl Analytics {
    /// One batch of each log for each current generation; whether there is more at once.
    pub(crate) async fn follow(&self, cx: &Cx) -> Result<bool, Error> {
        let _alone = self.following.lock().await;
        let mut generations = self.db.read(generations::all).await?;
        if !generations.iter().any(|generation| generation.status == GenerationStatus::Current) {
            self.db.write(cx, generations::ensure).await?;
            generations = self.db.read(generations::all).await?;
        }
        let mut more = false;
        for generation in generations.iter().filter(|row| row.status != GenerationStatus::Retired) {
            let shop = self.turn(cx, generation, Database::Ecommerce).await?;
            let promox = self.turn(cx, generation, Database::Promox).await?;
            more |= shop || promox;
            if generation.status == GenerationStatus::Rebuilding && !shop && !promox {
                more |= self.take_over(cx, generation.id).await?;
            }
        }
        Ok(more)
    }

    /// Shows a rebuild that has reached the ends of both logs, if it is as far as the one shown.
    async fn take_over(&self, cx: &Cx, id: u32) -> Result<bool, Error> {
        let row = self.db.read(|tx| tx.get::<Generation>(&id)).await?;
        let Some(row) = row else { return Ok(false) };
        for source in Database::ALL {
            self.write_place(cx, &row, source).await?;
        }
        Ok(self.db.write(cx, move |tx| generations::take_over(tx, id)).await?)
    }

    fn log(&self, source: Database) -> &EventLog {
        match source {
            Database::Ecommerce => &self.shop,
            Database::Promox => &self.own,
        }
    }

    /// Applies the next events of a log to a generation; whether there may be more.
    async fn turn(&self, cx: &Cx, row: &Generation, source: Database) -> Result<bool, Error> {
        let place = self.places.lock().of(row, source);
        let events = self.log(source).after(place, EVENTS).await?;
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        let changes = events.iter().map(|event| Ok(change_of(event)?.map(|change| (event.position, change))));
        let changes: Vec<(i64, Change)> = changes.filter_map(Result::transpose).collect::<Result<_, StoreError>>()?;
        let written = Places::written(row, source);
        if changes.is_empty() && last - written < PASSED_OVER {
            self.places.lock().pass(row.id, source, last);
            return Ok(events.len() == EVENTS);
        }
        self.project(cx, row.id, Step { source, from: written, to: last }, changes).await?;
        Ok(events.len() == EVENTS)
    }

    /// Writes changes in transactions that are short enough for others to get their turn.
    async fn project(&self, cx: &Cx, id: u32, step: Step, changes: Vec<(i64, Change)>) -> Result<(), Error> {
        let known = self.figures(cx, &changes).await?;
        let mut parts = known.cut(changes);
        let mut place = step.from;
        loop {
            let part = parts.pop_front().unwrap_or_default();
            let to = if parts.is_empty() { step.to } else { part.last().map_or(place, |(position, _)| *position) };
            let (batch, now) = (known.batch(&part), Step { from: place, to, ..step });
            let written = self.db.write_in(cx, Lane::Bulk, move |tx| project::project(tx, id, now, &batch)).await;
            match written {
                Ok(reached) if reached == to => place = to,
                Ok(elsewhere) => {
                    // Another process moved the position; what it wrote is read again from there.
                    self.places.lock().pass(id, step.source, elsewhere);
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
            if place == step.to {
                break;
            }
        }
        self.places.lock().pass(id, step.source, step.to);
        Ok(())
    }

    /// Stores that irrelevant events were skipped.
    async fn write_place(&self, cx: &Cx, row: &Generation, source: Database) -> Result<(), Error> {
        let (from, to) = (Places::written(row, source), self.places.lock().of(row, source));
        if to > from {
            self.project(cx, row.id, Step { source, from, to }, Vec::new()).await?;
        }
        Ok(())
    }

    /// The figures that changes refer to.
    async fn figures(&self, cx: &Cx, changes: &[(i64, Change)]) -> Result<Figures, Error> {
        let order = |(_, change): &(i64, Change)| if let Change::Order(id) = change { Some(*id) } else { None };
        let note = |(_, change): &(i64, Change)| if let Change::CreditNote(id) = change { Some(*id) } else { None };
        let ids: BTreeSet<i64> = changes.iter().filter_map(order).collect();
        let mut notes: BTreeSet<i64> = changes.iter().filter_map(note).collect();
        let mut figures = Figures::default();
        let ids: Vec<OrderId> = ids.into_iter().map(OrderId).collect();
        for some in ids.chunks(FIGURES) {
            let orders = order_figures(cx, some.to_vec()).await?;
            figures.orders.extend(orders.into_iter().map(|order| (order.id.0, order)));
        }
        while let Some(first) = notes.pop_first() {
            let asked = ListCreditFigures { after: first - 1, limit: NOTES };
            for figure in cx.call(asked).await?.items {
                if figure.id == first || notes.remove(&figure.id) {
                    figures.notes.insert(figure.id, figure);
                }
            }
        }
        Ok(figures)
    }
}

/// The figures that some changes refer to.
#[derive(Debug, Default)]
struct Figures {
    orders: BTreeMap<i64, OrderFigure>,
    notes: BTreeMap<i64, CreditFigure>,
}

impl Figures {
    /// The cost of writing a change: its order's lines, each of which updates a product's row at every level.
    fn weight(&self, change: &Change) -> usize {
        let lines = |id: &i64| self.orders.get(id).map_or(0, |order| order.lines.len());
        1 + if let Change::Order(id) = change { lines(id) } else { 0 }
    }

    /// Parts that weigh at most [`WEIGHT`] each, or are a single item.
    fn cut(&self, changes: Vec<(i64, Change)>) -> VecDeque<Vec<(i64, Change)>> {
        let (mut parts, mut weight) = (VecDeque::<Vec<(i64, Change)>>::new(), 0);
        for item in changes {
            let more = self.weight(&item.1);
            if let Some(part) = parts.back_mut().filter(|_| weight + more <= WEIGHT) {
                part.push(item);
                weight += more;
            } else {
                parts.push_back(vec![item]);
                weight = more;
            }
        }
        parts
    }

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

/// Figures of orders; if they are too many rows for one read, in halves.
async fn order_figures(cx: &Cx, ids: Vec<OrderId>) -> Result<Vec<OrderFigure>, Error> {
    let (mut figures, mut parts) = (Vec::with_capacity(ids.len()), vec![ids]);
    while let Some(mut ids) = parts.pop() {
        let asked = ListOrderFigures { ids: ids.clone(), from: None, to: None, after: None, limit: None };
        match cx.call(asked).await {
            Ok(answer) => figures.extend(answer.items),
            Err(error) if ids.len() > 1 && !error.will_pass() => {
                let later = ids.split_off(ids.len() / 2);
                parts.extend([later, ids]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(figures)
}
