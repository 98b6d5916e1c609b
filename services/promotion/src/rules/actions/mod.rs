//! Applies the actions of a promotion in order, each to the result of the previous one.

pub(crate) mod action;
mod bundle;
mod counted;
mod discounts;
mod extras;
mod stacks;
mod tiers;
mod turn;

use promox_contract::promotion::RejectReason;

use crate::rules::actions::action::Action;
use crate::rules::actions::turn::{Turn, cost_of_most_expensive};
use crate::rules::compile::Rule;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::state::{Effect, State};
use crate::rules::language::action::Scope;

/// Applies a promotion to the state, within its budget. Its conditions must have been checked before.
pub(crate) fn apply_actions(
    rule: &Rule,
    state: &mut State<'_>,
    context: &EvaluationContext,
) -> Result<Effect, RejectReason> {
    match state.budget(rule, context) {
        None => Ok(apply_within(rule, state, context, i64::MAX)),
        Some(0) => Err(RejectReason::BudgetExhausted),
        Some(left) if rule.give_rest => Ok(apply_within(rule, state, context, left)),
        Some(left) => {
            let effect = apply_within(rule, state, context, i64::MAX);
            if effect.amount() <= left {
                return Ok(effect);
            }
            state.undo(&effect);
            Err(RejectReason::BudgetExhausted)
        }
    }
}

fn apply_within(rule: &Rule, state: &mut State<'_>, context: &EvaluationContext, budget: i64) -> Effect {
    let effect = state.begin_effect();
    let mut turn = Turn { rule, state, context, effect, budget };
    for action in &rule.actions {
        turn.perform(action);
    }
    turn.effect
}

impl Turn<'_, '_> {
    fn perform(&mut self, action: &Action) {
        match action {
            Action::Percent { percent, scope: Scope::Shipping, most, .. } => {
                let amount = percent.of(self.state.shipping).min(*most);
                self.discount_shipping(amount);
            }
            Action::Amount { value, scope: Scope::Shipping, .. } => self.discount_shipping(*value),
            Action::FreeShipping { most } => self.discount_shipping(self.state.shipping.min(*most)),
            Action::Percent { percent, scope: Scope::Order, items, most, units } => {
                let portions = self.units(items);
                let amount = percent.of_exact(cost_of_most_expensive(&portions, *units)).half_up();
                self.apply_shared(portions, amount.min(*most));
            }
            Action::Percent { percent, items, most, units, .. } => {
                self.percent_off_items(*percent, items, *most, *units);
            }
            Action::Amount { value, scope, items, per, units } => self.amount_off(*value, *scope, items, *per, *units),
            Action::FixedPrice { value, whole, items } => self.fixed_price(*value, *whole, items),
            Action::Tiered { basis, items, once, tiers } => self.tiered(*basis, items, *once, tiers),
            Action::Cheapest { items, discount } => self.cheapest(items, *discount),
            Action::BuyGet { buy, get, percent, most } => self.buy_get(buy, get, *percent, *most),
            Action::EveryNth { items, every, percent } => self.every_nth(items, *every, *percent),
            Action::Pack { items, size, discount } => self.pack(items, *size, *discount),
            Action::Bundle { parts, price } => self.bundle(parts, *price),
            Action::Gift { sku, quantity } => self.gift(sku, *quantity),
            Action::Points { factor } => self.multiply_points(*factor),
        }
    }
}
