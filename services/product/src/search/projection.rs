//! The data of every product that lists need, in memory: sorted by each order, updated product by product.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Timestamp, Warnings};
use promox_storage::{StoreError, Tx};

use super::values::{Values, index, number};
use crate::api::Sort;
use crate::records::{Product, ProductByEpoch, ProductStatus};
use crate::rules::{Ruled, Tree, slot};

/// Products per read while catching up.
const CAUGHT_UP_AT_ONCE: usize = 2_000;
/// From this many changes on, an order is sorted again instead of moving each product.
const SORTED_ANEW: usize = 64;

/// A product in lists.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ProductId,
    pub(super) created_at: Timestamp,
    /// In lower case.
    pub(super) name: Box<str>,
    /// An anonymous visitor's price.
    pub(super) price: Amount,
    pub(super) status: ProductStatus,
    /// Ids of its categories and all their ancestors, followed by the numbers of its attribute values and options,
    /// without duplicates: one allocation, read at once.
    tags: Box<[u32]>,
    /// How many of the tags are its own categories.
    own: u32,
    /// How many are categories.
    own_categories: u32,
    /// Indexes into `Projection::sold`.
    variants: Box<[u32]>,
}

impl Entry {
    /// Its categories with all ancestors, and its attribute values and options.
    pub(super) fn tags(&self) -> (&[u32], &[u32]) {
        self.tags.split_at_checked(index(self.own_categories)).unwrap_or_default()
    }

    /// Adds the ancestors of its own categories.
    fn shelve(&mut self, tree: &Tree) {
        let (_, values) = self.tags();
        let own = self.tags.get(..index(self.own)).unwrap_or_default();
        let mut tags = own.to_vec();
        for above in own.iter().flat_map(|id| tree.lineage(CategoryId(i64::from(*id)))) {
            let above = number(slot(*above));
            if !tags.contains(&above) {
                tags.push(above);
            }
        }
        let own_categories = number(tags.len());
        tags.extend_from_slice(values);
        self.tags = tags.into();
        self.own_categories = own_categories;
    }
}

/// A variant and whether it is in stock, according to events.
#[derive(Debug)]
struct Sold {
    in_stock: bool,
}

/// The catalog in lists.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// The catalog epoch of the products here.
    pub(crate) epoch: i64,
    /// The category tree of the products, and its epoch.
    pub(super) tree: Arc<Tree>,
    pub(super) categories: i64,
    /// The announced state of the price rules for which prices were determined: 0 when all are list prices.
    pub(crate) rules_state: i64,
    /// Products that still have list prices although price rules are active.
    pub(crate) unpriced: BTreeSet<ProductId>,
    /// Counts price changes caused by rules alone.
    pub(super) repriced: u64,
    /// Counts changes of variants' in-stock state.
    pub(crate) stock_changes: u64,
    /// Products that could not be read when this was built: lists leave them out and say so.
    pub(crate) damaged: Warnings,
    /// Products whose words are not in the index yet.
    pub(crate) unindexed: BTreeSet<ProductId>,
    /// Variants whose stock is still to be queried.
    pub(crate) unasked: Vec<VariantId>,
    pub(super) values: Values,
    entries: Vec<Entry>,
    /// By id: one more than the index in `entries`, 0 for none. Ids count from 1, so that the list has few gaps.
    by_id: Vec<u32>,
    sold: Vec<Sold>,
    by_variant: HashMap<VariantId, u32>,
    by_name: Vec<u32>,
    by_price: Vec<u32>,
    by_age: Vec<u32>,
}

impl Projection {
    /// Reads the changes between its epoch and the transaction's, up to some thousands of products: whether that is
    /// all.
    pub(crate) fn catch_up(&mut self, tx: &Tx<'_>, epoch: i64) -> Result<bool, StoreError> {
        if self.epoch >= epoch {
            return Ok(true);
        }
        let rows = tx.scan_by::<ProductByEpoch>().from(self.epoch + 1).collect(CAUGHT_UP_AT_ONCE)?;
        // A full batch may end within an epoch, which is then read again; none has more than a few hundred products.
        let cut = rows.last().filter(|_| rows.len() == CAUGHT_UP_AT_ONCE).map(|last| last.epoch - 1);
        self.absorb(&rows);
        self.epoch = cut.unwrap_or(epoch);
        Ok(cut.is_none())
    }

    /// Replaces the tree.
    pub(crate) fn plant(&mut self, tree: Arc<Tree>, categories: i64) {
        if self.categories < categories {
            self.entries.iter_mut().for_each(|entry| entry.shelve(&tree));
            self.tree = tree;
            self.categories = categories;
        }
    }

    /// Replaces products with their current state.
    pub(crate) fn absorb(&mut self, products: &[Product]) {
        self.unindexed.extend(products.iter().map(|product| product.id));
        if products.len() > SORTED_ANEW {
            self.extend(products);
            return self.sort();
        }
        for product in products {
            if let Some(slot) = self.slot(product.id) {
                self.leave_orders(slot);
            }
            let slot = self.put(product);
            self.enter_orders(slot);
        }
    }

    /// Adds products without sorting them, which [`Projection::sort`] does for all.
    pub(crate) fn extend(&mut self, products: &[Product]) {
        for product in products {
            self.put(product);
        }
    }

    /// Sorts all orders again.
    pub(crate) fn sort(&mut self) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            order.extend(number(order.len())..number(self.entries.len()));
            order.sort_by(|a, b| self.compare(sort, *a, *b));
            *self.order_mut(sort) = order;
        }
    }

    /// Sets prices after rules.
    pub(crate) fn set_prices(&mut self, prices: &[(ProductId, Amount)]) {
        let mut changed = false;
        for (id, price) in prices {
            let slot = self.slot(*id);
            if let Some(entry) = slot.and_then(|slot| self.entries.get_mut(index(slot)))
                && entry.price != *price
            {
                entry.price = *price;
                changed = true;
            }
        }
        if changed {
            self.repriced += 1;
            let mut order = std::mem::take(&mut self.by_price);
            order.sort_by(|a, b| self.compare(Sort::Price, *a, *b));
            self.by_price = order;
        }
    }

    /// Every product's id.
    pub(crate) fn ids(&self) -> BTreeSet<ProductId> {
        self.entries.iter().map(|entry| entry.id).collect()
    }

    fn put(&mut self, product: &Product) -> u32 {
        if self.rules_state != 0 {
            self.unpriced.insert(product.id);
        }
        let entry = self.entry(product);
        if let Some(slot) = self.slot(entry.id) {
            if let Some(kept) = self.entries.get_mut(index(slot)) {
                *kept = entry;
            }
            return slot;
        }
        let at = place(entry.id);
        if self.by_id.len() <= at {
            self.by_id.resize(at + 1, 0);
        }
        self.entries.push(entry);
        let count = number(self.entries.len());
        if let Some(slot) = self.by_id.get_mut(at) {
            *slot = count;
        }
        count - 1
    }

    fn entry(&mut self, product: &Product) -> Entry {
        let options = product.variants.iter().flat_map(|variant| variant.options.iter());
        let mut tags: Vec<u32> = product.category_ids.iter().map(|id| number(slot(*id))).collect();
        let own = tags.len();
        for (name, text) in product.attributes.iter().chain(options) {
            let value = self.values.number(name, text);
            if !tags.iter().skip(own).any(|known| *known == value) {
                tags.push(value);
            }
        }
        let mut entry = Entry {
            id: product.id,
            created_at: product.created_at,
            name: product.name.to_lowercase().into(),
            price: Ruled::default().front_price(&product.variants),
            status: product.status,
            tags: tags.into(),
            own: number(own),
            own_categories: number(own),
            variants: product.variants.iter().map(|variant| self.variant(variant.id)).collect(),
        };
        entry.shelve(&self.tree);
        entry
    }

    fn variant(&mut self, id: VariantId) -> u32 {
        if let Some(known) = self.by_variant.get(&id) {
            return *known;
        }
        let next = number(self.sold.len());
        self.sold.push(Sold { in_stock: false });
        self.by_variant.insert(id, next);
        self.unasked.push(id);
        next
    }

    /// Applies events about a variant's stock.
    pub(crate) fn set_stock(&mut self, id: VariantId, in_stock: bool) {
        let place = self.by_variant.get(&id).copied();
        if let Some(sold) = place.and_then(|place| self.sold.get_mut(index(place)))
            && sold.in_stock != in_stock
        {
            sold.in_stock = in_stock;
            self.stock_changes += 1;
        }
    }

    pub(super) fn in_stock(&self, entry: &Entry) -> bool {
        entry.variants.iter().any(|place| self.sold.get(index(*place)).is_some_and(|sold| sold.in_stock))
    }

    /// Every product, in the order of their slots.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(index(slot))
    }

    pub(super) fn slot(&self, id: ProductId) -> Option<u32> {
        self.by_id.get(place(id))?.checked_sub(1)
    }

    /// Every product in an order; descending by price is ascending in reverse.
    pub(super) fn ordered(&self, sort: Sort) -> Box<dyn Iterator<Item = u32> + '_> {
        match sort {
            Sort::Name => Box::new(self.by_name.iter().copied()),
            Sort::Price => Box::new(self.by_price.iter().copied()),
            Sort::PriceDescending => Box::new(self.by_price.iter().rev().copied()),
            Sort::Newest | Sort::Relevance => Box::new(self.by_age.iter().copied()),
        }
    }

    /// Compares two products in an order.
    pub(super) fn compare(&self, sort: Sort, a: u32, b: u32) -> Ordering {
        let (Some(a), Some(b)) = (self.get(a), self.get(b)) else { return a.cmp(&b) };
        match sort {
            Sort::Name => (&a.name, a.id).cmp(&(&b.name, b.id)),
            Sort::Price => (a.price, a.id).cmp(&(b.price, b.id)),
            Sort::PriceDescending => (b.price, b.id).cmp(&(a.price, a.id)),
            Sort::Newest | Sort::Relevance => (b.created_at, b.id).cmp(&(a.created_at, a.id)),
        }
    }

    fn order_mut(&mut self, sort: Sort) -> &mut Vec<u32> {
        match sort {
            Sort::Name => &mut self.by_name,
            Sort::Price | Sort::PriceDescending => &mut self.by_price,
            Sort::Newest | Sort::Relevance => &mut self.by_age,
        }
    }

    fn leave_orders(&mut self, slot: u32) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            if let Ok(at) = order.binary_search_by(|other| self.compare(sort, *other, slot)) {
                order.remove(at);
            }
            *self.order_mut(sort) = order;
        }
    }

    fn enter_orders(&mut self, slot: u32) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            let at = order.partition_point(|other| self.compare(sort, *other, slot) == Ordering::Less);
            order.insert(at, slot);
            *self.order_mut(sort) = order;
        }
    }
}

/// The index of an id in a list by id.
fn place(id: ProductId) -> usize {
    usize::try_from(id.0).unwrap_or(0)
}
