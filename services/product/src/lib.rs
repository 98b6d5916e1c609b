//! Product service: the catalog, its categories and its search.
//!
//! Owns products, variants and categories, and the search over them. Invariants:
//!
//! - A product has at least one variant, and a variant keeps its id when its SKU changes.
//! - A SKU, ignoring case, belongs permanently to one product and at most one variant, as its current or a former one.
//! - A slug belongs to one product.
//! - Categories form trees.
//! - A product is archived, never deleted.
//! - Every change increments the catalog's epoch in its own transaction. Everything cached in memory (the tree,
//!   rendered products, lists, results) carries its epoch, which is compared before use.
//!
//! Not part of this service: stock, which belongs to the inventory service, and price rules, which the promotion
//! service evaluates. Their effect on list prices enters through `prices.rs` only.

mod api;
mod audit;
mod checks;
mod commands;
mod descriptions;
mod events;
mod handlers;
mod jobs;
pub mod online_retail;
mod pages;
mod prices;
mod queries;
mod records;
mod reject;
mod rules;
mod search;
mod shelf;
mod transfer;
mod tree;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::product::{DescribeForSale, DescribeSkus, FindUsedTaxClasses, ResolveSkus};
use promox_contract::promotion::CATALOG_PRICE_EPOCH;
use promox_kernel::{Cx, Error, Job, Registry, register};
use promox_storage::{Database, Db, EpochReader, Follower, Latest, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use search::IndexPlace;

use descriptions::DescriptionCache;
use pages::PageCache;
use queries::TreeCache;
use search::{Projection, ResultCache, SearchIndex};

/// The permission to see unit costs and products that are not on sale.
pub(crate) const READ: &str = "product:read";

/// The product service.
#[derive(Debug)]
pub struct Products {
    db: Db,
    /// The epoch of the price rules, which the promotion service starts.
    price_epoch: EpochReader,
    epochs: Latest<records::Epochs>,
    rules_state: prices::RulesState,
    trees: Arc<TreeCache>,
    pages: PageCache,
    descriptions: DescriptionCache,
    projection: RwLock<Projection>,
    results: ResultCache,
    index: Arc<SearchIndex>,
    /// Follows the events of products and stock. It is `None` until [`Products::recover`] has run.
    feed: tokio::sync::Mutex<Option<Follower>>,
    /// When the index was last committed.
    committed_at: parking_lot::Mutex<promox_kernel::Timestamp>,
}

impl Products {
    /// Creates the service on its database, with its search index at `place`. `promox` is the promotion
    /// engine's database, of which only the epoch of the price rules is read. Fails if the index cannot be opened.
    pub fn new(db: Db, place: &IndexPlace, promox: &Db) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            db,
            price_epoch: EpochReader::new(promox, CATALOG_PRICE_EPOCH),
            epochs: Latest::default(),
            rules_state: prices::RulesState::default(),
            trees: Arc::default(),
            pages: PageCache::default(),
            descriptions: DescriptionCache::default(),
            projection: RwLock::default(),
            results: ResultCache::default(),
            index: Arc::new(SearchIndex::open(place)?),
            feed: tokio::sync::Mutex::new(None),
            committed_at: parking_lot::Mutex::default(),
        }))
    }
}

impl Service for Products {
    const NAME: &'static str = "product";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::Product::TABLE,
        records::VariantSku::TABLE,
        records::Category::TABLE,
        records::CategoryMembership::TABLE,
        records::Epochs::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self;
            ListProducts, SuggestProducts, GetProduct, GetProductBySku, GetProductBySlug,
            CreateProduct, UpdateProduct, ArchiveProduct, ImportProducts, ExportProducts,
            ListCategories, GetCategory, CreateCategory, UpdateCategory, DeleteCategory,
            DescribeSkus, DescribeForSale, ResolveSkus, FindUsedTaxClasses,
        );
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::jobs(self)
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.load(cx).await
    }
}
