//! The handlers: each authorises, makes one read or write, and renders the reply.

use std::sync::Arc;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_contract::import::ImportReport;
use promox_contract::inventory::GetAvailableStock;
use promox_contract::product::{
    DescribeForSale, DescribeSkus, FindUsedTaxClasses, ResolveSkus, ResolvedSkus, SkuDescriptions, TaxClassUse,
    TaxClassUses,
};
use promox_contract::promotion::{FindReferencingPromotion, ReplaceCategory};
use promox_contract::store::{GetStoreProfile, GetStoreTaxes, write_amounts};
use promox_kernel::{Access, Amount, Cx, Download, Error, Faults, FieldError, Handle, Sku, Warnings};
use promox_storage::{Lane, StoreError, Tx};

use crate::api::{
    ArchiveProduct, CategoryNode, CategoryTree, CategoryView, CreateCategory, CreateProduct, DeleteCategory,
    ExportProducts, GetCategory, GetProduct, GetProductBySku, GetProductBySlug, ImportProducts, ListCategories,
    ListProducts, ProductChange, ProductList, ProductPage, ProductStatus, ProductView, Sort, SuggestProducts,
    Suggestion, Suggestions, UpdateCategory, UpdateProduct,
};
use crate::commands::{self, CommandContext};
use crate::pages::Rendered;
use crate::prices::{PageSource, PriceContext};
use crate::queries::{describe, epochs, product_of_sku, resolve, total_available, view};
use crate::records::{Category, Epochs, Product, ProductBySlug, ProductByTaxClass};
use crate::rules::{Branch, CatalogPrice, Tree, VariantPrices};
use crate::search::{Query, ResultSet};
use crate::{Products, READ, reject, transfer};

/// Maximum completions in a reply.
const MAX_SUGGESTIONS: usize = 10;

/// A page of a list, before its products have prices and stock.
struct FoundPage {
    sources: Vec<PageSource>,
    next_cursor: Option<promox_kernel::Cursor>,
    result: Arc<ResultSet>,
    warnings: Warnings,
}

impl Products {
    /// The context of a command, with the settings of the store.
    pub(crate) async fn context(&self, cx: &Cx) -> Result<CommandContext, Error> {
        let (store, taxes) = (cx.call(GetStoreProfile {}).await?, cx.call(GetStoreTaxes {}).await?);
        let tax_classes = taxes.classes.into();
        Ok(CommandContext { cx: cx.clone(), currency: store.currency, tax_classes, trees: self.trees.clone() })
    }

    /// The page of the product whose id `find` returns, or 404 if there is none or the caller may not see it.
    async fn show(
        &self,
        cx: &Cx,
        channel: Option<String>,
        find: impl Fn(&Tx<'_>) -> Result<Option<ProductId>, StoreError>,
    ) -> Result<ProductPage, Error> {
        let price_context = self.price_context(cx, channel).await?;
        let found = |tx: &Tx<'_>| match find(tx)? {
            Some(id) => self.page(&price_context, tx, &epochs(tx)?, id),
            None => Ok(None),
        };
        let found = self.db.read(found).await?;
        let page = self.render(cx, &price_context, found.into_iter().collect()).await?.pop();
        let page = page.ok_or_else(|| Error::not_found("product"))?;
        let stock = cx.call(GetAvailableStock { variants: page.variants.to_vec() }).await?;
        let json = page.with_available(total_available(&stock.available));
        Ok(ProductPage { version: page.version, json })
    }

    /// The requested page of a list.
    fn find_page(
        &self,
        price_context: &PriceContext,
        tx: &Tx<'_>,
        epochs: &Epochs,
        query: &Query,
        op: &ListProducts,
    ) -> Result<FoundPage, Error> {
        let projection = self.projection.read();
        let result = self.results.get(query, &projection, &self.index)?;
        let (ids, next_cursor) = result.page(&projection, op.limit.get(), op.cursor.as_ref())?;
        let mut warnings = projection.damaged.clone();
        drop(projection);
        let mut sources = Vec::with_capacity(ids.len());
        for id in ids {
            sources.extend(warnings.unless_damaged(self.page(price_context, tx, epochs, id))?.flatten());
        }
        Ok(FoundPage { sources, next_cursor, result, warnings })
    }

    /// The available units of variants together, or `None` if there is no limit.
    async fn available_units(&self, cx: &Cx, variants: Vec<VariantId>) -> Result<Option<u32>, Error> {
        Ok(total_available(&cx.call(GetAvailableStock { variants }).await?.available))
    }

    /// Runs `show` on the category tree and a result that has the number of products in and below each category.
    async fn categories<T>(&self, show: impl Fn(&Tree, &ResultSet) -> Result<T, Error>) -> Result<T, Error> {
        let read = |tx: &Tx<'_>, epochs: &Epochs| {
            let result = self.results.get(&Query::all_active(), &self.projection.read(), &self.index)?;
            show(&*self.trees.at(tx, epochs)?, &result)
        };
        self.read_current(read).await
    }

    /// The view of a category.
    async fn category(&self, id: CategoryId) -> Result<CategoryView, Error> {
        let shown = |tree: &Tree, result: &ResultSet| {
            let category = tree.get(id).ok_or_else(|| Error::not_found("category"))?;
            Ok(category_view(category.clone(), result.in_category(id)))
        };
        self.categories(shown).await
    }
}

/// Checks that the price filters have no more digits than the store's currency.
async fn check_prices(cx: &Cx, op: &ListProducts) -> Result<(), Error> {
    let bounds = [("?minPrice", op.min_price), ("?maxPrice", op.max_price)];
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        return Ok(());
    }
    let currency = cx.call(GetStoreProfile {}).await?.currency;
    let fault = |(pointer, bound): (&str, Option<Amount>)| {
        let detail = currency.exact(bound?).err()?;
        Some(FieldError::new(pointer, detail))
    };
    let faults: Faults = bounds.into_iter().filter_map(fault).collect();
    faults.finish()
}

impl Handle<ListProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ListProducts) -> Result<ProductList, Error> {
        let status = match op.status {
            Some(status) if status != ProductStatus::Active => {
                Access::Permission(READ).check(cx)?;
                Some(status)
            }
            None if cx.principal.allows(READ) => None,
            _ => Some(ProductStatus::Active),
        };
        if op.sort == Some(Sort::Relevance) && op.q.as_deref().is_none_or(|q| q.trim().is_empty()) {
            return Err(Error::field("?sort", "relevance needs q: give search words, or sort by something else"));
        }
        check_prices(cx, &op).await?;
        if op.in_stock.is_some() {
            self.refresh(cx).await?;
        }
        let query = Query::new(&op, status);
        let price_context = self.price_context(cx, op.channel.clone()).await?;
        let read = |tx: &Tx<'_>, epochs: &Epochs| self.find_page(&price_context, tx, epochs, &query, &op);
        let FoundPage { sources, next_cursor, result, warnings } = self.read_current(read).await?;
        let pages = self.render(cx, &price_context, sources).await?;
        let variants = pages.iter().flat_map(|page| page.variants.iter().copied()).collect();
        let stock = cx.call(GetAvailableStock { variants }).await?.available;
        let mut stock = stock.as_slice();
        let show = |page: Arc<Rendered>| {
            let (own, rest) = stock.split_at_checked(page.variants.len()).unwrap_or_default();
            stock = rest;
            page.with_available(total_available(own))
        };
        let items = pages.into_iter().map(show).collect();
        Ok(ProductList { items, next_cursor, total: result.total(), facets: result.facets.clone(), warnings })
    }
}

impl Handle<SuggestProducts> for Products {
    async fn handle(&self, cx: &Cx, op: SuggestProducts) -> Result<Suggestions, Error> {
        let query = Query::for_suggestions(&op.q);
        if !query.has_words() {
            return Ok(Suggestions { items: Vec::new() });
        }
        let complete = |tx: &Tx<'_>, _: &Epochs| -> Result<Vec<Product>, Error> {
            let projection = self.projection.read();
            let (ids, _) =
                self.results.get(&query, &projection, &self.index)?.page(&projection, 3 * MAX_SUGGESTIONS, None)?;
            drop(projection);
            let mut found: Vec<Product> = Vec::new();
            for id in ids {
                let product = tx.get::<Product>(&id)?.filter(|product| product.status == ProductStatus::Active);
                found.extend(product.filter(|product| found.iter().all(|known| known.name != product.name)));
            }
            found.truncate(MAX_SUGGESTIONS);
            Ok(found)
        };
        let found = self.read_current(complete).await?;
        let prices = self.prices_of_each(cx, &found).await?;
        Ok(Suggestions { items: found.into_iter().zip(prices).filter_map(suggestion).collect() })
    }
}

fn suggestion((product, prices): (Product, Vec<Amount>)) -> Option<Suggestion> {
    let (_, CatalogPrice { price, list_price }) = VariantPrices(&prices).cheapest(&product.variants)?;
    let Product { id: product_id, name: text, sku, slug, currency, .. } = product;
    Some(Suggestion { text, product_id, sku, slug, price, list_price, currency })
}

impl Handle<GetProduct> for Products {
    async fn handle(&self, cx: &Cx, op: GetProduct) -> Result<ProductPage, Error> {
        self.show(cx, op.channel, |_| Ok(Some(op.id))).await
    }
}

impl Handle<GetProductBySku> for Products {
    async fn handle(&self, cx: &Cx, op: GetProductBySku) -> Result<ProductPage, Error> {
        self.show(cx, op.channel, |tx| product_of_sku(tx, &op.sku)).await
    }
}

impl Handle<GetProductBySlug> for Products {
    async fn handle(&self, cx: &Cx, op: GetProductBySlug) -> Result<ProductPage, Error> {
        let found = |tx: &Tx<'_>| Ok(tx.get_by::<ProductBySlug>(op.slug.as_str())?.map(|product| product.id));
        self.show(cx, op.channel, found).await
    }
}

impl Products {
    /// The descriptions of SKUs at the caller's prices.
    async fn described(&self, cx: &Cx, skus: &[Sku], channel: Option<String>) -> Result<SkuDescriptions, Error> {
        let found = |tx: &Tx<'_>| -> Result<SkuDescriptions, StoreError> {
            let tree = self.trees.at(tx, &epochs(tx)?)?;
            describe(tx, &tree, skus)
        };
        let mut described = self.db.read(found).await?;
        self.apply_prices(cx, &mut described.items, channel).await?;
        Ok(described)
    }
}

impl Handle<DescribeSkus> for Products {
    async fn handle(&self, cx: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        self.described(cx, &op.skus, None).await
    }
}

impl Handle<DescribeForSale> for Products {
    async fn handle(&self, cx: &Cx, op: DescribeForSale) -> Result<SkuDescriptions, Error> {
        self.described(cx, &op.skus, op.channel).await
    }
}

impl Handle<FindUsedTaxClasses> for Products {
    async fn handle(&self, _: &Cx, op: FindUsedTaxClasses) -> Result<TaxClassUses, Error> {
        let mut uses = Vec::new();
        for tax_class in op.classes {
            let found = |tx: &Tx<'_>| tx.scan_by::<ProductByTaxClass>().prefix(tax_class.as_str()).first();
            let found: Option<Product> = self.db.read(found).await?;
            uses.extend(found.map(|product| TaxClassUse { tax_class, sku: product.sku }));
        }
        Ok(TaxClassUses { uses })
    }
}

impl Handle<ResolveSkus> for Products {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        Ok(self.db.read(|tx| resolve(tx, &op.skus)).await?)
    }
}

/// The view of a product that was just written.
fn written(product: &Product, available: Option<u32>, prices: VariantPrices<'_>) -> Result<ProductView, Error> {
    Ok(ProductView { available, ..view(product, true, prices)? })
}

impl Handle<CreateProduct> for Products {
    async fn handle(&self, cx: &Cx, op: CreateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let change = ProductChange::from(op);
        let prices = self.prices_of_draft(&context, &change).await?;
        let currency = context.currency;
        let work = move |tx: &mut Tx<'_>| {
            let product = commands::create(tx, &context.open(tx)?, change.clone())?;
            // A product that was just created has no stock yet.
            written(&product, Some(0), VariantPrices(&prices))
        };
        write_amounts(cx, currency, self.db.answer(cx, work), Result::is_ok).await
    }
}

impl Handle<UpdateProduct> for Products {
    async fn handle(&self, cx: &Cx, op: UpdateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let id = op.id.get()?;
        let change = ProductChange::from(op);
        let work = move |tx: &mut Tx<'_>| commands::update(tx, &context.open(tx)?, id, change.clone());
        let product = self.db.write(cx, work).await?;
        let prices = self.prices_of(cx, &product).await?;
        written(&product, self.available_units(cx, product.variant_ids()).await?, VariantPrices(&prices))
    }
}

impl Handle<ArchiveProduct> for Products {
    async fn handle(&self, cx: &Cx, op: ArchiveProduct) -> Result<(), Error> {
        let context = self.context(cx).await?;
        self.db.write(cx, move |tx| commands::archive(tx, &context.open(tx)?, op.id)).await
    }
}

impl Handle<ImportProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ImportProducts) -> Result<ImportReport, Error> {
        transfer::import(self, cx, op.body).await
    }
}

impl Handle<ExportProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ExportProducts) -> Result<Download, Error> {
        transfer::export(&self.db, transfer::format(cx, op.format)?)
    }
}

impl Handle<ListCategories> for Products {
    async fn handle(&self, _: &Cx, _: ListCategories) -> Result<CategoryTree, Error> {
        let shown = |tree: &Tree, result: &ResultSet| {
            Ok(CategoryTree { items: tree.branches().into_iter().map(|branch| node(branch, result)).collect() })
        };
        self.categories(shown).await
    }
}

impl Handle<GetCategory> for Products {
    async fn handle(&self, _: &Cx, op: GetCategory) -> Result<CategoryView, Error> {
        self.category(op.id).await
    }
}

impl Handle<CreateCategory> for Products {
    async fn handle(&self, cx: &Cx, op: CreateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::create_category(tx, &context.open(tx)?, &op);
        Ok(category_view(self.db.write(cx, work).await?, 0))
    }
}

impl Handle<UpdateCategory> for Products {
    async fn handle(&self, cx: &Cx, op: UpdateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::update_category(tx, &context.open(tx)?, &op);
        let category = self.db.write(cx, work).await?;
        self.category(category.id).await
    }
}

impl Handle<DeleteCategory> for Products {
    async fn handle(&self, cx: &Cx, op: DeleteCategory) -> Result<(), Error> {
        let context = self.context(cx).await?;
        let DeleteCategory { id, move_to } = op;
        let known = self.db.read(|tx| tx.get::<Category>(&id)).await?;
        cx.check_version(known.ok_or_else(|| Error::not_found("category"))?.version)?;
        match move_to {
            None => self.refuse_named_category(cx, id).await?,
            Some(to) => {
                self.db.read(|tx| commands::check_move(&context.open(tx)?, id, to)).await?;
                cx.call(ReplaceCategory { category_id: id, by: to }).await?;
            }
        }
        loop {
            while let Some(to) = move_to {
                let moving = context.clone();
                let work = move |tx: &mut Tx<'_>| commands::move_products(tx, &moving.open(tx)?, id, to);
                if !self.db.write_in(cx, Lane::Bulk, work).await? {
                    break;
                }
            }
            let deleting = context.clone();
            let work = move |tx: &mut Tx<'_>| commands::delete_category(tx, &deleting.open(tx)?, id, move_to);
            if self.db.write(cx, work).await? {
                return Ok(());
            }
        }
    }
}

impl Products {
    /// Refuses to delete a category that a promotion refers to.
    async fn refuse_named_category(&self, cx: &Cx, id: CategoryId) -> Result<(), Error> {
        let named = FindReferencingPromotion { category_id: Some(id), ..FindReferencingPromotion::default() };
        let found = cx.call(named).await?.promotion_id;
        found.map_or(Ok(()), |promotion| Err(reject::category_in_use(promotion)))
    }
}

fn category_view(category: Category, product_count: u64) -> CategoryView {
    let Category { id, name, slug, parent_id, position, version, .. } = category;
    CategoryView { id, name, slug, parent_id, position, product_count, version }
}

fn node(branch: Branch<'_>, result: &ResultSet) -> CategoryNode {
    let Category { id, name, slug, parent_id, position, .. } = branch.category.clone();
    let children = branch.children.into_iter().map(|below| node(below, result)).collect();
    CategoryNode { id, name, slug, parent_id, position, product_count: result.in_category(id), children }
}
