//! A list query in normal form, and the products that match it.

use promox_contract::ids::ProductId;
use promox_kernel::Amount;

use super::facets::Counts;
use super::projection::{Entry, Projection};
use super::values::{index, number};
use crate::api::{ListProducts, ProductStatus, Sort};
use crate::rules::{slot, words};

/// Maximum words of a search; further ones are ignored.
const MAX_WORDS: usize = 8;

/// A list query without its page: equal queries have equal results.
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
    /// The query of a request; `status` is what the caller may see.
    pub(crate) fn new(asked: &ListProducts, status: Option<ProductStatus>) -> Self {
        let mut words = asked.q.as_deref().map(words).unwrap_or_default();
        words.truncate(MAX_WORDS);
        let natural = if words.is_empty() { Sort::Newest } else { Sort::Relevance };
        let fold = |(name, value): (&String, &String)| (name.to_lowercase(), value.to_lowercase());
        Self {
            category: asked.category.clone(),
            min_price: asked.min_price,
            max_price: asked.max_price,
            in_stock: asked.in_stock,
            attributes: asked.attr.iter().map(fold).collect(),
            status,
            sort: asked.sort.filter(|sort| *sort != Sort::Relevance).unwrap_or(natural),
            words,
        }
    }

    /// All products on sale.
    pub(crate) fn everything() -> Self {
        Self::new(&ListProducts::default(), Some(ProductStatus::Active))
    }

    /// A prefix search for suggestions.
    pub(crate) fn typed(text: &str) -> Self {
        let asked = ListProducts { q: Some(text.to_owned()), ..ListProducts::default() };
        Self::new(&asked, Some(ProductStatus::Active))
    }

    /// Whether it searches for words.
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The matching products in order, with their scores when they are sorted by relevance, and their facets. `hits`
    /// are scores and ids of word matches.
    pub(super) fn select(&self, projection: &Projection, hits: Option<Vec<(u32, u32)>>) -> Selection {
        let mut counts = Counts::new(projection);
        let Some(filter) = Filter::new(self, projection) else {
            return Selection { slots: Vec::new(), scores: Vec::new(), counts };
        };
        let mut pass = |entry: &Entry| {
            let passes = filter.passes(projection, entry);
            if passes {
                counts.add(entry);
            }
            passes
        };
        let (slots, scores) = match hits {
            Some(hits) if self.sort == Sort::Relevance => by_score(projection, hits, pass),
            Some(hits) => {
                let mut passed = vec![false; projection.entries().len()];
                for slot in hits.into_iter().filter_map(|(_, id)| projection.slot(ProductId(id.into()))) {
                    let entry = projection.get(slot);
                    if let (Some(entry), Some(passed)) = (entry, passed.get_mut(index(slot))) {
                        *passed = pass(entry);
                    }
                }
                (in_order(projection, self.sort, &passed), Vec::new())
            }
            None => {
                let passed: Vec<bool> = projection.entries().iter().map(pass).collect();
                (in_order(projection, self.sort, &passed), Vec::new())
            }
        };
        Selection { slots, scores, counts }
    }
}

/// The matches of a query.
pub(super) struct Selection {
    pub(super) slots: Vec<u32>,
    pub(super) scores: Vec<u32>,
    pub(super) counts: Counts,
}

/// Highest score first, the older one among equals.
fn by_score(
    projection: &Projection,
    hits: Vec<(u32, u32)>,
    mut pass: impl FnMut(&Entry) -> bool,
) -> (Vec<u32>, Vec<u32>) {
    let entry = |id: u32| projection.slot(ProductId(id.into())).and_then(|slot| projection.get(slot));
    let passed = hits.into_iter().filter(|(_, id)| entry(*id).is_some_and(&mut pass));
    let mut keys: Vec<(u32, u32)> = passed.map(|(score, id)| (!score, id)).collect();
    keys.sort_unstable();
    let slot = |id: u32| projection.slot(ProductId(id.into()));
    keys.into_iter().filter_map(|(key, id)| Some((slot(id)?, !key))).unzip()
}

fn in_order(projection: &Projection, sort: Sort, passed: &[bool]) -> Vec<u32> {
    projection.ordered(sort).filter(|slot| passed.get(index(*slot)).copied().unwrap_or(false)).collect()
}

/// The conditions of a query, resolved once.
struct Filter<'q> {
    query: &'q Query,
    category: Option<u32>,
    values: Vec<u32>,
}

impl<'q> Filter<'q> {
    /// `None` when nothing can match: an unknown category or value.
    fn new(query: &'q Query, projection: &Projection) -> Option<Self> {
        let category = match &query.category {
            Some(name) => Some(number(slot(projection.tree.named(name)?.id))),
            None => None,
        };
        let values = query.attributes.iter().map(|(name, value)| projection.values.known(name, value));
        Some(Self { query, category, values: values.collect::<Option<_>>()? })
    }

    fn passes(&self, projection: &Projection, entry: &Entry) -> bool {
        let query = self.query;
        let (categories, values) = entry.tags();
        query.status.is_none_or(|status| entry.status == status)
            && query.min_price.is_none_or(|least| entry.price >= least)
            && query.max_price.is_none_or(|most| entry.price <= most)
            && self.category.is_none_or(|id| categories.contains(&id))
            && self.values.iter().all(|value| values.contains(value))
            && query.in_stock.is_none_or(|wanted| projection.in_stock(entry) == wanted)
    }
}
