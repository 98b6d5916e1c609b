//! Prices by the catalogue's price rules, as the promotion service works them out for whoever asks.
//!
//! The promotion service begins an epoch when its price rules change. Without rules, a page costs one look at that epoch. With rules,
//! pages that are the same for everybody are rendered once per epoch, others each time; lists are sorted by what an anonymous
//! visitor pays, which a job keeps up to date.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::ids::ProductId;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{CATALOG_PRICE_EPOCH, CatalogPrices, GetCatalogPrices};
use promox_kernel::{Amount, Cx, Error, Principal};
use promox_storage::{StoreError, Tx};

use crate::api::ProductChange;
use crate::commands::{self, Desk};
use crate::pages::{Found, Rendered};
use crate::queries::{describe_all, epochs};
use crate::records::{Epochs, Product};
use crate::rules::Ruled;
use crate::{Products, READ};

/// Products that are priced at once for lists.
const PRICED_AT_ONCE: usize = 200;

/// How a caller's prices are made.
#[derive(Debug)]
pub(crate) struct Prices {
    /// The epoch of the price rules; 0 when there are none.
    epoch: i64,
    /// Whether a text made for this caller is good for everybody.
    shared: bool,
    /// Whether the caller sees what is not on the shelf, and costs.
    staff: bool,
    channel: Option<String>,
}

/// A product to be shown.
pub(crate) enum Shown {
    /// Its text.
    Page(Arc<Rendered>),
    /// Its row, its SKUs at list price, and the catalogue's epoch.
    Row(Box<Product>, Vec<SkuDescription>, i64),
}

/// The rules' state of prices that changed while they were read: equal to no state.
const UNSETTLED: i64 = -1;

/// An epoch of the price rules, and the state of the rules in it.
pub(crate) type ShelfTold = Mutex<Option<(i64, i64)>>;

impl Products {
    /// The state of the price rules now; 0 while none is active. The promotion service is asked once per epoch.
    async fn told(&self, cx: &Cx) -> Result<i64, Error> {
        let epoch = self.epochs.current(CATALOG_PRICE_EPOCH).await?;
        if let Some((_, told)) = self.told.lock().filter(|(known, _)| *known == epoch) {
            return Ok(told);
        }
        let told = cx.call(GetCatalogPrices { items: Vec::new(), channel: None, anonymous: true }).await?.told;
        *self.told.lock() = Some((epoch, told));
        Ok(told)
    }

    /// How this caller's prices are made now.
    pub(crate) async fn prices(&self, cx: &Cx, channel: Option<String>) -> Result<Prices, Error> {
        let staff = cx.principal.allows(READ);
        if self.told(cx).await? == 0 {
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

    /// The texts of what is to be shown, prices asked for all of it at once.
    pub(crate) async fn render(
        &self,
        cx: &Cx,
        prices: &Prices,
        shown: Vec<Shown>,
    ) -> Result<Vec<Arc<Rendered>>, Error> {
        let skus = shown.iter().flat_map(|it| if let Shown::Row(_, skus, _) = it { skus.as_slice() } else { &[] });
        let items: Vec<SkuDescription> = skus.cloned().collect();
        let list = if items.is_empty() {
            CatalogPrices::default()
        } else {
            let anonymous = prices.shared;
            cx.call(GetCatalogPrices { items, channel: prices.channel.clone(), anonymous }).await?
        };
        let mut rest = list.prices.as_slice();
        let mut pages = Vec::with_capacity(shown.len());
        for it in shown {
            pages.push(match it {
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

    /// What a product's variants cost this caller; empty where all are at list price.
    pub(crate) async fn prices_of(&self, cx: &Cx, product: &Product) -> Result<Vec<Amount>, Error> {
        Ok(self.prices_of_each(cx, std::slice::from_ref(product)).await?.pop().unwrap_or_default())
    }

    /// What the variants of a product will cost this caller once it is written, asked before: its answer is kept with it.
    pub(crate) async fn prices_of_draft(&self, desk: &Desk, change: &ProductChange) -> Result<Vec<Amount>, Error> {
        if self.told(&desk.cx).await? == 0 {
            return Ok(Vec::new());
        }
        let draft = self.db.read(|tx| commands::draft(tx, &desk.open(tx)?, change.clone())).await?;
        self.prices_of(&desk.cx, &draft).await
    }

    /// The same of several products, asked for at once.
    pub(crate) async fn prices_of_each(&self, cx: &Cx, products: &[Product]) -> Result<Vec<Vec<Amount>>, Error> {
        if self.told(cx).await? == 0 || products.is_empty() {
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

    /// Puts this caller's prices on SKUs that have list prices.
    pub(crate) async fn put_prices(
        &self,
        cx: &Cx,
        items: &mut [SkuDescription],
        channel: Option<String>,
    ) -> Result<(), Error> {
        if self.told(cx).await? == 0 || items.is_empty() {
            return Ok(());
        }
        let asked = GetCatalogPrices { items: items.to_vec(), channel, anonymous: false };
        let prices = cx.call(asked).await?.prices;
        items.iter_mut().zip(prices).for_each(|(item, price)| item.price = price);
        Ok(())
    }

    /// Brings the prices that lists go by up to the price rules; whether products came meanwhile.
    pub(crate) async fn reprice(&self, cx: &Cx) -> Result<bool, Error> {
        let told = self.told(cx).await?;
        // The job may have run for a while: prices of an earlier moment than what was told of would be kept for good.
        let cx = &Cx { now: cx.node.clock.now(), ..cx.clone() };
        let (known, ids) = {
            let mut shelves = self.shelves.write();
            let known = std::mem::replace(&mut shelves.shelf, told);
            let some = std::mem::take(&mut shelves.unpriced);
            (known, if known == told { some } else { shelves.ids() })
        };
        if ids.is_empty() {
            return Ok(false);
        }
        match self.front_prices(cx, ids).await {
            Ok((prices, at)) => {
                let mut shelves = self.shelves.write();
                shelves.set_prices(&prices);
                if known != told {
                    // Rules that came or went since they were told of are told of next, and priced again.
                    shelves.shelf = at;
                }
                Ok(!shelves.unpriced.is_empty())
            }
            Err(error) => {
                // Neither what was told nor which products were new is known any more: all are asked again.
                self.shelves.write().shelf = if known == told { 0 } else { known };
                Err(error)
            }
        }
    }

    /// What an anonymous visitor pays for products, by the cheapest variant, and what is told while they stand.
    async fn front_prices(
        &self,
        cx: &Cx,
        mut ids: BTreeSet<ProductId>,
    ) -> Result<(Vec<(ProductId, Amount)>, i64), Error> {
        let (mut prices, mut told) = (Vec::with_capacity(ids.len()), None);
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
            told = if told.is_none_or(|told| told == list.told) { Some(list.told) } else { Some(UNSETTLED) };
            let mut list = list.prices.as_slice();
            for product in rows {
                let (own, others) = list.split_at_checked(product.variants.len()).unwrap_or_default();
                list = others;
                prices.push((product.id, Ruled(own).front_price(&product.variants)));
            }
            ids = rest;
            tokio::task::yield_now().await;
        }
        Ok((prices, told.unwrap_or(UNSETTLED)))
    }
}
