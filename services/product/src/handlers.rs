//! Handlers: authorise, one read or write, render.

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
use crate::prices::{Prices, Shown};
use crate::queries::{describe, epochs, owner, resolve, sum_available, view};
use crate::records::{Category, Epochs, Product, ProductBySlug, ProductByTaxClass};
use crate::rules::{Branch, CatalogPrice, Ruled, Tree};
use crate::search::{Query, ResultSet};
use crate::{Products, READ, reject, transfer};

/// Completions per reply.
const MAX_SUGGESTIONS: usize = 10;

/// A page of products without prices and stock yet.
struct FoundPage {
    found: Vec<Shown>,
    next_cursor: Option<promox_kernel::Cursor>,
    result: Arc<ResultSet>,
    warnings: Warnings,
}

impl Products {
    /// What a command needs apart from its request.
    pub(crate) async fn context(&self, cx: &Cx) -> Result<CommandContext, Error> {
        let (store, taxes) = (cx.call(GetStoreProfile {}).await?, cx.call(GetStoreTaxes {}).await?);
        let tax_classes = taxes.classes.into();
        Ok(CommandContext { cx: cx.clone(), currency: store.currency, tax_classes, trees: self.trees.clone() })
    }

    /// The page of the product that `find` finds.
    async fn show(
        &self,
        cx: &Cx,
        channel: Option<String>,
        find: impl Fn(&Tx<'_>) -> Result<Option<ProductId>, StoreError>,
    ) -> Result<ProductPage, Error> {
        let prices = self.prices(cx, channel).await?;
        let found = |tx: &Tx<'_>| match find(tx)? {
            Some(id) => self.page(&prices, tx, &epochs(tx)?, id),
            None => Ok(None),
        };
        let found = self.db.read(found).await?;
        let page = self.render(cx, &prices, found.into_iter().collect()).await?.pop();
        let page = page.ok_or_else(|| Error::not_found("product"))?;
        let stock = cx.call(GetAvailableStock { variants: page.variants.to_vec() }).await?;
        let json = page.with_available(sum_available(&stock.available));
        Ok(ProductPage { version: page.version, json })
    }

    fn find_page(
        &self,
        prices: &Prices,
        tx: &Tx<'_>,
        epochs: &Epochs,
        query: &Query,
        asked: &ListProducts,
    ) -> Result<FoundPage, Error> {
        let projection = self.projection.read();
        let result = self.results.get(query, &projection, &self.index)?;
        let (ids, next_cursor) = result.page(&projection, asked.limit.get(), asked.cursor.as_ref())?;
        let mut warnings = projection.damaged.clone();
        drop(projection);
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(warnings.unless_damaged(self.page(prices, tx, epochs, id))?.flatten());
        }
        Ok(FoundPage { found, next_cursor, result, warnings })
    }

    /// A product just written, with its stock.
    async fn stock_of(&self, cx: &Cx, variants: Vec<VariantId>) -> Result<Option<u32>, Error> {
        Ok(sum_available(&cx.call(GetAvailableStock { variants }).await?.available))
    }

    /// Categories with the number of products in and below each.
    async fn categories<T>(&self, show: impl Fn(&Tree, &ResultSet) -> Result<T, Error>) -> Result<T, Error> {
        let read = |tx: &Tx<'_>, epochs: &Epochs| {
            let result = self.results.get(&Query::everything(), &self.projection.read(), &self.index)?;
            show(&*self.trees.at(tx, epochs)?, &result)
        };
        self.read_current(read).await
    }

    async fn category(&self, id: CategoryId) -> Result<CategoryView, Error> {
        let shown = |tree: &Tree, result: &ResultSet| {
            let category = tree.get(id).ok_or_else(|| Error::not_found("category"))?;
            Ok(category_view(category.clone(), result.in_category(id)))
        };
        self.categories(shown).await
    }
}

/// Price filters are validated like any other amount: more digits than the currency has are an error.
async fn check_prices(cx: &Cx, asked: &ListProducts) -> Result<(), Error> {
    let bounds = [("?minPrice", asked.min_price), ("?maxPrice", asked.max_price)];
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
    async fn handle(&self, cx: &Cx, asked: ListProducts) -> Result<ProductList, Error> {
        let status = match asked.status {
            Some(status) if status != ProductStatus::Active => {
                Access::Permission(READ).check(cx)?;
                Some(status)
            }
            None if cx.principal.allows(READ) => None,
            _ => Some(ProductStatus::Active),
        };
        if asked.sort == Some(Sort::Relevance) && asked.q.as_deref().is_none_or(|q| q.trim().is_empty()) {
            return Err(Error::field("?sort", "relevance needs q: give search words, or sort by something else"));
        }
        check_prices(cx, &asked).await?;
        if asked.in_stock.is_some() {
            self.refresh(cx).await?;
        }
        let query = Query::new(&asked, status);
        let prices = self.prices(cx, asked.channel.clone()).await?;
        let read = |tx: &Tx<'_>, epochs: &Epochs| self.find_page(&prices, tx, epochs, &query, &asked);
        let FoundPage { found, next_cursor, result, warnings } = self.read_current(read).await?;
        let pages = self.render(cx, &prices, found).await?;
        let variants = pages.iter().flat_map(|page| page.variants.iter().copied()).collect();
        let stock = cx.call(GetAvailableStock { variants }).await?.available;
        let mut stock = stock.as_slice();
        let show = |page: Arc<Rendered>| {
            let (own, rest) = stock.split_at_checked(page.variants.len()).unwrap_or_default();
            stock = rest;
            page.with_available(sum_available(own))
        };
        let items = pages.into_iter().map(show).collect();
        Ok(ProductList { items, next_cursor, total: result.total(), facets: result.facets.clone(), warnings })
    }
}

impl Handle<SuggestProducts> for Products {
    async fn handle(&self, cx: &Cx, asked: SuggestProducts) -> Result<Suggestions, Error> {
        let query = Query::typed(&asked.q);
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
    let (_, CatalogPrice { price, list_price }) = Ruled(&prices).cheapest(&product.variants)?;
    let Product { id: product_id, name: text, sku, slug, currency, .. } = product;
    Some(Suggestion { text, product_id, sku, slug, price, list_price, currency })
}

impl Handle<GetProduct> for Products {
    async fn handle(&self, cx: &Cx, asked: GetProduct) -> Result<ProductPage, Error> {
        self.show(cx, asked.channel, |_| Ok(Some(asked.id))).await
    }
}

impl Handle<GetProductBySku> for Products {
    async fn handle(&self, cx: &Cx, asked: GetProductBySku) -> Result<ProductPage, Error> {
        self.show(cx, asked.channel, |tx| owner(tx, &asked.sku)).await
    }
}

impl Handle<GetProductBySlug> for Products {
    async fn handle(&self, cx: &Cx, asked: GetProductBySlug) -> Result<ProductPage, Error> {
        let found = |tx: &Tx<'_>| Ok(tx.get_by::<ProductBySlug>(asked.slug.as_str())?.map(|product| product.id));
        self.show(cx, asked.channel, found).await
    }
}

impl Products {
    async fn described(&self, cx: &Cx, skus: &[Sku], channel: Option<String>) -> Result<SkuDescriptions, Error> {
        let found = |tx: &Tx<'_>| -> Result<SkuDescriptions, StoreError> {
            let tree = self.trees.at(tx, &epochs(tx)?)?;
            describe(tx, &tree, skus)
        };
        let mut described = self.db.read(found).await?;
        self.put_prices(cx, &mut described.items, channel).await?;
        Ok(described)
    }
}

impl Handle<DescribeSkus> for Products {
    async fn handle(&self, cx: &Cx, asked: DescribeSkus) -> Result<SkuDescriptions, Error> {
        self.described(cx, &asked.skus, None).await
    }
}

impl Handle<DescribeForSale> for Products {
    async fn handle(&self, cx: &Cx, asked: DescribeForSale) -> Result<SkuDescriptions, Error> {
        self.described(cx, &asked.skus, asked.channel).await
    }
}

impl Handle<FindUsedTaxClasses> for Products {
    async fn handle(&self, _: &Cx, asked: FindUsedTaxClasses) -> Result<TaxClassUses, Error> {
        let mut uses = Vec::new();
        for tax_class in asked.classes {
            let found = |tx: &Tx<'_>| tx.scan_by::<ProductByTaxClass>().prefix(tax_class.as_str()).first();
            let found: Option<Product> = self.db.read(found).await?;
            uses.extend(found.map(|product| TaxClassUse { tax_class, sku: product.sku }));
        }
        Ok(TaxClassUses { uses })
    }
}

impl Handle<ResolveSkus> for Products {
    async fn handle(&self, _: &Cx, asked: ResolveSkus) -> Result<ResolvedSkus, Error> {
        Ok(self.db.read(|tx| resolve(tx, &asked.skus)).await?)
    }
}

fn written(product: &Product, available: Option<u32>, ruled: Ruled<'_>) -> Result<ProductView, Error> {
    Ok(ProductView { available, ..view(product, true, ruled)? })
}

impl Handle<CreateProduct> for Products {
    async fn handle(&self, cx: &Cx, asked: CreateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let change = ProductChange::from(asked);
        let prices = self.prices_of_draft(&context, &change).await?;
        let currency = context.currency;
        let work = move |tx: &mut Tx<'_>| {
            let product = commands::create(tx, &context.open(tx)?, change.clone())?;
            // New variants have no references yet.
            written(&product, Some(0), Ruled(&prices))
        };
        write_amounts(cx, currency, self.db.answer(cx, work), Result::is_ok).await
    }
}

impl Handle<UpdateProduct> for Products {
    async fn handle(&self, cx: &Cx, asked: UpdateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let id = asked.id.get()?;
        let change = ProductChange::from(asked);
        let work = move |tx: &mut Tx<'_>| commands::update(tx, &context.open(tx)?, id, change.clone());
        let product = self.db.write(cx, work).await?;
        let prices = self.prices_of(cx, &product).await?;
        written(&product, self.stock_of(cx, product.variant_ids()).await?, Ruled(&prices))
    }
}

impl Handle<ArchiveProduct> for Products {
    async fn handle(&self, cx: &Cx, asked: ArchiveProduct) -> Result<(), Error> {
        let context = self.context(cx).await?;
        self.db.write(cx, move |tx| commands::archive(tx, &context.open(tx)?, asked.id)).await
    }
}

impl Handle<ImportProducts> for Products {
    async fn handle(&self, cx: &Cx, asked: ImportProducts) -> Result<ImportReport, Error> {
        transfer::import(self, cx, asked.body).await
    }
}

impl Handle<ExportProducts> for Products {
    async fn handle(&self, cx: &Cx, asked: ExportProducts) -> Result<Download, Error> {
        transfer::export(&self.db, transfer::format(cx, asked.format)?)
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
    async fn handle(&self, _: &Cx, asked: GetCategory) -> Result<CategoryView, Error> {
        self.category(asked.id).await
    }
}

impl Handle<CreateCategory> for Products {
    async fn handle(&self, cx: &Cx, asked: CreateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::create_category(tx, &context.open(tx)?, &asked);
        Ok(category_view(self.db.write(cx, work).await?, 0))
    }
}

impl Handle<UpdateCategory> for Products {
    async fn handle(&self, cx: &Cx, asked: UpdateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::update_category(tx, &context.open(tx)?, &asked);
        let category = self.db.write(cx, work).await?;
        self.category(category.id).await
    }
}

impl Handle<DeleteCategory> for Products {
    async fn handle(&self, cx: &Cx, asked: DeleteCategory) -> Result<(), Error> {
        let context = self.context(cx).await?;
        let DeleteCategory { id, move_to } = asked;
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
