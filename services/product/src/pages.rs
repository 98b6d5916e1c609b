//! Products rendered once: JSON text by id, kept while their rows stand, within a bound of bytes.
//!
//! A rendered product is good at the catalogue's epoch that it was last checked at. A reader at another epoch compares
//! versions with the row and renders again only when they differ, so what is shown is always what the rows say.

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
/// Bytes of text that a shard keeps.
const SHARD_BYTES: usize = 512 << 10;

/// How a text ends whose `available` is not filled in.
const UNKNOWN: &str = "null}";

/// The epochs that a text is of: the catalogue's, and the price rules'.
pub(crate) type Epochal = (i64, i64);

/// What is kept of a product.
pub(crate) enum Found {
    /// Its text.
    Page(Arc<Rendered>),
    /// No text of these epochs; its row.
    Row(Box<Product>),
}

/// A product as JSON text that ends before `available`, which is asked each time.
#[derive(Debug)]
pub(crate) struct Rendered {
    checked: AtomicI64,
    /// The epoch of the price rules whose prices it shows; 0 for list prices.
    shelf: i64,
    pub(crate) version: i64,
    pub(crate) active: bool,
    /// Its variants, whose stock is its own.
    pub(crate) variants: Box<[VariantId]>,
    json: Box<str>,
}

impl Rendered {
    /// Renders a product; `costs` only for those who may know them, and such a text is not kept.
    pub(crate) fn new(
        product: &Product,
        costs: bool,
        (epoch, shelf): Epochal,
        ruled: Ruled<'_>,
    ) -> Result<Self, Error> {
        let mut json = serde_json::to_string(&view(product, costs, ruled)?).map_err(Error::internal)?;
        json.truncate(json.len().saturating_sub(UNKNOWN.len()));
        Ok(Self {
            checked: AtomicI64::new(epoch),
            shelf,
            version: product.version,
            active: product.status == ProductStatus::Active,
            variants: product.variant_ids().into(),
            json: json.into(),
        })
    }

    /// The whole text; without a bound, what is available is null.
    pub(crate) fn with_available(&self, available: Option<u32>) -> Bytes {
        let mut json = String::with_capacity(self.json.len() + 11);
        json.push_str(&self.json);
        match available {
            Some(pieces) => json.push_str(&pieces.to_string()),
            None => json.push_str("null"),
        }
        json.push('}');
        json.into()
    }
}

/// Rendered products as visitors see them.
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
        shelf: i64,
        id: ProductId,
    ) -> Result<Option<Found>, StoreError> {
        let kept = self.shard(id).lock().pages.get(&id).filter(|page| page.shelf == shelf).cloned();
        if let Some(page) = kept.as_ref().filter(|page| page.checked.load(Ordering::Acquire) == epochs.catalogue) {
            return Ok(Some(Found::Page(page.clone())));
        }
        let Some(product) = tx.get::<Product>(&id)? else { return Ok(None) };
        // Where rules are active a category that moved may have changed prices without the row.
        if let Some(page) = kept.filter(|page| shelf == 0 && page.version == product.version) {
            page.checked.fetch_max(epochs.catalogue, Ordering::AcqRel);
            return Ok(Some(Found::Page(page)));
        }
        Ok(Some(Found::Row(Box::new(product))))
    }

    /// Keeps a text that is the same for everybody.
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
