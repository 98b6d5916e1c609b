//! Amounts of a promotion as they are kept and shown: with all the digits of the store's currency, as amounts are everywhere.

use promox_contract::condition::{Condition, ItemFilter};
use promox_kernel::{Amount, Currency};

use super::language::{Action, ActionType, Basis, Promotion};

impl Promotion {
    /// The same with its amounts in a currency's scale. It type-checks, so none has more digits than that.
    #[must_use]
    pub fn in_scale(mut self, currency: Currency) -> Self {
        for action in &mut self.actions {
            scale_action(action, currency);
        }
        if let Some(limits) = &mut self.limits {
            scale(&mut limits.budget, currency);
        }
        if let Some(when) = &mut self.when {
            scale_condition(when, currency);
        }
        self
    }
}

fn scale(amount: &mut Option<Amount>, currency: Currency) {
    if let Some(amount) = amount {
        *amount = currency.round(amount.0);
    }
}

fn scale_filter(filter: &mut ItemFilter, currency: Currency) {
    scale(&mut filter.min_price, currency);
    scale(&mut filter.max_price, currency);
    if let Some(exclude) = &mut filter.exclude {
        scale_filter(exclude, currency);
    }
}

fn scale_action(action: &mut Action, currency: Currency) {
    if matches!(action.kind, ActionType::AmountOff | ActionType::FixedPrice) {
        scale(&mut action.value, currency);
    }
    for amount in [&mut action.max_discount, &mut action.price, &mut action.amount_off] {
        scale(amount, currency);
    }
    let counted = matches!(action.basis, Some(Basis::Quantity | Basis::LineQuantity));
    for tier in action.tiers.iter_mut().flatten() {
        scale(&mut tier.amount_off, currency);
        scale(&mut tier.unit_price, currency);
        if !counted {
            tier.from = currency.round(tier.from.0);
        }
    }
    let parts = action.buy.iter_mut().chain(&mut action.get).chain(action.parts.iter_mut().flatten());
    let filters = parts.map(|part| &mut part.items).chain(&mut action.items);
    filters.for_each(|filter| scale_filter(filter, currency));
}

/// Of a condition only the lines it is about: its value stands as it was written.
fn scale_condition(condition: &mut Condition, currency: Currency) {
    if let Some(items) = &mut condition.items {
        scale_filter(items, currency);
    }
    let inner = condition.all.iter_mut().chain(&mut condition.any).flatten();
    inner.chain(condition.not.as_deref_mut()).for_each(|condition| scale_condition(condition, currency));
}
