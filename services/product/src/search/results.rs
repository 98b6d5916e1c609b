//! Results: all products of a query in order, with their facets, cached while the data they depend on is unchanged.

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
/// Maximum products in all cached results together, four to eight bytes each.
const MAX_SLOTS: usize = 2 << 20;

/// The state of the data that a result was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    /// The catalog epoch.
    epoch: i64,
    /// The epoch of the category tree.
    categories: i64,
    /// `Projection::repriced`.
    repriced: u64,
    /// The generation of the index for word searches, otherwise 0.
    index: u64,
    /// `Projection::stock_changes` for queries that filter by stock, otherwise 0.
    stock: u64,
}

/// All products that match a query, in order.
#[derive(Debug)]
pub(crate) struct ResultSet {
    basis: Basis,
    query: Query,
    slots: Vec<u32>,
    /// The score of each product, if they are sorted by relevance, otherwise empty.
    scores: Vec<u32>,
    /// The number of products in or below each category, by category id.
    categories: Vec<u32>,
    /// The facets as JSON text.
    pub(crate) facets: Arc<str>,
}

impl ResultSet {
    /// The number of products.
    pub(crate) fn total(&self) -> usize {
        self.slots.len()
    }

    /// The number of products in a category or below it.
    pub(crate) fn in_category(&self, id: CategoryId) -> u64 {
        u64::from(self.categories.get(slot(id)).copied().unwrap_or(0))
    }

    /// The page after `cursor`, and the cursor of the next page, which is `None` on the last page.
    pub(crate) fn page(
        &self,
        projection: &Projection,
        limit: usize,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<ProductId>, Option<Cursor>), Error> {
        let start = match cursor {
            Some(cursor) => self.after(projection, &Position::from_cursor(cursor, self.query.sort)?),
            None => 0,
        };
        let rest = self.slots.get(start..).unwrap_or_default();
        let page = rest.get(..limit).unwrap_or(rest);
        let entries = page.iter().filter_map(|slot| projection.get(*slot));
        let next = page.last().filter(|_| rest.len() > page.len()).and_then(|last| projection.get(*last));
        let score = self.scores.get(start + page.len().saturating_sub(1)).copied();
        let next = next.map(|entry| Position::of(self.query.sort, entry, score).to_cursor());
        Ok((entries.map(|entry| entry.id).collect(), next))
    }

    /// The index of the first product after a position, by binary search.
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

/// The results of the latest queries.
#[derive(Debug, Default)]
pub(crate) struct ResultCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    results: HashMap<Query, Arc<ResultSet>>,
    /// The cached queries, oldest first.
    order: VecDeque<Query>,
    /// The number of products in all results together.
    slots: usize,
}

impl ResultCache {
    /// The result of a query, from the cache or computed now.
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
        if let Some(cached) = self.0.lock().results.get(query).filter(|cached| cached.basis == basis) {
            return Ok(cached.clone());
        }
        let hits = if query.has_words() { Some(index.hits(&query.words)?) } else { None };
        let Selection { slots, scores, counts } = query.select(projection, hits);
        let facets = serde_json::to_string(&counts.facets(projection)).map_err(Error::internal)?;
        let categories = counts.into_categories();
        let result = ResultSet { basis, query: query.clone(), slots, scores, categories, facets: facets.into() };
        let result = Arc::new(result);
        self.0.lock().insert(result.clone());
        Ok(result)
    }
}

impl Entries {
    /// Caches a result, and removes the oldest ones beyond the limits.
    fn insert(&mut self, result: Arc<ResultSet>) {
        let query = result.query.clone();
        self.slots += result.total();
        match self.results.insert(query.clone(), result) {
            Some(replaced) => self.slots -= replaced.total(),
            None => self.order.push_back(query),
        }
        while self.results.len() > MAX_RESULTS || self.slots > MAX_SLOTS {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(removed) = self.results.remove(&oldest) {
                self.slots -= removed.total();
            }
        }
    }
}
