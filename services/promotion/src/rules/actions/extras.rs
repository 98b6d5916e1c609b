//! Actions that do not change prices of goods: shipping, gifts and points.

use promox_kernel::Sku;
use rust_decimal::Decimal;

use crate::rules::actions::turn::Turn;
use crate::rules::evaluate::state::FreeGoods;
use crate::rules::minor_units::to_minor;

impl Turn<'_, '_> {
    pub(super) fn discount_shipping(&mut self, amount: i64) {
        self.budget -= self.state.discount_shipping(&mut self.effect, amount, self.budget);
    }

    /// Adds a gift in full or not at all. The stock must also cover the units already in the cart, and the budget must
    /// cover the gift.
    pub(super) fn gift(&mut self, sku: &Sku, quantity: u32) {
        let Some(stock) = self.context.gifts.get(sku) else { return };
        let price = to_minor(stock.price, self.state.cart.currency).unwrap_or(i64::MAX);
        let in_stock = self.state.units_of_sku(&stock.sku) + u64::from(quantity) <= u64::from(stock.available);
        if in_stock && price.saturating_mul(i64::from(quantity)) <= self.budget {
            let goods = FreeGoods { sku: stock.sku.clone(), quantity, price };
            self.budget -= self.state.add_gift(&mut self.effect, goods);
        }
    }

    pub(super) fn multiply_points(&mut self, factor: Decimal) {
        let product = self.effect.points.unwrap_or(Decimal::ONE).saturating_mul(factor);
        self.effect.points = Some(product).filter(|product| *product != Decimal::ONE);
    }
}
