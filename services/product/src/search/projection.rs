//! What lists need of every product, in memory: kept in each order, brought up to date product by product.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use promox_contract::ids::{CategoryId, ProductId};
use promox_kernel::{Amount, Sku};
use promox_storage::{StoreError, Tx};

use super::values::{Values, index, number};
use crate::api::Sort;
use crate::queries::front_price;
use crate::records::{Product, ProductByEpoch, ProductStatus};

/// Products that one read of catching up takes.
const CAUGHT_UP_AT_ONCE: usize = 2_000;
/// From so many changes on, an order is sorted anew instead of moving each product.
const SORTED_ANEW: usize = 64;

/// A product as lists see it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ProductId,
    /// In lower case.
    pub(super) name: Box<str>,
    /// What an anonymous visitor pays.
    pub(super) price: Amount,
    pub(super) status: ProductStatus,
    pub(super) categories: Box<[CategoryId]>,
    /// Numbers of attribute values and options, each once.
    pub(super) values: Box<[u32]>,
    /// Places in `Projection::sold`.
    skus: Box<[u32]>,
}

/// A SKU and whether it is in stock, as far as events told.
#[derive(Debug)]
struct Sold {
    in_stock: bool,
}

/// The catalogue as lists see it.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// The catalogue's epoch whose products are here.
    pub(crate) epoch: i64,
    /// Counts how often a SKU came into stock or went out of it.
    pub(crate) stock_changes: u64,
    /// Products whose words the index does not have yet.
    pub(crate) unindexed: BTreeSet<ProductId>,
    /// SKUs whose stock is yet to be asked.
    pub(crate) unasked: Vec<Sku>,
    pub(super) values: Values,
    entries: Vec<Entry>,
    by_id: HashMap<ProductId, u32>,
    sold: Vec<Sold>,
    by_sku: HashMap<Box<str>, u32>,
    by_name: Vec<u32>,
    by_price: Vec<u32>,
    by_age: Vec<u32>,
}

impl Projection {
    /// Reads what changed between its epoch and the transaction's, at most some thousands of products: whether that is all.
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

    /// Takes products as they now are.
    pub(crate) fn absorb(&mut self, products: &[Product]) {
        self.unindexed.extend(products.iter().map(|product| product.id));
        if products.len() > SORTED_ANEW {
            self.extend(products);
            return self.sort();
        }
        for product in products {
            if let Some(slot) = self.by_id.get(&product.id).copied() {
                self.leave_orders(slot);
            }
            let slot = self.put(product);
            self.enter_orders(slot);
        }
    }

    /// Takes products without putting them into the orders, which [`Projection::sort`] does for all.
    pub(crate) fn extend(&mut self, products: &[Product]) {
        for product in products {
            self.put(product);
        }
    }

    /// Sorts every order anew.
    pub(crate) fn sort(&mut self) {
        for sort in [Sort::Name, Sort::Price, Sort::Newest] {
            let mut order = std::mem::take(self.order_mut(sort));
            order.extend(number(order.len())..number(self.entries.len()));
            order.sort_by(|a, b| self.compare(sort, *a, *b));
            *self.order_mut(sort) = order;
        }
    }

    fn put(&mut self, product: &Product) -> u32 {
        let entry = self.entry(product);
        let next = number(self.entries.len());
        let slot = *self.by_id.entry(entry.id).or_insert(next);
        match self.entries.get_mut(index(slot)) {
            Some(kept) => *kept = entry,
            None => self.entries.push(entry),
        }
        slot
    }

    fn entry(&mut self, product: &Product) -> Entry {
        let options = product.variants.iter().flat_map(|variant| variant.options.iter());
        let mut values: Vec<u32> = Vec::new();
        for (name, text) in product.attributes.iter().chain(options) {
            let value = self.values.number(name, text);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Entry {
            id: product.id,
            name: product.name.to_lowercase().into(),
            price: front_price(&product.variants),
            status: product.status,
            categories: product.category_ids.as_slice().into(),
            values: values.into(),
            skus: product.variants.iter().map(|variant| self.sku(&variant.sku)).collect(),
        }
    }

    fn sku(&mut self, sku: &Sku) -> u32 {
        let fold = sku.fold();
        if let Some(known) = self.by_sku.get(fold.as_str()) {
            return *known;
        }
        let next = number(self.sold.len());
        self.sold.push(Sold { in_stock: false });
        self.by_sku.insert(fold.into(), next);
        self.unasked.push(sku.clone());
        next
    }

    /// Takes what was told about a SKU's stock.
    pub(crate) fn set_stock(&mut self, sku: &Sku, in_stock: bool) {
        let place = self.by_sku.get(sku.fold().as_str()).copied();
        if let Some(sold) = place.and_then(|place| self.sold.get_mut(index(place)))
            && sold.in_stock != in_stock
        {
            sold.in_stock = in_stock;
            self.stock_changes += 1;
        }
    }

    pub(super) fn in_stock(&self, entry: &Entry) -> bool {
        entry.skus.iter().any(|place| self.sold.get(index(*place)).is_some_and(|sold| sold.in_stock))
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(index(slot))
    }

    pub(super) fn slot(&self, id: ProductId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Every product in an order; descending by price is ascending the other way round.
    pub(super) fn ordered(&self, sort: Sort) -> Box<dyn Iterator<Item = u32> + '_> {
        match sort {
            Sort::Name => Box::new(self.by_name.iter().copied()),
            Sort::Price => Box::new(self.by_price.iter().copied()),
            Sort::PriceDescending => Box::new(self.by_price.iter().rev().copied()),
            Sort::Newest | Sort::Relevance => Box::new(self.by_age.iter().copied()),
        }
    }

    /// Which of two products comes first.
    pub(super) fn compare(&self, sort: Sort, a: u32, b: u32) -> Ordering {
        let (Some(a), Some(b)) = (self.get(a), self.get(b)) else { return a.cmp(&b) };
        match sort {
            Sort::Name => (&a.name, a.id).cmp(&(&b.name, b.id)),
            Sort::Price => (a.price, a.id).cmp(&(b.price, b.id)),
            Sort::PriceDescending => (b.price, b.id).cmp(&(a.price, a.id)),
            Sort::Newest | Sort::Relevance => b.id.cmp(&a.id),
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
