//! An index of all promotions that may apply, by what a cart has: its SKUs, products, categories, attributes and
//! prices, the buyer's segments, and the codes that were entered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use promox_contract::ids::{CampaignId, PromotionId};

use crate::rules::catalog::bands::Bands;
use crate::rules::compile::Rule;
use crate::rules::compile::anchor::{Anchor, Keys};
use crate::rules::compile::needs::Needs;
use crate::rules::evaluate::cart::{Cart, Line};
use crate::rules::language::action::Stage;

/// Maximum promotions with an unreached least subtotal that are examined for offers.
const MAX_NEAR: usize = 8;

/// Compiled promotions, indexed and in their order of application.
#[derive(Debug, Default)]
pub struct RuleSet {
    cart: Vec<Arc<Rule>>,
    catalog: Vec<Arc<Rule>>,
    cart_index: Index,
    catalog_index: Index,
    by_id: HashMap<PromotionId, u32>,
    by_code: HashMap<String, PromotionId>,
    catalog_needs: Needs,
    catalog_campaigns: Vec<CampaignId>,
    exclusive: usize,
}

/// The positions of rules, by what a cart must have for them to apply.
#[derive(Debug, Default)]
struct Index {
    by_sku: HashMap<u64, Vec<u32>>,
    by_product: HashMap<i64, Vec<u32>>,
    by_category: HashMap<i64, Vec<u32>>,
    by_attribute: HashMap<String, HashMap<String, Vec<u32>>>,
    by_price: Bands,
    by_segment: BTreeMap<String, Vec<u32>>,
    /// Rules without a key, sorted by the least subtotal of goods that they require.
    always: Vec<(i64, u32)>,
}

impl Index {
    fn add(&mut self, position: u32, rule: &Rule) {
        match &rule.anchor {
            Anchor::Named => {}
            Anchor::Segments(names) => {
                names.iter().for_each(|name| self.by_segment.entry(name.clone()).or_default().push(position));
            }
            Anchor::Lines(keys) => self.add_lines(position, keys),
            Anchor::Anything => self.always.push((rule.least_subtotal, position)),
        }
    }

    fn add_lines(&mut self, position: u32, keys: &Keys) {
        keys.skus.iter().for_each(|sku| self.by_sku.entry(*sku).or_default().push(position));
        keys.products.iter().for_each(|id| self.by_product.entry(*id).or_default().push(position));
        keys.categories.iter().for_each(|id| self.by_category.entry(*id).or_default().push(position));
        for (name, value) in &keys.attributes {
            let values = self.by_attribute.entry(name.clone()).or_default();
            values.entry(value.clone()).or_default().push(position);
        }
        keys.bands.iter().for_each(|band| self.by_price.add(*band, position));
    }

    /// Sorts the rules without a key and builds the index of prices.
    fn finish(&mut self) {
        self.always.sort_unstable();
        self.by_price.finish();
    }

    /// Adds the positions of rules that may match a line at any price.
    fn of_line(&self, line: &Line, found: &mut Vec<u32>) {
        let mut extend = |positions: Option<&Vec<u32>>| found.extend(positions.into_iter().flatten());
        if !self.by_sku.is_empty() {
            line.keys().for_each(|key| extend(self.by_sku.get(&key.hash)));
        }
        if !self.by_product.is_empty() {
            extend(line.product.and_then(|id| self.by_product.get(&id)));
        }
        if !self.by_category.is_empty() {
            line.categories.iter().for_each(|id| extend(self.by_category.get(id)));
        }
        for (name, values) in &self.by_attribute {
            extend(line.attributes.get(name).and_then(|value| values.get(value)));
        }
    }

    fn of_segments(&self, segments: &[String], found: &mut Vec<u32>) {
        for segment in segments {
            found.extend(self.by_segment.get(segment).into_iter().flatten());
        }
    }

    /// Splits the rules without a key into those whose least subtotal the goods reach and those whose they do not.
    fn split_by_subtotal(&self, goods: i64) -> (&[(i64, u32)], &[(i64, u32)]) {
        self.always.split_at(self.always.partition_point(|(least, _)| *least <= goods))
    }
}

/// Sorts positions and removes duplicates.
fn in_order(mut found: Vec<u32>) -> Vec<u32> {
    found.sort_unstable();
    found.dedup();
    found
}

impl RuleSet {
    /// Orders and indexes promotions.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let mut all: Vec<Arc<Rule>> = rules.into_iter().collect();
        all.sort_by_key(|rule| (std::cmp::Reverse(rule.priority), rule.id));
        let (catalog, cart) = all.into_iter().partition(|rule: &Arc<Rule>| rule.stage == Stage::Catalog);
        let mut set = Self { cart, catalog, ..Self::default() };
        for (position, rule) in (0..).zip(&set.cart) {
            set.cart_index.add(position, rule);
            set.exclusive += usize::from(rule.exclusive);
            set.by_id.insert(rule.id, position);
            if let Some(code) = &rule.code_key {
                set.by_code.insert(code.clone(), rule.id);
            }
        }
        for (position, rule) in (0..).zip(&set.catalog) {
            set.catalog_index.add(position, rule);
        }
        for rule in &set.catalog {
            set.catalog_needs.add(rule.needs());
            set.catalog_campaigns.extend(rule.campaign);
        }
        set.catalog_campaigns.sort_unstable();
        set.catalog_campaigns.dedup();
        set.cart_index.finish();
        set.catalog_index.finish();
        set
    }

    /// Whether there are no promotions.
    pub fn is_empty(&self) -> bool {
        self.cart.is_empty() && self.catalog.is_empty()
    }

    /// The number of exclusive promotions that carts are evaluated with, each alone.
    pub(crate) fn exclusive(&self) -> usize {
        self.exclusive
    }

    /// The number of promotions.
    pub fn len(&self) -> usize {
        self.cart.len() + self.catalog.len()
    }

    /// The price rules of the CATALOG stage, in order of application.
    pub fn catalog(&self) -> &[Arc<Rule>] {
        &self.catalog
    }

    /// The facts that must be queried before catalog prices can be computed.
    pub fn catalog_needs(&self) -> &Needs {
        &self.catalog_needs
    }

    /// The campaigns of price rules, without duplicates.
    pub fn catalog_campaigns(&self) -> &[CampaignId] {
        &self.catalog_campaigns
    }

    /// The promotions of the CART stage, in order of application.
    pub(crate) fn cart(&self) -> &[Arc<Rule>] {
        &self.cart
    }

    /// The promotion with a code, given in normal form.
    pub fn by_code(&self, normal: &str) -> Option<PromotionId> {
        self.by_code.get(normal).copied()
    }

    /// The position of a cart promotion in the order of application.
    pub(crate) fn position(&self, id: PromotionId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The cart promotion at a position in the order of application.
    pub(crate) fn rule(&self, position: u32) -> Option<&Arc<Rule>> {
        self.cart.get(usize::try_from(position).ok()?)
    }

    /// A cart promotion by id.
    pub fn get(&self, id: PromotionId) -> Option<&Arc<Rule>> {
        self.rule(self.position(id)?)
    }

    /// Whether candidates depend on the buyer's segments.
    pub fn needs_segments(&self) -> bool {
        !self.cart_index.by_segment.is_empty()
    }

    /// The positions of the cart promotions that could apply without a code, in order.
    pub(crate) fn candidates(&self, cart: &Cart, segments: &[String]) -> Vec<u32> {
        let goods = cart.lines.iter().map(|line| line.subtotal).sum();
        let (reached, _) = self.cart_index.split_by_subtotal(goods);
        let mut found: Vec<u32> = reached.iter().map(|(_, position)| *position).collect();
        for line in &cart.lines {
            self.cart_index.of_line(line, &mut found);
            self.cart_index.by_price.at(line.unit, &mut found);
        }
        self.cart_index.of_segments(segments, &mut found);
        in_order(found)
    }

    /// The positions of the cart promotions whose least subtotal the cart misses by the smallest amounts.
    pub(crate) fn near(&self, cart: &Cart) -> Vec<u32> {
        let goods = cart.lines.iter().map(|line| line.subtotal).sum();
        let (_, beyond) = self.cart_index.split_by_subtotal(goods);
        beyond.iter().take(MAX_NEAR).map(|(_, position)| *position).collect()
    }

    /// A price rule by its position in the order of application.
    pub(crate) fn catalog_rule(&self, position: u32) -> Option<&Arc<Rule>> {
        self.catalog.get(usize::try_from(position).ok()?)
    }

    /// The positions of the price rules that could lower a line's unit price, in order, without those that are only
    /// candidates at some prices.
    pub(crate) fn catalog_candidates(&self, line: &Line, segments: &[String]) -> Vec<u32> {
        let mut found: Vec<u32> = self.catalog_index.always.iter().map(|(_, position)| *position).collect();
        self.catalog_index.of_line(line, &mut found);
        self.catalog_index.of_segments(segments, &mut found);
        in_order(found)
    }

    /// The positions of the price rules for a range of prices that contains `unit`, in order.
    pub(crate) fn catalog_candidates_at(&self, unit: i64) -> Vec<u32> {
        let mut found = Vec::new();
        self.catalog_index.by_price.at(unit, &mut found);
        in_order(found)
    }

    /// Whether candidates among price rules depend on the price.
    pub(crate) fn catalog_depends_on_price(&self) -> bool {
        !self.catalog_index.by_price.is_empty()
    }

    /// The promotions that the evaluation of a cart could depend on: candidates, near ones and those named by codes.
    pub fn relevant<'s>(
        &'s self,
        cart: &Cart,
        segments: &[String],
        named: impl Iterator<Item = PromotionId>,
    ) -> Vec<&'s Arc<Rule>> {
        let mut found = self.candidates(cart, segments);
        found.extend(self.near(cart));
        found.extend(named.filter_map(|id| self.position(id)));
        in_order(found).into_iter().filter_map(|position| self.rule(position)).collect()
    }
}
