//! Filters, which decide the lines that an action or a condition matches.

use promox_contract::condition::{ItemFilter, Lines};
use promox_kernel::{Currency, FieldError};

use crate::rules::evaluate::cart::{Line, SkuKey};
use crate::rules::language::faults::DocumentFaults;

/// Maximum members of a list.
const MAX_MEMBERS: usize = 5_000;

/// A compiled filter. Lists are sorted; an empty list matches everything.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) skus: Vec<SkuKey>,
    pub(crate) products: Vec<i64>,
    pub(crate) categories: Vec<i64>,
    attributes: Vec<(String, Vec<String>)>,
    min: i64,
    max: i64,
    exclude_discounted: bool,
    exclude: Option<Box<Filter>>,
    every_line: bool,
}

impl Filter {
    /// Compiles the filter at `pointer`. Without a filter, every line matches.
    pub(crate) fn read(filter: Option<&ItemFilter>, pointer: &str, faults: &mut DocumentFaults) -> Self {
        let default = ItemFilter::default();
        let filter = filter.unwrap_or(&default);
        let read = Self {
            skus: sorted(filter.skus.as_deref(), &format!("{pointer}/skus"), faults, SkuKey::of),
            products: sorted(filter.product_ids.as_deref(), &format!("{pointer}/productIds"), faults, |id| *id),
            categories: sorted(filter.categories.as_deref(), &format!("{pointer}/categories"), faults, |id| *id),
            attributes: attributes(filter, pointer, faults),
            min: filter.min_price.map_or(0, |price| faults.price(&format!("{pointer}/minPrice"), Some(price))),
            max: filter.max_price.map_or(i64::MAX, |price| faults.price(&format!("{pointer}/maxPrice"), Some(price))),
            exclude_discounted: filter.exclude_discounted == Some(true),
            exclude: exclude(filter, pointer, faults),
            every_line: *filter == ItemFilter::default(),
        };
        if read.min > read.max {
            faults.note(&format!("{pointer}/maxPrice"), "the highest price is below the lowest");
        }
        read
    }

    /// Whether it matches a line.
    pub(crate) fn matches(&self, line: &Line) -> bool {
        self.matches_at(line, line.unit)
    }

    /// Whether it would match a line at this unit price.
    pub(crate) fn matches_at(&self, line: &Line, unit: i64) -> bool {
        self.every_line || self.matches_members(line, unit)
    }

    /// The range of unit prices that it matches; `None` if it has no limits on prices.
    pub(crate) fn band(&self) -> Option<(i64, i64)> {
        (self.min > 0 || self.max < i64::MAX).then_some((self.min, self.max))
    }

    /// Of the attributes that it requires, the one with the fewest values.
    pub(crate) fn attribute(&self) -> Option<&(String, Vec<String>)> {
        self.attributes.iter().min_by_key(|(_, values)| values.len())
    }

    fn matches_members(&self, line: &Line, unit: i64) -> bool {
        let has = |list: &[i64], of: &[i64]| list.is_empty() || of.iter().any(|id| list.binary_search(id).is_ok());
        (self.skus.is_empty() || line.keys().any(|key| self.skus.binary_search(key).is_ok()))
            && has(&self.products, line.product.as_slice())
            && has(&self.categories, &line.categories)
            && (self.min..=self.max).contains(&unit)
            && !(self.exclude_discounted && unit < line.list)
            && self.attributes.iter().all(|(name, values)| {
                line.attributes.get(name).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            })
            && self.exclude.as_ref().is_none_or(|exclude| !exclude.matches_at(line, unit))
    }
}

/// Conditions compile their filters like actions.
impl Lines for Filter {
    fn read_filter(
        filter: Option<&ItemFilter>,
        pointer: &str,
        currency: Currency,
        faults: &mut Vec<FieldError>,
    ) -> Self {
        let mut found = DocumentFaults::new(pointer, currency);
        let read = Self::read(filter, "", &mut found);
        faults.extend(found.into_list());
        read
    }
}

fn sorted<T, K: Ord>(list: Option<&[T]>, pointer: &str, faults: &mut DocumentFaults, key: impl Fn(&T) -> K) -> Vec<K> {
    let Some(list) = list else { return Vec::new() };
    if list.is_empty() || list.len() > MAX_MEMBERS {
        faults.note(pointer, format!("must have 1 to {MAX_MEMBERS} members; omit the key to match all"));
    }
    let mut keys: Vec<K> = list.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn attributes(filter: &ItemFilter, pointer: &str, faults: &mut DocumentFaults) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for (name, values) in filter.attributes.iter().flatten() {
        if values.texts().is_empty() {
            faults.note(&format!("{pointer}/attributes/{name}"), "must have at least one value");
        }
        all.push((name.clone(), values.texts().to_vec()));
    }
    all
}

fn exclude(filter: &ItemFilter, pointer: &str, faults: &mut DocumentFaults) -> Option<Box<Filter>> {
    let excluded = filter.exclude.as_deref()?;
    let pointer = format!("{pointer}/exclude");
    if excluded.exclude.is_some() {
        faults.note(&format!("{pointer}/exclude"), "an exclusion must not have exclusions of its own");
        return None;
    }
    if *excluded == ItemFilter::default() {
        faults.note(&pointer, "this excludes every line");
    }
    Some(Box::new(Filter::read(Some(excluded), &pointer, faults)))
}
