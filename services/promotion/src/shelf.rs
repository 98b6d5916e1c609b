//! The catalogue stage as the shelf asks for it: what SKUs cost now, and a signal that says when that changes.

use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::product::SkuDescription;
use promox_contract::promotion::{Customer, ShelfPriceList, ShelfPrices};
use promox_kernel::{Currency, Cx, Error};

use crate::compiled::Compiled;
use crate::handlers::currency;
use crate::rules::{Cart, Circumstances, Line, LineInput, to_amount};
use crate::{Promotions, facts};

impl Promotions {
    /// What SKUs cost on the shelf now.
    pub(crate) async fn on_shelf(&self, cx: &Cx, op: ShelfPrices) -> Result<ShelfPriceList, Error> {
        let (compiled, currency) = self.current(cx).await?;
        if compiled.set.shelf().is_empty() {
            return Ok(ShelfPriceList::default());
        }
        let user = cx.principal.user().filter(|_| !op.anonymous);
        let it = self.shelf_circumstances(cx, &compiled, user).await?;
        let personal = !compiled.set.shelf_campaigns().is_empty() || compiled.set.shelf_needs().who;
        let (epoch, told) = (compiled.shelf_epoch(&it), compiled.coarse_shelf_epoch(&it));
        if op.items.is_empty() {
            return Ok(ShelfPriceList { prices: Vec::new(), epoch, personal, told });
        }
        let listed: Vec<_> = op.items.iter().map(|item| (item.list_price, item.currency == currency)).collect();
        let lines: Option<Vec<Line>> = op.items.into_iter().map(|item| on_list(item, currency)).collect();
        let lines = lines.ok_or_else(|| Error::field("/items", "a price is at most 10^18 minor units"))?;
        let cart = Cart::on_shelf(currency, lines, op.channel);
        let prices = compiled.set.shelf_prices(&cart, &it).into_iter().zip(listed);
        let prices = prices.map(|(price, (list, ours))| if ours { to_amount(price, currency) } else { list });
        Ok(ShelfPriceList { prices: prices.collect(), epoch, personal, told })
    }

    /// Tells the other services of this node how the catalogue's price rules stand.
    pub(crate) async fn signal_shelf(&self, cx: &Cx) -> Result<(), Error> {
        let (compiled, _) = self.current(cx).await?;
        let mut epoch = 0;
        if !compiled.set.shelf().is_empty() {
            let it = self.shelf_circumstances(cx, &compiled, None).await?;
            epoch = compiled.coarse_shelf_epoch(&it);
        }
        self.shelf.tell(compiled.epoch, epoch);
        Ok(())
    }

    /// The same after a change, which is made whatever comes of telling: the job tells it again.
    pub(crate) async fn tell_shelf(&self, cx: &Cx) {
        if let Err(error) = self.signal_shelf(cx).await {
            tracing::warn!(%error, "what the catalogue's price rules do is told a moment later");
        }
    }

    async fn current(&self, cx: &Cx) -> Result<(Arc<Compiled>, Currency), Error> {
        let currency = currency(cx).await?;
        Ok((self.db.read(|tx| self.compiler.at(tx, currency)).await?, currency))
    }

    /// What prices on the shelf depend on: who looks, how campaigns stand, the time.
    async fn shelf_circumstances(
        &self,
        cx: &Cx,
        compiled: &Compiled,
        user: Option<promox_kernel::UserId>,
    ) -> Result<Circumstances, Error> {
        let needs = compiled.set.shelf_needs();
        let buyer = if needs.purchases || needs.segments || needs.profile {
            Buyer::identify(cx, user, None).await?
        } else {
            Buyer { user_id: user, ..Buyer::default() }
        };
        let customer: Customer = facts::customer(cx, &buyer, needs).await?;
        let campaigns = facts::campaigns(cx, compiled.set.shelf_campaigns().to_vec(), &customer).await?;
        Ok(Circumstances { now: cx.now, customer, campaigns, ..Circumstances::default() })
    }
}

/// A unit at its list price. A price in a currency that the store has left is not for rules to lower.
fn on_list(mut item: SkuDescription, currency: Currency) -> Option<Line> {
    if item.currency != currency {
        item.list_price = currency.zero();
    }
    item.price = item.list_price;
    Line::new(LineInput::of(item, 1, None), currency)
}
