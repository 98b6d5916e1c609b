//! Prices after price rules, as the promotion service evaluates them for the caller.
//!
//! The promotion service starts an epoch when its price rules change. Without rules, a page costs one comparison of
//! that epoch. With rules, pages that are the same for all callers are rendered once per epoch, others each time; lists
//! are sorted by the prices of an anonymous visitor, which a job keeps up to date.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::ids::ProductId;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{CATALOG_PRICE_EPOCH, CatalogPrices, GetCatalogPrices};
use promox_kernel::{Amount, Cx, Error, Principal};
use promox_storage::{StoreError, Tx};

use crate::api::ProductChange;
use crate::commands::{self, CommandContext};
use crate::pages::{Found, Rendered};
use crate::queries::{describe_all, epochs};
use crate::records::{Epochs, Product};
use crate::rules::Ruled;
use crate::{Products, READ};

/// Products priced at once for lists.
const PRICED_AT_ONCE: usize = 200;

/// How the caller's prices are determined.
#[derive(Debug)]
pub(crate) struct Prices {
    /// The epoch of the price rules; 0 when there are none.
    epoch: i64,
    /// Whether a text rendered for this caller is valid for all callers.
    shared: bool,
    /// Whether the caller sees products that are not on sale, and costs.
    staff: bool,
    channel: Option<String>,
}

/// A product to be rendered.
pub(crate) enum Shown {
    /// A cached text.
    Page(Arc<Rendered>),
    /// The row, its SKUs at list price, and the catalog's epoch.
    Row(Box<Product>, Vec<SkuDescription>, i64),
}

/// The state of rules that changed while they were read: equal to no other state.
const UNSETTLED: i64 = -1;

/// An epoch of the price rules, and the state of the rules in it.
pub(crate) type RulesState = Mutex<Option<(i64, i64)>>;

impl Products {
    /// The current state of the price rules; 0 while none is active. The promotion service is called once per epoch.
    async fn rules_state(&self, cx: &Cx) -> Result<i64, Error> {
        let epoch = self.epochs.current(CATALOG_PRICE_EPOCH).await?;
        if let Some((_, rules_state)) = self.rules_state.lock().filter(|(known, _)| *known == epoch) {
            return Ok(rules_state);
        }
        let rules_state =
            cx.call(GetCatalogPrices { items: Vec::new(), channel: None, anonymous: true }).await?.rules_state;
        *self.rules_state.lock() = Some((epoch, rules_state));
        Ok(rules_state)
    }

    /// How this caller's prices are determined now.
    pub(crate) async fn prices(&self, cx: &Cx, channel: Option<String>) -> Result<Prices, Error> {
        let staff = cx.principal.allows(READ);
        if self.rules_state(cx).await? == 0 {
            return Ok(Prices { epoch: 0, shared: !staff, staff, channel });
        }
        let rules = cx.call(GetCatalogPrices { items: Vec::new(), channel: channel.clone(), anonymous: false }).await?;
        let anybody = !rules.personal || (cx.principal == Principal::Anonymous && channel.is_none());
        Ok(Prices { epoch: rules.epoch, shared: anybody && !staff, staff, channel })
    }

    /// A product as a caller may see it.
    pub(crate) fn page(
        &self,
        prices: &Prices,
        tx: &Tx<'_>,
        epochs: &Epochs,
        id: ProductId,
    ) -> Result<Option<Shown>, Error> {
        let found = if prices.shared {
            self.pages.get(tx, epochs, prices.epoch, id)?
        } else {
            tx.get::<Product>(&id)?.map(|product| Found::Row(Box::new(product)))
        };
        let product = match found {
            None => return Ok(None),
            Some(Found::Page(page)) => return Ok(page.active.then_some(Shown::Page(page))),
            Some(Found::Row(product)) => product,
        };
        if prices.epoch != 0 {
            let skus = describe_all(&product, &*self.trees.at(tx, epochs)?);
            return Ok(Some(Shown::Row(product, skus, epochs.catalogue)));
        }
        let page = self.rendered(prices, &product, (epochs.catalogue, 0), &[])?;
        Ok((prices.staff || page.active).then_some(Shown::Page(page)))
    }

    fn rendered(
        &self,
        prices: &Prices,
        product: &Product,
        epochs: (i64, i64),
        ruled: &[Amount],
    ) -> Result<Arc<Rendered>, Error> {
        let page = Arc::new(Rendered::new(product, prices.staff, epochs, Ruled(ruled))?);
        if prices.shared {
            self.pages.keep(product.id, page.clone());
        }
        Ok(page)
    }

    /// The rendered products, with all their prices queried at once.
    pub(crate) async fn render(
        &self,
        cx: &Cx,
        prices: &Prices,
        shown: Vec<Shown>,
    ) -> Result<Vec<Arc<Rendered>>, Error> {
        let skus =
            shown.iter().flat_map(|shown| if let Shown::Row(_, skus, _) = shown { skus.as_slice() } else { &[] });
        let items: Vec<SkuDescription> = skus.cloned().collect();
        let list = if items.is_empty() {
            CatalogPrices::default()
        } else {
            let anonymous = prices.shared;
            cx.call(GetCatalogPrices { items, channel: prices.channel.clone(), anonymous }).await?
        };
        let mut rest = list.prices.as_slice();
        let mut pages = Vec::with_capacity(shown.len());
        for product in shown {
            pages.push(match product {
                Shown::Page(page) => page,
                Shown::Row(product, skus, epoch) => {
                    let (own, others) = rest.split_at_checked(skus.len()).unwrap_or_default();
                    rest = others;
                    self.rendered(prices, &product, (epoch, list.epoch), own)?
                }
            });
        }
        pages.retain(|page| prices.staff || page.active);
        Ok(pages)
    }

    /// The prices of a product's variants for this caller; empty when all are list prices.
    pub(crate) async fn prices_of(&self, cx: &Cx, product: &Product) -> Result<Vec<Amount>, Error> {
        Ok(self.prices_of_each(cx, std::slice::from_ref(product)).await?.pop().unwrap_or_default())
    }

    /// The prices of a product's variants for this caller once it is written, queried beforehand, because the reply is
    /// stored with the write.
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

    /// The prices of several products' variants, queried at once.
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

    /// Applies this caller's prices to SKUs with list prices.
    pub(crate) async fn put_prices(
        &self,
        cx: &Cx,
        items: &mut [SkuDescription],
        channel: Option<String>,
    ) -> Result<(), Error> {
        if self.rules_state(cx).await? == 0 || items.is_empty() {
            return Ok(());
        }
        let asked = GetCatalogPrices { items: items.to_vec(), channel, anonymous: false };
        let prices = cx.call(asked).await?.prices;
        items.iter_mut().zip(prices).for_each(|(item, price)| item.price = price);
        Ok(())
    }

    /// Updates the prices in lists from the price rules; whether products changed in the meantime.
    pub(crate) async fn reprice(&self, cx: &Cx) -> Result<bool, Error> {
        let rules_state = self.rules_state(cx).await?;
        // The job may have been running for a while: prices older than the announced change would be kept for good.
        let cx = &Cx { now: cx.node.clock.now(), ..cx.clone() };
        let (known, ids) = {
            let mut projection = self.projection.write();
            let known = std::mem::replace(&mut projection.rules_state, rules_state);
            let some = std::mem::take(&mut projection.unpriced);
            (known, if known == rules_state { some } else { projection.ids() })
        };
        if ids.is_empty() {
            return Ok(false);
        }
        match self.front_prices(cx, ids).await {
            Ok((prices, at)) => {
                let mut projection = self.projection.write();
                projection.set_prices(&prices);
                if known != rules_state {
                    // Rules that changed after the announcement are announced next, and priced again.
                    projection.rules_state = at;
                }
                Ok(!projection.unpriced.is_empty())
            }
            Err(error) => {
                // It is unknown what was announced or which products were new: all are queried again.
                self.projection.write().rules_state = if known == rules_state { 0 } else { known };
                Err(error)
            }
        }
    }

    /// An anonymous visitor's prices of products, by the cheapest variant, and the announced state that they belong to.
    async fn front_prices(
        &self,
        cx: &Cx,
        mut ids: BTreeSet<ProductId>,
    ) -> Result<(Vec<(ProductId, Amount)>, i64), Error> {
        let (mut prices, mut rules_state) = (Vec::with_capacity(ids.len()), None);
        while let Some(last) = ids.iter().nth(PRICED_AT_ONCE - 1).or(ids.last()).copied() {
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
                prices.push((product.id, Ruled(own).front_price(&product.variants)));
            }
            ids = rest;
            tokio::task::yield_now().await;
        }
        Ok((prices, rules_state.unwrap_or(UNSETTLED)))
    }
}
