//! Rendered products: JSON text by id, cached while their rows are unchanged, within a limit of bytes.
//!
//! A rendered product is valid at the catalog epoch at which it was last checked. A reader at another epoch compares
//! versions with the row and renders again only if they differ, so the result always matches the rows.

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
use crate::rules::Ruled;

const SHARDS: usize = 16;
/// Bytes of text per shard.
const SHARD_BYTES: usize = 512 << 10;

/// The end of a text whose `available` is not filled in yet.
const UNKNOWN: &str = "null}";

/// The epochs of a text: the catalog's, and the price rules'.
pub(crate) type Epochal = (i64, i64);

/// A lookup in the cache.
pub(crate) enum Found {
    /// A cached text.
    Page(Arc<Rendered>),
    /// No text for these epochs; the row.
    Row(Box<Product>),
}

/// A product as JSON text that ends before `available`, which is queried each time.
#[derive(Debug)]
pub(crate) struct Rendered {
    checked: AtomicI64,
    /// The epoch of the price rules whose prices it has; 0 for list prices.
    rules_epoch: i64,
    pub(crate) version: i64,
    pub(crate) active: bool,
    /// Its variants, for their stock.
    pub(crate) variants: Box<[VariantId]>,
    json: Box<str>,
}

impl Rendered {
    /// Renders a product; with `costs` only for callers who may see them, and then the text is not cached.
    pub(crate) fn new(
        product: &Product,
        costs: bool,
        (epoch, rules_epoch): Epochal,
        ruled: Ruled<'_>,
    ) -> Result<Self, Error> {
        let mut json = serde_json::to_string(&view(product, costs, ruled)?).map_err(Error::internal)?;
        json.truncate(json.len().saturating_sub(UNKNOWN.len()));
        Ok(Self {
            checked: AtomicI64::new(epoch),
            rules_epoch,
            version: product.version,
            active: product.status == ProductStatus::Active,
            variants: product.variant_ids().into(),
            json: json.into(),
        })
    }

    /// The complete text; without a limit, `available` is null.
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

/// Rendered products for visitors.
#[derive(Debug, Default)]
pub(crate) struct Pages([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    pages: HashMap<ProductId, Arc<Rendered>>,
    order: VecDeque<ProductId>,
    bytes: usize,
}

impl Pages {
    /// A product as `tx` sees it, with the prices of an epoch of the price rules.
    pub(crate) fn get(
        &self,
        tx: &Tx<'_>,
        epochs: &Epochs,
        rules_epoch: i64,
        id: ProductId,
    ) -> Result<Option<Found>, StoreError> {
        let kept = self.shard(id).lock().pages.get(&id).filter(|page| page.rules_epoch == rules_epoch).cloned();
        if let Some(page) = kept.as_ref().filter(|page| page.checked.load(Ordering::Acquire) == epochs.catalogue) {
            return Ok(Some(Found::Page(page.clone())));
        }
        let Some(product) = tx.get::<Product>(&id)? else { return Ok(None) };
        // With active rules, a category that moved may have changed prices without changing the row.
        if let Some(page) = kept.filter(|page| rules_epoch == 0 && page.version == product.version) {
            page.checked.fetch_max(epochs.catalogue, Ordering::AcqRel);
            return Ok(Some(Found::Page(page)));
        }
        Ok(Some(Found::Row(Box::new(product))))
    }

    /// Caches a text that is the same for all callers.
    pub(crate) fn keep(&self, id: ProductId, page: Arc<Rendered>) {
        self.shard(id).lock().keep(id, page);
    }

    fn shard(&self, id: ProductId) -> &Mutex<Shard> {
        let [first, ..] = &self.0;
        let place = usize::try_from(id.0).unwrap_or(0) % SHARDS;
        self.0.get(place).unwrap_or(first)
    }
}

impl Shard {
    fn keep(&mut self, id: ProductId, page: Arc<Rendered>) {
        if self.pages.get(&id).is_some_and(|known| known.version > page.version) {
            return;
        }
        self.bytes += page.json.len();
        match self.pages.insert(id, page) {
            Some(before) => self.bytes -= before.json.len(),
            None => self.order.push_back(id),
        }
        while self.bytes > SHARD_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.pages.remove(&oldest) {
                self.bytes -= gone.json.len();
            }
        }
    }
}
