//! A promotion's turn: its actions in order, each on what the one before it left.

pub(crate) mod action;
mod bundle;
mod counted;
mod discounts;
mod extras;
mod stacks;
mod tiers;
mod turn;

use promox_contract::promotion::RejectReason;

use crate::rules::actions::action::Deed;
use crate::rules::actions::turn::{Turn, cost_of_dearest};
use crate::rules::compile::Rule;
use crate::rules::evaluate::context::Circumstances;
use crate::rules::evaluate::state::{Effect, State};
use crate::rules::language::action::Scope;

/// Lets a promotion act within its budget; whether its conditions hold is asked before. What it did stands in the state.
pub(crate) fn act(rule: &Rule, state: &mut State<'_>, it: &Circumstances) -> Result<Effect, RejectReason> {
    match state.budget(rule, it) {
        None => Ok(act_within(rule, state, it, i64::MAX)),
        Some(0) => Err(RejectReason::BudgetExhausted),
        Some(left) if rule.give_rest => Ok(act_within(rule, state, it, left)),
        Some(left) => {
            let effect = act_within(rule, state, it, i64::MAX);
            if effect.amount() <= left {
                return Ok(effect);
            }
            state.undo(&effect);
            Err(RejectReason::BudgetExhausted)
        }
    }
}

fn act_within(rule: &Rule, state: &mut State<'_>, circumstances: &Circumstances, purse: i64) -> Effect {
    let effect = state.begin_effect();
    let mut turn = Turn { rule, state, circumstances, effect, purse };
    for deed in &rule.deeds {
        turn.carry_out(deed);
    }
    turn.effect
}

impl Turn<'_, '_> {
    fn carry_out(&mut self, deed: &Deed) {
        match deed {
            Deed::Percent { percent, scope: Scope::Shipping, most, .. } => {
                let amount = percent.of(self.state.shipping).min(*most);
                self.ship_cheaper(amount);
            }
            Deed::Amount { value, scope: Scope::Shipping, .. } => self.ship_cheaper(*value),
            Deed::FreeShipping { most } => self.ship_cheaper(self.state.shipping.min(*most)),
            Deed::Percent { percent, scope: Scope::Order, items, most, units } => {
                let portions = self.units(items);
                let amount = percent.of_exact(cost_of_dearest(&portions, *units)).half_up();
                self.give_shared(portions, amount.min(*most));
            }
            Deed::Percent { percent, items, most, units, .. } => self.percent_off_items(*percent, items, *most, *units),
            Deed::Amount { value, scope, items, per, units } => self.amount_off(*value, *scope, items, *per, *units),
            Deed::FixedPrice { value, whole, items } => self.fixed_price(*value, *whole, items),
            Deed::Tiered { basis, items, once, tiers } => self.tiered(*basis, items, *once, tiers),
            Deed::Cheapest { items, cut } => self.cheapest(items, *cut),
            Deed::BuyGet { buy, get, percent, most } => self.buy_get(buy, get, *percent, *most),
            Deed::EveryNth { items, every, percent } => self.every_nth(items, *every, *percent),
            Deed::Pack { items, size, cut } => self.pack(items, *size, *cut),
            Deed::Bundle { parts, price } => self.bundle(parts, *price),
            Deed::Gift { sku, quantity } => self.gift(sku, *quantity),
            Deed::Points { factor } => self.multiply_points(*factor),
        }
    }
}
