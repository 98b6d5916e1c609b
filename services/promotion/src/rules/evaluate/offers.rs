//! Offers: automatic promotions that lack only one amount or quantity, the nearest first.

use promox_contract::promotion::Offer;
use promox_kernel::Amount;

use crate::rules::actions::action::Action;
use crate::rules::compile::Rule;
use crate::rules::evaluate::conditions::ConditionContext;
use crate::rules::evaluate::state::State;

/// Maximum offers in an evaluation.
const MAX_OFFERS: usize = 3;

/// Maximum promotions that are examined for offers.
const MAX_EXAMINED: usize = 32;

/// The offers found so far.
#[derive(Default)]
pub(crate) struct Offers<'a> {
    found: Vec<(&'a Rule, String, i64, Amount)>,
    examined: usize,
}

impl<'a> Offers<'a> {
    /// Examines a promotion whose conditions do not hold.
    pub(crate) fn consider(&mut self, rule: &'a Rule, conditions: ConditionContext<'_>) {
        if !rule.may_be_offered || self.examined == MAX_EXAMINED {
            return;
        }
        self.examined += 1;
        if let Some((field, missing, amount)) = conditions.one_missing() {
            self.found.push((rule, field, missing, amount));
        }
    }

    /// The nearest offers. The distance of a quantity is the cost of that many average units of the cart.
    pub(crate) fn best(mut self, state: &State<'_>) -> Vec<Offer> {
        let units: i64 = state.cart.lines.iter().map(|line| i64::from(line.quantity)).sum();
        let average = (state.goods() / units.max(1)).max(1);
        self.found.sort_by_key(|(rule, field, missing, _)| {
            let distance = if field.ends_with("ubtotal") { *missing } else { missing.saturating_mul(average) };
            (distance, rule.id)
        });
        self.found.into_iter().take(MAX_OFFERS).map(|(rule, field, _, missing)| offer(rule, field, missing)).collect()
    }
}

fn offer(rule: &Rule, field: String, missing: Amount) -> Offer {
    let free_shipping = matches!(rule.actions.first(), Some(Action::FreeShipping { .. }));
    let gain = if free_shipping { "free shipping" } else { rule.name.as_str() };
    let message = format!("{missing} more for {gain}");
    Offer { promotion_id: rule.id, name: rule.name.clone(), field, missing, message }
}
