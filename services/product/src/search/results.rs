//! Results: all products of a query in order, with their facets, cached while their basis is unchanged.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::ids::{CategoryId, ProductId};
use promox_kernel::{Cursor, Error};

use super::cursor::Position;
use super::index::SearchIndex;
use super::projection::Projection;
use super::select::{Query, Selection};
use crate::rules::slot;

/// Maximum cached results.
const MAX_RESULTS: usize = 256;
/// Products in all of them together, four to eight bytes each.
const MAX_SLOTS: usize = 2 << 20;

/// The basis of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    epoch: i64,
    categories: i64,
    /// The number of price changes by rules.
    repriced: u64,
    /// Only for word searches.
    index: u64,
    /// Only for stock filters.
    stock: u64,
}

/// All products of a query in order.
#[derive(Debug)]
pub(crate) struct ResultSet {
    basis: Basis,
    query: Query,
    slots: Vec<u32>,
    scores: Vec<u32>,
    categories: Vec<u32>,
    /// JSON text.
    pub(crate) facets: Arc<str>,
}

impl ResultSet {
    pub(crate) fn total(&self) -> usize {
        self.slots.len()
    }

    /// Products in a category or below it.
    pub(crate) fn in_category(&self, id: CategoryId) -> u64 {
        u64::from(self.categories.get(slot(id)).copied().unwrap_or(0))
    }

    /// The page after `cursor`, and the cursor of the next one.
    pub(crate) fn page(
        &self,
        projection: &Projection,
        limit: usize,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<ProductId>, Option<Cursor>), Error> {
        let start = match cursor {
            Some(cursor) => self.after(projection, &Position::read(cursor, self.query.sort)?),
            None => 0,
        };
        let rest = self.slots.get(start..).unwrap_or_default();
        let page = rest.get(..limit).unwrap_or(rest);
        let entries = page.iter().filter_map(|slot| projection.get(*slot));
        let next = page.last().filter(|_| rest.len() > page.len()).and_then(|last| projection.get(*last));
        let score = self.scores.get(start + page.len().saturating_sub(1)).copied();
        let next = next.map(|entry| Position::of(self.query.sort, entry, score).write());
        Ok((entries.map(|entry| entry.id).collect(), next))
    }

    fn after(&self, projection: &Projection, position: &Position) -> usize {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.slots.get(middle).and_then(|slot| projection.get(*slot));
            if entry.is_some_and(|entry| position.covers(entry, self.scores.get(middle).copied())) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Results of the latest queries.
#[derive(Debug, Default)]
pub(crate) struct ResultCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    results: HashMap<Query, Arc<ResultSet>>,
    order: VecDeque<Query>,
    slots: usize,
}

impl ResultCache {
    /// The result of a query: cached, or computed now.
    pub(crate) fn get(
        &self,
        query: &Query,
        projection: &Projection,
        index: &SearchIndex,
    ) -> Result<Arc<ResultSet>, Error> {
        let basis = Basis {
            epoch: projection.epoch,
            categories: projection.categories,
            repriced: projection.repriced,
            index: if query.has_words() { index.generation() } else { 0 },
            stock: if query.in_stock.is_some() { projection.stock_changes } else { 0 },
        };
        if let Some(kept) = self.0.lock().results.get(query).filter(|kept| kept.basis == basis) {
            return Ok(kept.clone());
        }
        let hits = if query.has_words() { Some(index.hits(&query.words)?) } else { None };
        let Selection { slots, scores, counts } = query.select(projection, hits);
        let facets = serde_json::to_string(&counts.facets(projection)).map_err(Error::internal)?;
        let categories = counts.into_categories();
        let made = ResultSet { basis, query: query.clone(), slots, scores, categories, facets: facets.into() };
        let made = Arc::new(made);
        self.0.lock().keep(made.clone());
        Ok(made)
    }
}

impl Entries {
    fn keep(&mut self, made: Arc<ResultSet>) {
        let query = made.query.clone();
        self.slots += made.total();
        match self.results.insert(query.clone(), made) {
            Some(before) => self.slots -= before.total(),
            None => self.order.push_back(query),
        }
        while self.results.len() > MAX_RESULTS || self.slots > MAX_SLOTS {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.results.remove(&oldest) {
                self.slots -= gone.total();
            }
        }
    }
}
