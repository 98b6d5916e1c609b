//! The CATALOG stage: catalogue prices of units. A price is the lowest of each exclusive price rule alone and all stackable
//! ones in sequence.

use std::cell::Cell;
use std::sync::Arc;

use promox_contract::promotion::{RejectDetail, RejectReason};

use crate::rules::actions::action::Action;
use crate::rules::catalogue::index::RuleSet;
use crate::rules::compile::Rule;
use crate::rules::evaluate::cart::{Cart, Line};
use crate::rules::evaluate::conditions::ConditionContext;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::eligibility::check_eligibility;
use crate::rules::evaluate::state::State;
use crate::rules::minor_units::to_minor;

/// A catalogue price, and the rules that made it: the position of each and its discount on a unit, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct CataloguePrice {
    pub(crate) unit: i64,
    pub(crate) by: Vec<(u32, i64)>,
}

/// Catalogue prices for one buyer at one time in one channel. Only rules that could match a line are examined, and the
/// conditions of each are evaluated once.
pub(crate) struct CataloguePrices<'a> {
    set: &'a RuleSet,
    cart: &'a Cart,
    context: &'a EvaluationContext,
    state: State<'a>,
    /// For each rule whether it applies, once known.
    holding: Vec<Cell<Option<bool>>>,
}

impl<'a> CataloguePrices<'a> {
    /// Catalogue prices for the buyer, channel and time of a cart.
    pub(crate) fn new(set: &'a RuleSet, cart: &'a Cart, context: &'a EvaluationContext) -> Self {
        Self {
            set,
            cart,
            context,
            state: State::new(cart, context),
            holding: vec![Cell::new(None); set.catalogue().len()],
        }
    }

    /// The price of a line's unit under the rules that apply. Flash lines have their own price. A rule whose campaign
    /// cannot pay for one more unit does not apply: no order could be placed at its price.
    pub(crate) fn price(&self, line: &Line) -> CataloguePrice {
        let mut best = CataloguePrice { unit: line.list, by: Vec::new() };
        if line.flash || !line.discountable || self.set.catalogue().is_empty() {
            return best;
        }
        let (alone, together): (Vec<Placed<'_>>, Vec<Placed<'_>>) =
            self.candidates(line, line.list).into_iter().partition(|(_, rule)| rule.exclusive);
        if !together.is_empty() {
            best = self.in_sequence(line, together);
        }
        for (position, rule) in alone {
            let unit = price_after(rule, line, line.list);
            if unit < best.unit {
                best = CataloguePrice { unit, by: vec![(position, line.list - unit)] };
            }
        }
        best
    }

    /// The rules that could lower a line's current price, in order: they apply, and their campaigns can pay.
    fn candidates(&self, line: &Line, unit: i64) -> Vec<Placed<'a>> {
        let positions = self.set.catalogue_candidates(line, unit, &self.context.customer.segments);
        let rules = positions.into_iter().filter_map(|position| Some((position, self.set.catalogue_rule(position)?)));
        rules.filter(|placed| self.holds(*placed) && is_affordable(placed.1, self.cart, line, self.context)).collect()
    }

    fn holds(&self, (position, rule): Placed<'_>) -> bool {
        let ask = || {
            check_eligibility(rule, self.context).is_ok()
                && ConditionContext { rule, state: &self.state, context: self.context }.holds()
        };
        let Some(known) = usize::try_from(position).ok().and_then(|place| self.holding.get(place)) else {
            return ask();
        };
        let holds = known.get().unwrap_or_else(ask);
        known.set(Some(holds));
        holds
    }

    /// Applies stackable rules in sequence; of a group, the one with the largest discount, at the turn of the first one
    /// with an effect. Where candidates depend on the price, they are determined anew as it falls.
    fn in_sequence(&self, line: &Line, mut rules: Vec<Placed<'a>>) -> CataloguePrice {
        let mut priced = CataloguePrice { unit: line.list, by: Vec::new() };
        let mut done: Vec<&str> = Vec::new();
        let mut next = 0;
        while let Some((position, rule)) = rules.get(rules.partition_point(|(place, _)| *place < next)).copied() {
            next = position + 1;
            let own = price_after(rule, line, priced.unit);
            let spent = rule.group.as_deref().is_some_and(|group| done.contains(&group));
            if spent || own >= priced.unit {
                continue;
            }
            let mut turn = (position, own);
            if let Some(group) = &rule.group {
                done.push(group);
                let members = rules.iter().filter(|(_, it)| it.group.as_ref() == Some(group));
                let tried = members.map(|(place, it)| ((price_after(it, line, priced.unit), it.id), *place));
                turn = tried.min().map_or(turn, |((unit, _), place)| (place, unit));
            }
            priced.by.push((turn.0, priced.unit - turn.1));
            priced.unit = turn.1;
            if self.set.catalogue_depends_on_price() {
                rules = self.candidates(line, priced.unit);
                rules.retain(|(_, rule)| !rule.exclusive);
            }
        }
        priced
    }
}

/// A rule with its position in the order of application.
type Placed<'a> = (u32, &'a Arc<Rule>);

/// Whether a rule's campaign can pay for one unit of a line.
pub(crate) fn is_affordable(rule: &Rule, cart: &Cart, line: &Line, context: &EvaluationContext) -> bool {
    let left = rule.campaign.and_then(|id| context.campaigns.get(&id)?.left);
    let left = left.and_then(|left| to_minor(left, cart.currency));
    left.is_none_or(|left| line.list - price_after(rule, line, line.list) <= left)
}

/// Why a rule lowers no price of a cart.
pub(crate) fn refusal(rule: &Rule, cart: &Cart, context: &EvaluationContext) -> (RejectReason, Vec<RejectDetail>) {
    if let Err(reason) = check_eligibility(rule, context) {
        return (reason, Vec::new());
    }
    let state = State::new(cart, context);
    let conditions = ConditionContext { rule, state: &state, context };
    if !conditions.holds() {
        return conditions.explain();
    }
    let at_list = cart.lines.iter().filter(|line| !line.flash && line.discountable);
    let mut lowered = at_list.filter(|line| price_after(rule, line, line.list) < line.list).peekable();
    let reason = if lowered.peek().is_none() {
        RejectReason::NoMatchingItems
    } else if lowered.any(|line| is_affordable(rule, cart, line, context)) {
        RejectReason::NotCombinable
    } else {
        RejectReason::BudgetExhausted
    };
    (reason, Vec::new())
}

/// What a unit costs after a rule's actions, never below the product's floor.
pub(crate) fn price_after(rule: &Rule, line: &Line, price: i64) -> i64 {
    let mut unit = price;
    for action in &rule.actions {
        let lower = match action {
            Action::Percent { percent, items, most, .. } if items.matches_at(line, unit) => {
                percent.off(unit).max(unit.saturating_sub(*most))
            }
            Action::Amount { value, items, .. } if items.matches_at(line, unit) => unit.saturating_sub(*value).max(0),
            Action::FixedPrice { value, items, .. } if items.matches_at(line, unit) => *value,
            _ => unit,
        };
        unit = lower.max(line.floor).min(unit);
    }
    unit
}

impl RuleSet {
    /// Applies price rules to a cart whose lines have list prices only.
    pub fn apply_catalogue_prices(&self, cart: &mut Cart, context: &EvaluationContext) {
        let prices = self.catalogue_prices(cart, context);
        for (line, unit) in cart.lines.iter_mut().zip(prices).filter(|(line, _)| !line.flash) {
            line.reprice(unit);
        }
    }

    /// The catalogue price of each line's unit, in minor units of the cart's currency.
    pub fn catalogue_prices(&self, cart: &Cart, context: &EvaluationContext) -> Vec<i64> {
        let catalogue = CataloguePrices::new(self, cart, context);
        cart.lines.iter().map(|line| catalogue.price(line).unit).collect()
    }
}
