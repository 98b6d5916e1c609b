//! What is asked of the list in one form, whatever way it was written, and which products pass.

use promox_contract::ids::ProductId;
use promox_kernel::Amount;

use super::projection::{Entry, Projection};
use crate::api::{ListProducts, ProductStatus, Sort};
use crate::rules::{Tree, words};

/// Words of one search; more are left out.
const MOST_WORDS: usize = 8;

/// A list as it is asked for, without page: equal queries have equal results.
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
        words.truncate(MOST_WORDS);
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

    /// Every product on the shelf.
    pub(crate) fn everything() -> Self {
        Self::new(&ListProducts::default(), Some(ProductStatus::Active))
    }

    /// What somebody is typing.
    pub(crate) fn typed(text: &str) -> Self {
        let asked = ListProducts { q: Some(text.to_owned()), ..ListProducts::default() };
        Self::new(&asked, Some(ProductStatus::Active))
    }

    /// Whether it looks for words.
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The products that pass, in order, with scores when they are sorted by relevance.
    pub(super) fn select(
        &self,
        projection: &Projection,
        tree: &Tree,
        hits: Vec<(f32, ProductId)>,
    ) -> (Vec<u32>, Vec<f32>) {
        let Some(filter) = Filter::new(self, projection, tree) else { return (Vec::new(), Vec::new()) };
        let passes = |slot: &u32| projection.get(*slot).is_some_and(|entry| filter.passes(projection, entry));
        if !self.has_words() {
            return (projection.ordered(self.sort).filter(passes).collect(), Vec::new());
        }
        let known = hits.into_iter().filter_map(|(score, id)| Some((score, projection.slot(id)?)));
        let mut found: Vec<(f32, u32)> = known.filter(|(_, slot)| passes(slot)).collect();
        if self.sort == Sort::Relevance {
            found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| projection.compare(Sort::Newest, b.1, a.1)));
            return found.into_iter().map(|(score, slot)| (slot, score)).unzip();
        }
        found.sort_by(|a, b| projection.compare(self.sort, a.1, b.1));
        (found.into_iter().map(|(_, slot)| slot).collect(), Vec::new())
    }
}

/// A query's conditions, looked up once.
struct Filter<'q> {
    query: &'q Query,
    /// By id: whether a category is the one asked for or below it.
    categories: Option<Vec<bool>>,
    values: Vec<u32>,
}

impl<'q> Filter<'q> {
    /// `None` when nothing can pass: an unknown category or value.
    fn new(query: &'q Query, projection: &Projection, tree: &Tree) -> Option<Self> {
        let categories = match &query.category {
            Some(name) => Some(below(tree, name)?),
            None => None,
        };
        let values = query.attributes.iter().map(|(name, value)| projection.values.known(name, value));
        Some(Self { query, categories, values: values.collect::<Option<_>>()? })
    }

    fn passes(&self, projection: &Projection, entry: &Entry) -> bool {
        let query = self.query;
        let within = |inside: &Vec<bool>| {
            entry.categories.iter().any(|id| inside.get(crate::rules::slot(*id)).copied().unwrap_or(false))
        };
        query.status.is_none_or(|status| entry.status == status)
            && query.min_price.is_none_or(|least| entry.price >= least)
            && query.max_price.is_none_or(|most| entry.price <= most)
            && self.categories.as_ref().is_none_or(within)
            && self.values.iter().all(|value| entry.values.contains(value))
            && query.in_stock.is_none_or(|wanted| projection.in_stock(entry) == wanted)
    }
}

fn below(tree: &Tree, name: &str) -> Option<Vec<bool>> {
    let top = tree.named(name)?.id;
    let mut inside = vec![false; tree.ids()];
    for row in tree.rows() {
        if let Some(flag) = inside.get_mut(crate::rules::slot(row.id)) {
            *flag = tree.lineage(row.id).contains(&top);
        }
    }
    Some(inside)
}
