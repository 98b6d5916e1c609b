//! Catalog prices for product pages, and the epoch that starts when they change.

use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::ids::PromotionId;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{CATALOG_PRICE_EPOCH, CatalogPrices, Customer, GetCatalogPrices};
use promox_kernel::{Currency, Cx, Error};

use crate::Promotions;
use crate::api::{PromotionStatus, PromotionView};
use crate::checks;
use crate::commands::promotions;
use crate::compiled::Compiled;
use crate::facts::{self, currency};
use crate::rules::{Cart, EvaluationContext, Line, LineInput, to_amount};

impl Promotions {
    /// The current catalog prices of items, in their order.
    pub(crate) async fn catalog_prices_for(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        let (compiled, currency) = self.current(cx).await?;
        if compiled.set.catalog().is_empty() {
            return Ok(CatalogPrices::default());
        }
        let user = cx.principal.user().filter(|_| !op.anonymous);
        let context = self.catalog_context(cx, &compiled, user).await?;
        let personal = !compiled.set.catalog_campaigns().is_empty() || compiled.set.catalog_needs().who;
        let (epoch, rules_state) = (compiled.catalog_epoch(&context), compiled.coarse_catalog_epoch(&context));
        if op.items.is_empty() {
            return Ok(CatalogPrices { prices: Vec::new(), epoch, personal, rules_state });
        }
        let listed: Vec<_> = op.items.iter().map(|item| (item.list_price, item.currency == currency)).collect();
        let lines: Option<Vec<Line>> = op.items.into_iter().map(|item| list_price_line(item, currency)).collect();
        let lines = lines.ok_or_else(|| Error::field("/items", "must be at most 10^18 minor units"))?;
        let cart = Cart::of_catalog(currency, lines, op.channel);
        let prices = compiled.set.catalog_prices(&cart, &context).into_iter().zip(listed);
        let prices =
            prices.map(|(price, (list, same_currency))| if same_currency { to_amount(price, currency) } else { list });
        Ok(CatalogPrices { prices: prices.collect(), epoch, personal, rules_state })
    }

    /// Starts a new catalog price epoch if catalog prices may have changed since the last one.
    pub(crate) async fn publish_price_changes(&self, cx: &Cx) -> Result<(), Error> {
        let (compiled, _) = self.current(cx).await?;
        let mut epoch = 0;
        if !compiled.set.catalog().is_empty() {
            let context = self.catalog_context(cx, &compiled, None).await?;
            epoch = compiled.coarse_catalog_epoch(&context);
        }
        if *self.published_epoch.lock() != Some(epoch) {
            self.db.write(cx, |tx| tx.bump_epoch(CATALOG_PRICE_EPOCH)).await?;
            *self.published_epoch.lock() = Some(epoch);
        }
        Ok(())
    }

    /// Publishes a change that is already committed. If publishing fails, the job retries it.
    pub(crate) async fn try_publish_price_changes(&self, cx: &Cx) {
        if let Err(error) = self.publish_price_changes(cx).await {
            tracing::warn!(%error, "a change of catalog prices could not be published; the job will retry");
        }
    }

    /// The active promotions and the store's currency.
    async fn current(&self, cx: &Cx) -> Result<(Arc<Compiled>, Currency), Error> {
        let currency = currency(cx).await?;
        Ok((self.db.read(|tx| self.compiler.at(tx, currency)).await?, currency))
    }

    /// What catalog prices depend on: the customer, the eligibility of campaigns and the time.
    async fn catalog_context(
        &self,
        cx: &Cx,
        compiled: &Compiled,
        user: Option<promox_kernel::UserId>,
    ) -> Result<EvaluationContext, Error> {
        let needs = compiled.set.catalog_needs();
        let buyer = if needs.purchases || needs.segments || needs.profile {
            Buyer::identify(cx, user, None).await?
        } else {
            Buyer { user_id: user, ..Buyer::default() }
        };
        let customer: Customer = facts::customer(cx, &buyer, needs).await?;
        let campaigns = facts::campaigns(cx, compiled.set.catalog_campaigns().to_vec(), &customer).await?;
        Ok(EvaluationContext { now: cx.now, customer, campaigns, ..EvaluationContext::default() })
    }
}

/// One unit of an item at its list price. An item with a price in a former currency of the store gets the price zero,
/// because price rules do not apply to it.
fn list_price_line(mut item: SkuDescription, currency: Currency) -> Option<Line> {
    if item.currency != currency {
        item.list_price = currency.zero();
    }
    item.price = item.list_price;
    Line::new(LineInput::of(item, 1, None), currency)
}

impl Promotions {
    /// Changes the status of a promotion, and publishes the change if it affects prices.
    pub(crate) async fn change_status(
        &self,
        cx: &Cx,
        id: PromotionId,
        to: PromotionStatus,
    ) -> Result<PromotionView, Error> {
        let context = checks::command_context(cx).await?;
        let active = match to {
            PromotionStatus::Active => {
                let currency = context.currency;
                self.db.read(|tx| self.compiler.at(tx, currency)).await?.set.len()
            }
            _ => 0,
        };
        let view = self.db.write(cx, move |tx| promotions::change_status(tx, &context, id, to, active)).await?;
        self.try_publish_price_changes(cx).await;
        Ok(view)
    }
}
