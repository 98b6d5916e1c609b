//! Facets: how many products of a result are in each category or have each attribute value, counted in one pass.

use std::collections::BTreeMap;

use promox_contract::ids::CategoryId;
use promox_kernel::Amount;

use super::projection::{Entry, Projection};
use super::values::index;
use crate::api::{CategoryCount, Facets, PriceSpan, ValueCount};
use crate::rules::{Tree, slot};

/// Maximum categories in the facets of a result.
const MAX_CATEGORIES: usize = 100;
/// Maximum attributes in the facets of a result.
const MAX_ATTRIBUTES: usize = 20;
/// Maximum values listed per attribute.
const MAX_VALUES: usize = 20;

/// The counts for a result's facets.
#[derive(Debug)]
pub(super) struct Counts {
    /// Products by category id. A product also counts for the ancestors of its categories.
    categories: Vec<u32>,
    /// Products by the number of an attribute value.
    values: Vec<u32>,
    /// The values that some product has: a few of the many values of a large catalog.
    found_values: Vec<u32>,
    /// The lowest and the highest price.
    price_range: Option<(Amount, Amount)>,
}

impl Counts {
    pub(super) fn new(projection: &Projection) -> Self {
        Self {
            categories: vec![0; projection.tree.id_bound()],
            values: vec![0; projection.values.len()],
            found_values: Vec::new(),
            price_range: None,
        }
    }

    /// Counts a product.
    pub(super) fn add(&mut self, entry: &Entry) {
        let (categories, values) = entry.tags();
        for id in categories {
            if let Some(count) = self.categories.get_mut(index(*id)) {
                *count += 1;
            }
        }
        for value in values {
            if let Some(count) = self.values.get_mut(index(*value)) {
                if *count == 0 {
                    self.found_values.push(*value);
                }
                *count += 1;
            }
        }
        match &mut self.price_range {
            Some((min, max)) => {
                *min = entry.price.min(*min);
                *max = entry.price.max(*max);
            }
            None => self.price_range = Some((entry.price, entry.price)),
        }
    }

    /// The number of products in each category or below it, by category id.
    pub(super) fn into_categories(self) -> Vec<u32> {
        self.categories
    }

    pub(super) fn facets(&self, projection: &Projection) -> Facets {
        Facets {
            categories: self.categories(&projection.tree),
            price: self.price_range.map(|(min, max)| PriceSpan { min, max }),
            attributes: self.attributes(projection),
        }
    }

    fn categories(&self, tree: &Tree) -> Vec<CategoryCount> {
        let count = |id: CategoryId| u64::from(self.categories.get(slot(id)).copied().unwrap_or(0));
        let rows = tree.rows().iter().filter(|row| count(row.id) > 0);
        let mut counts: Vec<CategoryCount> =
            rows.map(|row| CategoryCount { id: row.id, name: row.name.clone(), count: count(row.id) }).collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then(a.id.cmp(&b.id)));
        counts.truncate(MAX_CATEGORIES);
        counts
    }

    /// The attributes that most products of the result have, each with its most frequent values.
    fn attributes(&self, projection: &Projection) -> BTreeMap<String, Vec<ValueCount>> {
        let mut by_name: BTreeMap<u32, Vec<ValueCount>> = BTreeMap::new();
        for value in &self.found_values {
            if let (Some(value), Some(count)) = (projection.values.get(*value), self.values.get(index(*value))) {
                let counted = ValueCount { value: value.text.to_string(), count: u64::from(*count) };
                by_name.entry(value.name).or_default().push(counted);
            }
        }
        let mut names: Vec<(u64, u32, Vec<ValueCount>)> = by_name
            .into_iter()
            .map(|(name, values)| (values.iter().map(|value| value.count).sum(), name, values))
            .collect();
        names.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        names.truncate(MAX_ATTRIBUTES);
        let attributes =
            names.into_iter().map(|(_, name, values)| (projection.values.name(name).to_owned(), most_frequent(values)));
        attributes.collect()
    }
}

fn most_frequent(mut values: Vec<ValueCount>) -> Vec<ValueCount> {
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values.truncate(MAX_VALUES);
    values
}
