//! Actions on something other than prices: shipping, gifts, points.

use promox_kernel::Sku;
use rust_decimal::Decimal;

use crate::rules::actions::turn::Turn;
use crate::rules::evaluate::state::FreeGoods;
use crate::rules::minor_units::to_minor;

impl Turn<'_, '_> {
    pub(super) fn discount_shipping(&mut self, amount: i64) {
        self.budget -= self.state.take_shipping(&mut self.effect, amount, self.budget);
    }

    /// Adds a gift, in full or not at all: if stock suffices besides what the cart has of it, and within the budget.
    pub(super) fn gift(&mut self, sku: &Sku, quantity: u32) {
        let Some(stock) = self.context.gifts.get(sku) else { return };
        let price = to_minor(stock.price, self.state.cart.currency).unwrap_or(i64::MAX);
        let there = self.state.wanted_of(&stock.sku) + u64::from(quantity) <= u64::from(stock.available);
        if there && price.saturating_mul(i64::from(quantity)) <= self.budget {
            let goods = FreeGoods { sku: stock.sku.clone(), quantity, price };
            self.budget -= self.state.give(&mut self.effect, goods);
        }
    }

    pub(super) fn multiply_points(&mut self, factor: Decimal) {
        let product = self.effect.points.unwrap_or(Decimal::ONE).saturating_mul(factor);
        self.effect.points = Some(product).filter(|product| *product != Decimal::ONE);
    }
}
