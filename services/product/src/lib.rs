//! Product service: what the shop sells, where it stands on the shelves, and how it is found.
//!
//! Owns products, variants, categories and their search. What always holds: a product has at least one variant, and a variant
//! keeps its id whatever its SKU becomes; a SKU, whatever its case, belongs to one product and at most one variant for good, as
//! its present or a former one; a slug belongs to one product; categories form trees; a product that was sold once is
//! archived, never deleted; every change raises the catalogue's epoch in its own transaction, and whatever memory keeps
//! (the tree, rendered products, lists, results) names the epoch it is of and is compared before it is relied on.
//!
//! Absent on purpose: stock, which the inventory knows; price rules, which the promotion service works out: what they make of
//! a list price comes in through `prices.rs` and nowhere else.

mod api;
mod audit;
mod commands;
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
mod transfer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::product::{DescribeForSale, DescribeSkus, FindUsedTaxClasses, ResolveSkus};
use promox_kernel::{Cx, Error, Job, Registry, register};
use promox_storage::{Database, Db, Epochs, Follower, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use search::IndexPlace;

use pages::Pages;
use queries::TreeCache;
use search::{Projection, ResultCache, SearchIndex};

/// Lets a caller see what is not on sale, and what products cost the shop.
pub(crate) const READ: &str = "product:read";

/// The product service.
#[derive(Debug)]
pub struct Products {
    db: Db,
    /// Where the price rules of the catalogue have their epoch.
    epochs: Epochs,
    told: prices::ShelfTold,
    trees: Arc<TreeCache>,
    pages: Pages,
    shelves: RwLock<Projection>,
    results: ResultCache,
    index: Arc<SearchIndex>,
    /// Follows what is told of products and stock; none before [`Products::recover`].
    feed: tokio::sync::Mutex<Option<Follower>>,
    /// When the index was committed last.
    committed: parking_lot::Mutex<promox_kernel::Timestamp>,
}

impl Products {
    /// The service on its database, with its search index at `place`; `epochs` are those of the promotion engine's database.
    pub fn new(db: Db, place: &IndexPlace, epochs: Epochs) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            db,
            epochs,
            told: prices::ShelfTold::default(),
            trees: Arc::default(),
            pages: Pages::default(),
            shelves: RwLock::default(),
            results: ResultCache::default(),
            index: Arc::new(SearchIndex::open(place)?),
            feed: tokio::sync::Mutex::new(None),
            committed: parking_lot::Mutex::default(),
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
        records::Shelving::TABLE,
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
