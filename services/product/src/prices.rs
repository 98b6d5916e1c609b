//! Catalog prices after price rules, which the promotion service evaluates for the caller.
//!
//! The promotion service starts an epoch when its price rules change. Without rules, a page only costs a comparison of
//! that epoch. With rules, pages that are the same for all callers are rendered once per epoch, and others on every
//! request. Lists are sorted by the prices of an anonymous visitor, which a job keeps up to date.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::ids::ProductId;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{CatalogPrices, GetCatalogPrices};
use promox_kernel::{Amount, Cx, Error, Principal};
use promox_storage::{StoreError, Tx};

use crate::api::ProductChange;
use crate::commands::{self, CommandContext};
use crate::pages::{Lookup, PageEpochs, Rendered};
use crate::queries::{describe_all, epochs};
use crate::records::{Epochs, Product};
use crate::rules::VariantPrices;
use crate::{Products, READ};

/// Products per query of the prices in lists.
const PRICING_BATCH: usize = 200;

/// How the prices of a request's caller are determined.
#[derive(Debug)]
pub(crate) struct PriceContext {
    /// The epoch of the price rules, or 0 if none is active.
    epoch: i64,
    /// Whether a page rendered for this caller is valid for all callers who are not staff.
    shared: bool,
    /// Whether the caller may see unit costs and products that are not on sale.
    staff: bool,
    /// The sales channel, or `None` for the default.
    channel: Option<String>,
}

/// What the page of a product is made from.
pub(crate) enum PageSource {
    /// A rendered page from the cache.
    Page(Arc<Rendered>),
    /// The product's row, the descriptions of its variants at list prices, and the catalog's epoch.
    Row(Box<Product>, Vec<SkuDescription>, i64),
}

/// The state recorded for prices during whose reading the rules changed. It equals no real state, so the prices are
/// computed again.
const UNSETTLED: i64 = -1;

/// An epoch of the price rules, and the state of the rules in it.
pub(crate) type RulesState = Mutex<Option<(i64, i64)>>;

impl Products {
    /// The current state of the price rules, or 0 while none is active. Calls the promotion service once per epoch.
    async fn rules_state(&self, cx: &Cx) -> Result<i64, Error> {
        let epoch = self.price_epoch.current().await?;
        if let Some((_, rules_state)) = self.rules_state.lock().filter(|(known, _)| *known == epoch) {
            return Ok(rules_state);
        }
        let rules_state =
            cx.call(GetCatalogPrices { items: Vec::new(), channel: None, anonymous: true }).await?.rules_state;
        *self.rules_state.lock() = Some((epoch, rules_state));
        Ok(rules_state)
    }

    /// How the caller's prices are determined now.
    pub(crate) async fn price_context(&self, cx: &Cx, channel: Option<String>) -> Result<PriceContext, Error> {
        let staff = cx.principal.allows(READ);
        if self.rules_state(cx).await? == 0 {
            return Ok(PriceContext { epoch: 0, shared: !staff, staff, channel });
        }
        let rules = cx.call(GetCatalogPrices { items: Vec::new(), channel: channel.clone(), anonymous: false }).await?;
        let same_for_all = !rules.personal || (cx.principal == Principal::Anonymous && channel.is_none());
        Ok(PriceContext { epoch: rules.epoch, shared: same_for_all && !staff, staff, channel })
    }

    /// The source of a product's page, or `None` if there is no such product or the caller may not see it.
    pub(crate) fn page(
        &self,
        context: &PriceContext,
        tx: &Tx<'_>,
        epochs: &Epochs,
        id: ProductId,
    ) -> Result<Option<PageSource>, Error> {
        let found = if context.shared {
            self.pages.get(tx, epochs, context.epoch, id)?
        } else {
            tx.get::<Product>(&id)?.map(|product| Lookup::Row(Box::new(product)))
        };
        let product = match found {
            None => return Ok(None),
            Some(Lookup::Page(page)) => return Ok(page.active.then_some(PageSource::Page(page))),
            Some(Lookup::Row(product)) => product,
        };
        if context.epoch != 0 {
            let skus = describe_all(&product, &*self.trees.at(tx, epochs)?);
            return Ok(Some(PageSource::Row(product, skus, epochs.catalogue)));
        }
        let page = self.render_page(context, &product, (epochs.catalogue, 0), &[])?;
        Ok((context.staff || page.active).then_some(PageSource::Page(page)))
    }

    /// The page of a product, if one that is valid for the caller and for now is cached.
    pub(crate) async fn cached_page(
        &self,
        context: &PriceContext,
        id: ProductId,
    ) -> Result<Option<Arc<Rendered>>, Error> {
        if !context.shared {
            return Ok(None);
        }
        let epochs = self.epochs.get(&self.db, epochs).await?;
        Ok(self.pages.find(&epochs, context.epoch, id).filter(|page| page.active))
    }

    /// Renders a page, and caches it if it is valid for all callers.
    fn render_page(
        &self,
        context: &PriceContext,
        product: &Product,
        epochs: PageEpochs,
        variant_prices: &[Amount],
    ) -> Result<Arc<Rendered>, Error> {
        let page = Arc::new(Rendered::new(product, context.staff, epochs, VariantPrices(variant_prices))?);
        if context.shared {
            self.pages.insert(product.id, page.clone());
        }
        Ok(page)
    }

    /// Renders the pages that the caller may see, with one query for the prices of all of them.
    pub(crate) async fn render(
        &self,
        cx: &Cx,
        context: &PriceContext,
        sources: Vec<PageSource>,
    ) -> Result<Vec<Arc<Rendered>>, Error> {
        let skus = sources
            .iter()
            .flat_map(|source| if let PageSource::Row(_, skus, _) = source { skus.as_slice() } else { &[] });
        let items: Vec<SkuDescription> = skus.cloned().collect();
        let list = if items.is_empty() {
            CatalogPrices::default()
        } else {
            let anonymous = context.shared;
            cx.call(GetCatalogPrices { items, channel: context.channel.clone(), anonymous }).await?
        };
        let mut rest = list.prices.as_slice();
        let mut pages = Vec::with_capacity(sources.len());
        for source in sources {
            pages.push(match source {
                PageSource::Page(page) => page,
                PageSource::Row(product, skus, epoch) => {
                    let (own, others) = rest.split_at_checked(skus.len()).unwrap_or_default();
                    rest = others;
                    self.render_page(context, &product, (epoch, list.epoch), own)?
                }
            });
        }
        pages.retain(|page| context.staff || page.active);
        Ok(pages)
    }

    /// The prices of a product's variants for the caller. The list is empty if all are list prices.
    pub(crate) async fn prices_of(&self, cx: &Cx, product: &Product) -> Result<Vec<Amount>, Error> {
        Ok(self.prices_of_each(cx, std::slice::from_ref(product)).await?.pop().unwrap_or_default())
    }

    /// The prices that the variants of a new product will have for the caller. They are queried before the product is
    /// written because the reply is stored in the same transaction.
    pub(crate) async fn prices_of_draft(
        &self,
        context: &CommandContext,
        change: &ProductChange,
    ) -> Result<Vec<Amount>, Error> {
        if self.rules_state(&context.cx).await? == 0 {
            return Ok(Vec::new());
        }
        let draft = self.db.read(|tx| commands::draft(tx, &context.open(tx)?, change.clone())).await?;
        self.prices_of(&context.cx, &draft).await
    }

    /// The prices of the variants of several products for the caller, with one query, each empty if all are list
    /// prices.
    pub(crate) async fn prices_of_each(&self, cx: &Cx, products: &[Product]) -> Result<Vec<Vec<Amount>>, Error> {
        if self.rules_state(cx).await? == 0 || products.is_empty() {
            return Ok(vec![Vec::new(); products.len()]);
        }
        let tree = self.db.read(|tx| self.trees.at(tx, &epochs(tx)?)).await?;
        let items = products.iter().flat_map(|product| describe_all(product, &tree)).collect();
        let prices = cx.call(GetCatalogPrices { items, channel: None, anonymous: false }).await?.prices;
        let mut rest = prices.as_slice();
        let own = |product: &Product| {
            let (own, others) = rest.split_at_checked(product.variants.len()).unwrap_or_default();
            rest = others;
            own.to_vec()
        };
        Ok(products.iter().map(own).collect())
    }

    /// Replaces the list prices of `items` by the caller's prices.
    pub(crate) async fn apply_prices(
        &self,
        cx: &Cx,
        items: &mut [SkuDescription],
        channel: Option<String>,
    ) -> Result<(), Error> {
        if self.rules_state(cx).await? == 0 || items.is_empty() {
            return Ok(());
        }
        let op = GetCatalogPrices { items: items.to_vec(), channel, anonymous: false };
        let prices = cx.call(op).await?.prices;
        items.iter_mut().zip(prices).for_each(|(item, price)| item.price = price);
        Ok(())
    }

    /// Updates the prices in lists after a change of the price rules or of products. Returns whether products changed
    /// in the meantime.
    pub(crate) async fn reprice(&self, cx: &Cx) -> Result<bool, Error> {
        let rules_state = self.rules_state(cx).await?;
        // The job may have been running for a while, and prices from before the announced change would never be
        // replaced.
        let cx = &Cx { now: cx.node.clock.now(), ..cx.clone() };
        let (known, ids) = {
            let mut projection = self.projection.write();
            let known = std::mem::replace(&mut projection.rules_state, rules_state);
            let unpriced = std::mem::take(&mut projection.unpriced);
            (known, if known == rules_state { unpriced } else { projection.ids() })
        };
        if ids.is_empty() {
            return Ok(false);
        }
        match self.lowest_prices(cx, ids).await {
            Ok((prices, priced_state)) => {
                let mut projection = self.projection.write();
                projection.set_prices(&prices);
                if known != rules_state {
                    // Rules that changed after the announcement are announced again, which starts the next run.
                    projection.rules_state = priced_state;
                }
                Ok(!projection.unpriced.is_empty())
            }
            Err(error) => {
                // The products taken from `unpriced` are lost, so the next run computes the prices of all products.
                self.projection.write().rules_state = if known == rules_state { 0 } else { known };
                Err(error)
            }
        }
    }

    /// The price of each product's cheapest variant for an anonymous visitor, and the state of the price rules that
    /// they belong to.
    async fn lowest_prices(
        &self,
        cx: &Cx,
        mut ids: BTreeSet<ProductId>,
    ) -> Result<(Vec<(ProductId, Amount)>, i64), Error> {
        let (mut prices, mut rules_state) = (Vec::with_capacity(ids.len()), None);
        while let Some(last) = ids.iter().nth(PRICING_BATCH - 1).or(ids.last()).copied() {
            let rest = ids.split_off(&ProductId(last.0 + 1));
            let read = |tx: &Tx<'_>| -> Result<_, StoreError> {
                let tree = self.trees.at(tx, &epochs(tx)?)?;
                let rows = ids.iter().filter_map(|id| tx.get::<Product>(id).transpose());
                let rows: Vec<Product> = rows.collect::<Result<_, _>>()?;
                let items: Vec<_> = rows.iter().flat_map(|product| describe_all(product, &tree)).collect();
                Ok((rows, items))
            };
            let (rows, items) = self.db.read(read).await?;
            let list = cx.call(GetCatalogPrices { items, channel: None, anonymous: true }).await?;
            rules_state = if rules_state.is_none_or(|rules_state| rules_state == list.rules_state) {
                Some(list.rules_state)
            } else {
                Some(UNSETTLED)
            };
            let mut list = list.prices.as_slice();
            for product in rows {
                let (own, others) = list.split_at_checked(product.variants.len()).unwrap_or_default();
                list = others;
                prices.push((product.id, VariantPrices(own).lowest_price(&product.variants)));
            }
            ids = rest;
            tokio::task::yield_now().await;
        }
        Ok((prices, rules_state.unwrap_or(UNSETTLED)))
    }
}
