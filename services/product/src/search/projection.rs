//! An in-memory projection of the product data that lists need, sorted by each order and updated product by product.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Timestamp, Warnings};
use promox_storage::{StoreError, Tx};

use super::values::{Values, index, number};
use crate::api::Sort;
use crate::records::{Product, ProductByEpoch, ProductStatus};
use crate::rules::{Tree, VariantPrices, slot};

/// Products per read while catching up.
const CATCH_UP_BATCH: usize = 2_000;
/// With more changed products than this, the orders are sorted again instead of moving each product.
const RESORT_THRESHOLD: usize = 64;

/// The data of a product that lists need.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ProductId,
    pub(super) created_at: Timestamp,
    /// The name in lower case.
    pub(super) name: Box<str>,
    /// The lowest price of its variants for an anonymous visitor.
    pub(super) price: Amount,
    pub(super) status: ProductStatus,
    /// The ids of its categories and of all their ancestors, followed by the numbers of its attribute values and
    /// options, without duplicates. They share one allocation because filters read them together.
    tags: Box<[u32]>,
    /// The number of tags that are categories assigned to the product itself. They come first.
    assigned_count: u32,
    /// The number of tags that are categories, assigned or ancestors.
    category_count: u32,
    /// Its variants, as indexes into `Projection::stock`.
    variants: Box<[u32]>,
}

impl Entry {
    /// The ids of its categories with all ancestors, and the numbers of its attribute values and options.
    pub(super) fn tags(&self) -> (&[u32], &[u32]) {
        self.tags.split_at_checked(index(self.category_count)).unwrap_or_default()
    }

    /// Recomputes the ancestors of its assigned categories.
    fn add_ancestors(&mut self, tree: &Tree) {
        let (_, values) = self.tags();
        let assigned = self.tags.get(..index(self.assigned_count)).unwrap_or_default();
        let mut tags = assigned.to_vec();
        for ancestor in assigned.iter().flat_map(|id| tree.lineage(CategoryId(i64::from(*id)))) {
            let ancestor = number(slot(*ancestor));
            if !tags.contains(&ancestor) {
                tags.push(ancestor);
            }
        }
        let category_count = number(tags.len());
        tags.extend_from_slice(values);
        self.tags = tags.into();
        self.category_count = category_count;
    }
}

/// The stock of a variant, as far as lists need it: whether there is any, according to events.
#[derive(Debug)]
struct VariantStock {
    in_stock: bool,
}

/// The catalog as lists need it.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// The catalog epoch up to which products are included.
    pub(crate) epoch: i64,
    /// The category tree.
    pub(super) tree: Arc<Tree>,
    /// The epoch of `tree`.
    pub(super) categories: i64,
    /// The announced state of the price rules that the prices were computed with, or 0 if all are list prices.
    pub(crate) rules_state: i64,
    /// Products whose prices have not been computed with the active price rules yet.
    pub(crate) unpriced: BTreeSet<ProductId>,
    /// The number of times that price rules changed prices here. Cached results depend on it.
    pub(super) repriced: u64,
    /// The number of times that a variant came into or went out of stock. Cached results depend on it.
    pub(crate) stock_changes: u64,
    /// Products that could not be read at startup: lists leave them out and warn about them.
    pub(crate) damaged: Warnings,
    /// Products whose words are not in the index yet.
    pub(crate) unindexed: BTreeSet<ProductId>,
    /// Variants whose stock has not been queried yet.
    pub(crate) unqueried: Vec<VariantId>,
    /// The numbers of attribute values and options.
    pub(super) values: Values,
    /// Every product, in the order in which they were added. The index of a product is its slot, which never changes.
    entries: Vec<Entry>,
    /// One more than the slot of a product, by product id, or 0 for none. Ids count from 1, so the list has few gaps.
    by_id: Vec<u32>,
    stock: Vec<VariantStock>,
    /// The index in `stock` of each variant.
    by_variant: HashMap<VariantId, u32>,
    /// Slots in the order of names, then ids. The other two orders are kept in the same way.
    by_name: Vec<u32>,
    by_price: Vec<u32>,
    by_age: Vec<u32>,
}

impl Projection {
    /// Reads the products that changed since its epoch, at most [`CATCH_UP_BATCH`] of them. Returns whether it has
    /// reached `epoch`.
    pub(crate) fn catch_up(&mut self, tx: &Tx<'_>, epoch: i64) -> Result<bool, StoreError> {
        if self.epoch >= epoch {
            return Ok(true);
        }
        let rows = tx.scan_by::<ProductByEpoch>().from(self.epoch + 1).collect(CATCH_UP_BATCH)?;
        // A full batch may end within an epoch, which is then read again. No epoch has more than a few hundred
        // products.
        let last_complete = rows.last().filter(|_| rows.len() == CATCH_UP_BATCH).map(|last| last.epoch - 1);
        self.replace_products(&rows);
        self.epoch = last_complete.unwrap_or(epoch);
        Ok(last_complete.is_none())
    }

    /// Replaces the category tree if `categories`, its epoch, is later than that of the present one.
    pub(crate) fn set_tree(&mut self, tree: Arc<Tree>, categories: i64) {
        if self.categories < categories {
            self.entries.iter_mut().for_each(|entry| entry.add_ancestors(&tree));
            self.tree = tree;
            self.categories = categories;
        }
    }

    /// Adds products or replaces them with their current state, and marks them for indexing.
    pub(crate) fn replace_products(&mut self, products: &[Product]) {
        self.unindexed.extend(products.iter().map(|product| product.id));
        if products.len() > RESORT_THRESHOLD {
            self.extend(products);
            return self.sort();
        }
        for product in products {
            if let Some(slot) = self.slot(product.id) {
                self.remove_from_orders(slot);
            }
            let slot = self.put(product);
            self.insert_into_orders(slot);
        }
    }

    /// Adds products without sorting them. The caller must then call [`Projection::sort`].
    pub(crate) fn extend(&mut self, products: &[Product]) {
        for product in products {
            self.put(product);
        }
    }

    /// Sorts all orders, including products that were added by [`Projection::extend`].
    pub(crate) fn sort(&mut self) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            order.extend(number(order.len())..number(self.entries.len()));
            order.sort_by(|a, b| self.compare(sort, *a, *b));
            *self.order_mut(sort) = order;
        }
    }

    /// Sets the prices of products after price rules.
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

    /// The ids of all products.
    pub(crate) fn ids(&self) -> BTreeSet<ProductId> {
        self.entries.iter().map(|entry| entry.id).collect()
    }

    /// Adds or replaces a product, which is marked for pricing if price rules are active. Returns its slot.
    fn put(&mut self, product: &Product) -> u32 {
        if self.rules_state != 0 {
            self.unpriced.insert(product.id);
        }
        let entry = self.entry(product);
        if let Some(slot) = self.slot(entry.id) {
            if let Some(known) = self.entries.get_mut(index(slot)) {
                *known = entry;
            }
            return slot;
        }
        let at = id_index(entry.id);
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

    /// The entry of a product, at its list price.
    fn entry(&mut self, product: &Product) -> Entry {
        let options = product.variants.iter().flat_map(|variant| variant.options.iter());
        let mut tags: Vec<u32> = product.category_ids.iter().map(|id| number(slot(*id))).collect();
        let assigned_count = tags.len();
        for (name, text) in product.attributes.iter().chain(options) {
            let value = self.values.number(name, text);
            if !tags.iter().skip(assigned_count).any(|known| *known == value) {
                tags.push(value);
            }
        }
        let mut entry = Entry {
            id: product.id,
            created_at: product.created_at,
            name: product.name.to_lowercase().into(),
            price: VariantPrices::default().lowest_price(&product.variants),
            status: product.status,
            tags: tags.into(),
            assigned_count: number(assigned_count),
            category_count: number(assigned_count),
            variants: product.variants.iter().map(|variant| self.variant(variant.id)).collect(),
        };
        entry.add_ancestors(&self.tree);
        entry
    }

    /// The index of a variant in `stock`. A new variant is out of stock until its stock has been queried.
    fn variant(&mut self, id: VariantId) -> u32 {
        if let Some(known) = self.by_variant.get(&id) {
            return *known;
        }
        let next = number(self.stock.len());
        self.stock.push(VariantStock { in_stock: false });
        self.by_variant.insert(id, next);
        self.unqueried.push(id);
        next
    }

    /// Records whether a variant is in stock.
    pub(crate) fn set_stock(&mut self, id: VariantId, in_stock: bool) {
        let position = self.by_variant.get(&id).copied();
        if let Some(stock) = position.and_then(|position| self.stock.get_mut(index(position)))
            && stock.in_stock != in_stock
        {
            stock.in_stock = in_stock;
            self.stock_changes += 1;
        }
    }

    /// Whether any variant of a product is in stock.
    pub(super) fn in_stock(&self, entry: &Entry) -> bool {
        entry.variants.iter().any(|position| self.stock.get(index(*position)).is_some_and(|stock| stock.in_stock))
    }

    /// Every product, in the order of slots.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The product in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(index(slot))
    }

    /// The slot of a product.
    pub(super) fn slot(&self, id: ProductId) -> Option<u32> {
        self.by_id.get(id_index(id))?.checked_sub(1)
    }

    /// The slots of every product in an order. Descending by price is ascending by price in reverse.
    pub(super) fn ordered(&self, sort: Sort) -> Box<dyn Iterator<Item = u32> + '_> {
        match sort {
            Sort::Name => Box::new(self.by_name.iter().copied()),
            Sort::Price => Box::new(self.by_price.iter().copied()),
            Sort::PriceDescending => Box::new(self.by_price.iter().rev().copied()),
            Sort::Newest | Sort::Relevance => Box::new(self.by_age.iter().copied()),
        }
    }

    /// Compares the products in two slots by an order.
    pub(super) fn compare(&self, sort: Sort, a: u32, b: u32) -> Ordering {
        let (Some(a), Some(b)) = (self.get(a), self.get(b)) else { return a.cmp(&b) };
        match sort {
            Sort::Name => (&a.name, a.id).cmp(&(&b.name, b.id)),
            Sort::Price => (a.price, a.id).cmp(&(b.price, b.id)),
            Sort::PriceDescending => (b.price, b.id).cmp(&(a.price, a.id)),
            Sort::Newest | Sort::Relevance => (b.created_at, b.id).cmp(&(a.created_at, a.id)),
        }
    }

    /// The slots in an order.
    fn order_mut(&mut self, sort: Sort) -> &mut Vec<u32> {
        match sort {
            Sort::Name => &mut self.by_name,
            Sort::Price | Sort::PriceDescending => &mut self.by_price,
            Sort::Newest | Sort::Relevance => &mut self.by_age,
        }
    }

    /// Removes a product from all orders. Its entry must not have changed since it was inserted.
    fn remove_from_orders(&mut self, slot: u32) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            if let Ok(at) = order.binary_search_by(|other| self.compare(sort, *other, slot)) {
                order.remove(at);
            }
            *self.order_mut(sort) = order;
        }
    }

    /// Inserts a product into all orders.
    fn insert_into_orders(&mut self, slot: u32) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            let at = order.partition_point(|other| self.compare(sort, *other, slot) == Ordering::Less);
            order.insert(at, slot);
            *self.order_mut(sort) = order;
        }
    }
}

/// The index of a product in a list by product id.
fn id_index(id: ProductId) -> usize {
    usize::try_from(id.0).unwrap_or(0)
}
