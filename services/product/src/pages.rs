//! A cache of rendered products: JSON text by product id, valid while the row is unchanged, within a limit of bytes.
//!
//! A page is valid at the catalog epoch at which it was last checked. A reader at another epoch compares its version
//! with the row's and renders it again only if they differ, so a page always matches its row.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use promox_contract::ids::{ProductId, VariantId};
use promox_kernel::Error;
use promox_storage::{StoreError, Tx};

use crate::queries::view;
use crate::records::{Epochs, Product, ProductStatus};
use crate::rules::VariantPrices;

/// The number of parts with a lock of their own.
const SHARDS: usize = 16;
/// Maximum bytes of text per shard.
const SHARD_BYTES: usize = 512 << 10;

/// The end of the JSON text of a product whose `available` is not filled in.
const UNFILLED_END: &str = "null}";

/// The epochs that a page was rendered at: the catalog's, and the price rules'.
pub(crate) type PageEpochs = (i64, i64);

/// The outcome of a lookup in the cache.
pub(crate) enum Lookup {
    /// A cached page.
    Page(Arc<Rendered>),
    /// No page for these epochs is cached: the product's row.
    Row(Box<Product>),
}

/// A product as JSON text that ends before the value of `available`, which is queried on every request.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The catalog epoch at which the text was last found to match the row.
    checked: AtomicI64,
    /// The epoch of the price rules that its prices come from, or 0 for list prices.
    rules_epoch: i64,
    pub(crate) version: i64,
    pub(crate) active: bool,
    /// Its variants, whose stock makes up `available`.
    pub(crate) variants: Box<[VariantId]>,
    json: Box<str>,
}

impl Rendered {
    /// Renders a product. `with_costs` is for callers who may see unit costs; such a page must not be cached.
    pub(crate) fn new(
        product: &Product,
        with_costs: bool,
        (epoch, rules_epoch): PageEpochs,
        prices: VariantPrices<'_>,
    ) -> Result<Self, Error> {
        let mut json = serde_json::to_string(&view(product, with_costs, prices)?).map_err(Error::internal)?;
        json.truncate(json.len().saturating_sub(UNFILLED_END.len()));
        Ok(Self {
            checked: AtomicI64::new(epoch),
            rules_epoch,
            version: product.version,
            active: product.status == ProductStatus::Active,
            variants: product.variant_ids().into(),
            json: json.into(),
        })
    }

    fn is_checked(&self, epochs: &Epochs) -> bool {
        self.checked.load(Ordering::Acquire) == epochs.catalogue
    }

    /// The complete text. `None` writes `available` as null: there is no limit.
    pub(crate) fn with_available(&self, available: Option<u32>) -> Bytes {
        let mut json = String::with_capacity(self.json.len() + 11);
        json.push_str(&self.json);
        match available {
            Some(units) => json.push_str(&units.to_string()),
            None => json.push_str("null"),
        }
        json.push('}');
        json.into()
    }
}

/// The cache of the pages that are the same for all callers who are not staff.
#[derive(Debug, Default)]
pub(crate) struct PageCache([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    pages: HashMap<ProductId, Arc<Rendered>>,
    /// The cached products, in the order in which they were added.
    order: VecDeque<ProductId>,
    /// The length of all texts together.
    bytes: usize,
}

impl PageCache {
    /// The page of a product as `tx` sees it, with the prices of an epoch of the price rules. Its row if no such page
    /// is cached, or `None` if there is no such product.
    pub(crate) fn get(
        &self,
        tx: &Tx<'_>,
        epochs: &Epochs,
        rules_epoch: i64,
        id: ProductId,
    ) -> Result<Option<Lookup>, StoreError> {
        let cached = self.of_rules(rules_epoch, id);
        if let Some(page) = cached.as_ref().filter(|page| page.is_checked(epochs)) {
            return Ok(Some(Lookup::Page(page.clone())));
        }
        let Some(product) = tx.get::<Product>(&id)? else { return Ok(None) };
        // With active price rules, moving a category can change prices without changing the product's row.
        if let Some(page) = cached.filter(|page| rules_epoch == 0 && page.version == product.version) {
            page.checked.fetch_max(epochs.catalogue, Ordering::AcqRel);
            return Ok(Some(Lookup::Page(page)));
        }
        Ok(Some(Lookup::Row(Box::new(product))))
    }

    /// The page of a product, if one is cached that was found to match its row at these epochs.
    pub(crate) fn find(&self, epochs: &Epochs, rules_epoch: i64, id: ProductId) -> Option<Arc<Rendered>> {
        self.of_rules(rules_epoch, id).filter(|page| page.is_checked(epochs))
    }

    fn of_rules(&self, rules_epoch: i64, id: ProductId) -> Option<Arc<Rendered>> {
        self.shard(id).lock().pages.get(&id).filter(|page| page.rules_epoch == rules_epoch).cloned()
    }

    /// Caches a page that is the same for all callers who are not staff.
    pub(crate) fn insert(&self, id: ProductId, page: Arc<Rendered>) {
        self.shard(id).lock().insert(id, page);
    }

    fn shard(&self, id: ProductId) -> &Mutex<Shard> {
        let [first, ..] = &self.0;
        let index = usize::try_from(id.0).unwrap_or(0) % SHARDS;
        self.0.get(index).unwrap_or(first)
    }
}

impl Shard {
    /// Adds a page unless a later one is cached, and removes the oldest ones beyond the limit.
    fn insert(&mut self, id: ProductId, page: Arc<Rendered>) {
        if self.pages.get(&id).is_some_and(|known| known.version > page.version) {
            return;
        }
        self.bytes += page.json.len();
        match self.pages.insert(id, page) {
            Some(replaced) => self.bytes -= replaced.json.len(),
            None => self.order.push_back(id),
        }
        while self.bytes > SHARD_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(removed) = self.pages.remove(&oldest) {
                self.bytes -= removed.json.len();
            }
        }
    }
}
