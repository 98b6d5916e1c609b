//! Products as visitors see them: pages, lists, completions, with prices and stock.

use std::sync::Arc;

use promox_contract::ids::{ProductId, VariantId};
use promox_contract::inventory::GetAvailableStock;
use promox_contract::product::SkuDescriptions;
use promox_kernel::{Amount, Cx, Error, Sku, Warnings};
use promox_storage::{StoreError, Tx};

use crate::Products;
use crate::api::{ListProducts, ProductList, ProductPage, ProductStatus, ProductView, Suggestion};
use crate::pages::Rendered;
use crate::prices::{PageSource, PriceContext};
use crate::queries::{epochs, total_available, view};
use crate::records::{Epochs, Product};
use crate::rules::{CatalogPrice, VariantPrices};
use crate::search::{Query, ResultSet};

/// Maximum completions in a reply.
const MAX_SUGGESTIONS: usize = 10;

/// A page of a list, before its products have prices and stock.
struct FoundPage {
    sources: Vec<PageSource>,
    next_cursor: Option<promox_kernel::Cursor>,
    result: Arc<ResultSet>,
    warnings: Warnings,
}

fn suggestion((product, prices): (Product, Vec<Amount>)) -> Option<Suggestion> {
    let (_, CatalogPrice { price, list_price }) = VariantPrices(&prices).cheapest(&product.variants)?;
    let Product { id: product_id, name: text, sku, slug, currency, .. } = product;
    Some(Suggestion { text, product_id, sku, slug, price, list_price, currency })
}

/// The view of a product that was just written.
pub(crate) fn written(
    product: &Product,
    available: Option<u32>,
    prices: VariantPrices<'_>,
) -> Result<ProductView, Error> {
    Ok(ProductView { available, ..view(product, true, prices)? })
}

impl Products {
    /// A page of a list; `status` is what the caller may see, `None` for all.
    pub(crate) async fn list(
        &self,
        cx: &Cx,
        asked: &ListProducts,
        status: Option<ProductStatus>,
    ) -> Result<ProductList, Error> {
        if asked.in_stock.is_some() {
            self.refresh(cx).await?;
        }
        let query = Query::new(asked, status);
        query.check()?;
        let price_context = self.price_context(cx, asked.channel.clone()).await?;
        let read = |tx: &Tx<'_>, epochs: &Epochs| self.find_page(&price_context, tx, epochs, &query, asked);
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

    /// Completions of what was typed, each name once.
    pub(crate) async fn complete(&self, cx: &Cx, query: &Query) -> Result<Vec<Suggestion>, Error> {
        let complete = |tx: &Tx<'_>, _: &Epochs| -> Result<Vec<Product>, Error> {
            let projection = self.projection.read();
            let (ids, _) =
                self.results.get(query, &projection, &self.index)?.page(&projection, 3 * MAX_SUGGESTIONS, None)?;
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
        Ok(found.into_iter().zip(prices).filter_map(suggestion).collect())
    }

    /// The page of the product whose id `find` returns, or 404 if there is none or the caller may not see it.
    pub(crate) async fn show(
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
        self.show_page(cx, &page).await
    }

    /// The product with the given id, as [`show`](Self::show) returns it. A page that is valid for all callers is
    /// shown without a transaction.
    pub(crate) async fn show_by_id(
        &self,
        cx: &Cx,
        channel: Option<String>,
        id: ProductId,
    ) -> Result<ProductPage, Error> {
        let price_context = self.price_context(cx, channel.clone()).await?;
        match self.cached_page(&price_context, id).await? {
            Some(page) => self.show_page(cx, &page).await,
            None => self.show(cx, channel, |_| Ok(Some(id))).await,
        }
    }

    /// A page with the units that are available now.
    async fn show_page(&self, cx: &Cx, page: &Rendered) -> Result<ProductPage, Error> {
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

    /// The descriptions of SKUs at the caller's prices.
    pub(crate) async fn described(
        &self,
        cx: &Cx,
        skus: &[Sku],
        channel: Option<String>,
    ) -> Result<SkuDescriptions, Error> {
        let found = |tx: &Tx<'_>| -> Result<SkuDescriptions, StoreError> {
            let epochs = epochs(tx)?;
            let tree = self.trees.at(tx, &epochs)?;
            self.descriptions.describe(tx, epochs.catalogue, &tree, skus)
        };
        let mut described = self.db.read(found).await?;
        self.apply_prices(cx, &mut described.items, channel).await?;
        Ok(described)
    }

    /// The available units of variants together, or `None` if there is no limit.
    pub(crate) async fn available_units(&self, cx: &Cx, variants: Vec<VariantId>) -> Result<Option<u32>, Error> {
        Ok(total_available(&cx.call(GetAvailableStock { variants }).await?.available))
    }
}
