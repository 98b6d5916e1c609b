//! Brings the amounts of a promotion into the form in which they are stored and shown, with all decimal digits of the
//! store's currency.

use promox_contract::condition::{Condition, ItemFilter};
use promox_kernel::{Amount, Currency};

use crate::rules::language::action::{ActionType, Basis, Members};
use crate::rules::language::promotion::Promotion;

impl Promotion {
    /// The promotion with its amounts in the scale of a currency. It must have been type-checked, so that no digits are
    /// lost.
    #[must_use]
    pub fn in_scale(mut self, currency: Currency) -> Self {
        self.each_amount(&mut |amount| *amount = currency.round(amount.0));
        self
    }

    /// The largest number of decimal digits of its amounts; `None` if it has no amounts.
    pub(crate) fn max_digits(&self) -> Option<u32> {
        let mut max = None;
        self.clone().each_amount(&mut |amount| max = max.max(Some(amount.0.normalize().scale())));
        max
    }

    fn each_amount(&mut self, visit: &mut impl FnMut(&mut Amount)) {
        for action in &mut self.actions {
            action.change(|members| in_action(members, visit));
        }
        if let Some(budget) = self.limits.as_mut().and_then(|limits| limits.budget.as_mut()) {
            visit(budget);
        }
        if let Some(when) = &mut self.when {
            in_condition(when, visit);
        }
    }
}

fn in_filter(filter: &mut ItemFilter, visit: &mut impl FnMut(&mut Amount)) {
    filter.min_price.iter_mut().chain(&mut filter.max_price).for_each(&mut *visit);
    if let Some(exclude) = &mut filter.exclude {
        in_filter(exclude, visit);
    }
}

fn in_action(action: &mut Members, visit: &mut impl FnMut(&mut Amount)) {
    if matches!(action.kind, ActionType::AmountOff | ActionType::FixedPrice) {
        action.value.iter_mut().for_each(&mut *visit);
    }
    let amounts = action.max_discount.iter_mut().chain(&mut action.price).chain(&mut action.amount_off);
    amounts.for_each(&mut *visit);
    let counted = matches!(action.basis, Some(Basis::Quantity | Basis::LineQuantity));
    for tier in action.tiers.iter_mut().flatten() {
        tier.amount_off.iter_mut().chain(&mut tier.unit_price).for_each(&mut *visit);
        if !counted {
            visit(&mut tier.from);
        }
    }
    action.filters_mut().for_each(|filter| in_filter(filter, visit));
}

/// Visits the amounts in the item filters of a condition. Its value is left as written.
fn in_condition(condition: &mut Condition, visit: &mut impl FnMut(&mut Amount)) {
    if let Some(items) = &mut condition.items {
        in_filter(items, visit);
    }
    let inner = condition.all.iter_mut().chain(&mut condition.any).flatten();
    inner.chain(condition.not.as_deref_mut()).for_each(|condition| in_condition(condition, visit));
}
