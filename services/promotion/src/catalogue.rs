//! The catalog stage for product pages: current prices of SKUs, and an epoch that starts when they change.

use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{CATALOG_PRICE_EPOCH, CatalogPrices, Customer, GetCatalogPrices};
use promox_kernel::{Currency, Cx, Error};

use crate::compiled::Compiled;
use crate::facts::currency;
use crate::rules::{Cart, EvaluationContext, Line, LineInput, to_amount};
use crate::{Promotions, facts};

impl Promotions {
    /// The current catalog prices of SKUs.
    pub(crate) async fn price_catalogue(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        let (compiled, currency) = self.current(cx).await?;
        if compiled.set.catalogue().is_empty() {
            return Ok(CatalogPrices::default());
        }
        let user = cx.principal.user().filter(|_| !op.anonymous);
        let context = self.catalogue_context(cx, &compiled, user).await?;
        let personal = !compiled.set.catalogue_campaigns().is_empty() || compiled.set.catalogue_needs().who;
        let (epoch, rules_state) = (compiled.catalogue_epoch(&context), compiled.coarse_catalogue_epoch(&context));
        if op.items.is_empty() {
            return Ok(CatalogPrices { prices: Vec::new(), epoch, personal, rules_state });
        }
        let listed: Vec<_> = op.items.iter().map(|item| (item.list_price, item.currency == currency)).collect();
        let lines: Option<Vec<Line>> = op.items.into_iter().map(|item| on_list(item, currency)).collect();
        let lines = lines.ok_or_else(|| Error::field("/items", "must be at most 10^18 minor units"))?;
        let cart = Cart::of_catalogue(currency, lines, op.channel);
        let prices = compiled.set.catalogue_prices(&cart, &context).into_iter().zip(listed);
        let prices = prices.map(|(price, (list, ours))| if ours { to_amount(price, currency) } else { list });
        Ok(CatalogPrices { prices: prices.collect(), epoch, personal, rules_state })
    }

    /// Starts another catalog price epoch if the price rules' state differs from that of the last one.
    pub(crate) async fn signal_catalogue(&self, cx: &Cx) -> Result<(), Error> {
        let (compiled, _) = self.current(cx).await?;
        let mut epoch = 0;
        if !compiled.set.catalogue().is_empty() {
            let context = self.catalogue_context(cx, &compiled, None).await?;
            epoch = compiled.coarse_catalogue_epoch(&context);
        }
        if *self.shelf.lock() != Some(epoch) {
            self.db.write(cx, |tx| tx.begin_epoch(CATALOG_PRICE_EPOCH)).await?;
            *self.shelf.lock() = Some(epoch);
        }
        Ok(())
    }

    /// Signals a change, which is committed even if this fails: the job signals again.
    pub(crate) async fn announce_catalogue(&self, cx: &Cx) {
        if let Err(error) = self.signal_catalogue(cx).await {
            tracing::warn!(%error, "price rules could not be published; the job will retry");
        }
    }

    async fn current(&self, cx: &Cx) -> Result<(Arc<Compiled>, Currency), Error> {
        let currency = currency(cx).await?;
        Ok((self.db.read(|tx| self.compiler.at(tx, currency)).await?, currency))
    }

    /// What catalog prices depend on: the customer, the states of campaigns, the time.
    async fn catalogue_context(
        &self,
        cx: &Cx,
        compiled: &Compiled,
        user: Option<promox_kernel::UserId>,
    ) -> Result<EvaluationContext, Error> {
        let needs = compiled.set.catalogue_needs();
        let buyer = if needs.purchases || needs.segments || needs.profile {
            Buyer::identify(cx, user, None).await?
        } else {
            Buyer { user_id: user, ..Buyer::default() }
        };
        let customer: Customer = facts::customer(cx, &buyer, needs).await?;
        let campaigns = facts::campaigns(cx, compiled.set.catalogue_campaigns().to_vec(), &customer).await?;
        Ok(EvaluationContext { now: cx.now, customer, campaigns, ..EvaluationContext::default() })
    }
}

/// A unit at its list price. Rules do not apply to prices in a former currency of the store.
fn on_list(mut item: SkuDescription, currency: Currency) -> Option<Line> {
    if item.currency != currency {
        item.list_price = currency.zero();
    }
    item.price = item.list_price;
    Line::new(LineInput::of(item, 1, None), currency)
}
