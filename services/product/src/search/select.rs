//! A normalised list query, and the selection of the products that match it.

use promox_contract::ids::ProductId;
use promox_kernel::{Amount, Error};

use super::facets::Counts;
use super::projection::{Entry, Projection};
use super::values::{index, number};
use crate::api::{ListProducts, ProductStatus, Sort};
use crate::rules::{search_words, slot};

/// Maximum words of a search.
const MAX_WORDS: usize = 16;
/// Results are sorted if there are this many times as many products as results.
const SORT_FACTOR: usize = 16;

/// A list query without its page. Equal queries have equal results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    pub(super) words: Vec<String>,
    category: Option<String>,
    min_price: Option<Amount>,
    max_price: Option<Amount>,
    pub(super) in_stock: Option<bool>,
    attributes: Vec<(String, String)>,
    status: Option<ProductStatus>,
    pub(super) sort: Sort,
}

impl Query {
    /// The query of a request. `status` limits it to products that the caller may see; it is `None` for all.
    pub(crate) fn new(op: &ListProducts, status: Option<ProductStatus>) -> Self {
        let words = op.q.as_deref().map(search_words).unwrap_or_default();
        let default_sort = if words.is_empty() { Sort::Newest } else { Sort::Relevance };
        let fold = |(name, value): (&String, &String)| (name.to_lowercase(), value.to_lowercase());
        Self {
            category: op.category.clone(),
            min_price: op.min_price,
            max_price: op.max_price,
            in_stock: op.in_stock,
            attributes: op.attr.iter().map(fold).collect(),
            status,
            sort: op.sort.filter(|sort| *sort != Sort::Relevance).unwrap_or(default_sort),
            words,
        }
    }

    /// The query for all products on sale.
    pub(crate) fn all_active() -> Self {
        Self::new(&ListProducts::default(), Some(ProductStatus::Active))
    }

    /// The query for suggestions that complete `text`.
    pub(crate) fn for_suggestions(text: &str) -> Self {
        let op = ListProducts { q: Some(text.to_owned()), ..ListProducts::default() };
        Self::new(&op, Some(ProductStatus::Active))
    }

    /// Refuses more words than a search can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let count = self.words.len();
        if count > MAX_WORDS {
            return Err(Error::field("?q", format!("must have at most {MAX_WORDS} words; got {count}")));
        }
        Ok(())
    }

    /// Whether the query searches for words, so that it needs the index.
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The matching products in order. `hits` are the scores and ids of the products that match the words, or `None`
    /// for a query without words.
    pub(super) fn select(&self, projection: &Projection, hits: Option<Vec<(u32, u32)>>) -> Selection {
        let mut counts = Counts::new(projection);
        let Some(filter) = Filter::new(self, projection) else {
            return Selection { slots: Vec::new(), scores: Vec::new(), counts };
        };
        let mut select = |entry: &Entry| {
            let matches = filter.matches(projection, entry);
            if matches {
                counts.add(entry);
            }
            matches
        };
        let (slots, scores) = match hits {
            Some(hits) if self.sort == Sort::Relevance => by_score(projection, hits, select),
            Some(hits) => {
                let slots = hits.into_iter().filter_map(|(_, id)| projection.slot(ProductId(id.into())));
                let slots = slots.filter(|slot| projection.get(*slot).is_some_and(&mut select)).collect();
                (sorted(projection, self.sort, slots), Vec::new())
            }
            None => {
                let selected: Vec<bool> = projection.entries().iter().map(select).collect();
                (in_order(projection, self.sort, &selected), Vec::new())
            }
        };
        Selection { slots, scores, counts }
    }
}

/// The products that match a query.
pub(super) struct Selection {
    /// Their slots, in the order of the query.
    pub(super) slots: Vec<u32>,
    /// Their scores, if they are sorted by relevance, otherwise empty.
    pub(super) scores: Vec<u32>,
    pub(super) counts: Counts,
}

/// The slots and scores of the hits that are selected: highest score first, then lowest id.
fn by_score(
    projection: &Projection,
    hits: Vec<(u32, u32)>,
    mut select: impl FnMut(&Entry) -> bool,
) -> (Vec<u32>, Vec<u32>) {
    let entry = |id: u32| projection.slot(ProductId(id.into())).and_then(|slot| projection.get(slot));
    let selected = hits.into_iter().filter(|(_, id)| entry(*id).is_some_and(&mut select));
    // The inverted score makes ascending order put the highest score first.
    let mut keys: Vec<(u32, u32)> = selected.map(|(score, id)| (!score, id)).collect();
    keys.sort_unstable();
    let slot = |id: u32| projection.slot(ProductId(id.into()));
    keys.into_iter().filter_map(|(key, id)| Some((slot(id)?, !key))).unzip()
}

/// The slots in an order. A few are sorted, many are picked from the order of all products.
fn sorted(projection: &Projection, sort: Sort, mut slots: Vec<u32>) -> Vec<u32> {
    if slots.len() * SORT_FACTOR < projection.entries().len() {
        slots.sort_unstable_by(|a, b| projection.compare(sort, *a, *b));
        return slots;
    }
    let mut selected = vec![false; projection.entries().len()];
    for slot in slots {
        if let Some(selected) = selected.get_mut(index(slot)) {
            *selected = true;
        }
    }
    in_order(projection, sort, &selected)
}

/// The selected slots in an order. `selected` has one element per slot.
fn in_order(projection: &Projection, sort: Sort, selected: &[bool]) -> Vec<u32> {
    projection.ordered(sort).filter(|slot| selected.get(index(*slot)).copied().unwrap_or(false)).collect()
}

/// The conditions of a query, with names resolved to ids and numbers.
struct Filter<'q> {
    query: &'q Query,
    category: Option<u32>,
    values: Vec<u32>,
}

impl<'q> Filter<'q> {
    /// `None` if nothing can match, because the category or an attribute value is unknown.
    fn new(query: &'q Query, projection: &Projection) -> Option<Self> {
        let category = match &query.category {
            Some(name) => Some(number(slot(projection.tree.find(name)?.id))),
            None => None,
        };
        let values = query.attributes.iter().map(|(name, value)| projection.values.find(name, value));
        Some(Self { query, category, values: values.collect::<Option<_>>()? })
    }

    fn matches(&self, projection: &Projection, entry: &Entry) -> bool {
        let query = self.query;
        let (categories, values) = entry.tags();
        query.status.is_none_or(|status| entry.status == status)
            && query.min_price.is_none_or(|min| entry.price >= min)
            && query.max_price.is_none_or(|max| entry.price <= max)
            && self.category.is_none_or(|id| categories.contains(&id))
            && self.values.iter().all(|value| values.contains(value))
            && query.in_stock.is_none_or(|wanted| projection.in_stock(entry) == wanted)
    }
}
