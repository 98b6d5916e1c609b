//! What tax settings say to others: the store's classes, and the regions that are taxed apart.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::store::TaxFacts;

use super::{STANDARD, TaxSettings};

impl TaxSettings {
    /// The store's tax classes: STANDARD, and those that are listed, else those that rates name.
    pub(crate) fn class_names(&self) -> BTreeSet<&str> {
        let named = self.rates.iter().map(|rate| rate.tax_class.as_str()).filter(|_| self.classes.is_none());
        let listed = self.classes.iter().flatten().map(String::as_str);
        named.chain(listed).chain([STANDARD]).collect()
    }

    /// Whether goods may have a class.
    pub(crate) fn has_class(&self, class: &str) -> bool {
        let named = || self.rates.iter().any(|rate| rate.tax_class == class);
        class == STANDARD || self.classes.as_ref().map_or_else(named, |listed| listed.iter().any(|it| it == class))
    }

    /// Whether a country has rates by region: what is shipped there needs one.
    pub(crate) fn is_by_region(&self, country: &str) -> bool {
        self.rates.iter().any(|rate| rate.country == country && rate.region.is_some())
    }

    pub(crate) fn facts(&self) -> TaxFacts {
        let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rate in &self.rates {
            if let Some(region) = &rate.region {
                regions.entry(rate.country.clone()).or_default().push(region.clone());
            }
        }
        TaxFacts { classes: self.class_names().into_iter().map(str::to_owned).collect(), regions }
    }
}
