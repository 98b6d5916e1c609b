//! The CATALOG stage: catalog prices of units. A price is the lowest of each exclusive price rule alone and all
//! stackable ones in sequence.

use std::cell::Cell;
use std::sync::Arc;

use promox_contract::promotion::{RejectDetail, RejectReason};

use crate::rules::actions::action::Action;
use crate::rules::catalog::index::RuleSet;
use crate::rules::compile::Rule;
use crate::rules::evaluate::cart::{Cart, Line};
use crate::rules::evaluate::conditions::ConditionContext;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::eligibility::check_eligibility;
use crate::rules::evaluate::state::State;
use crate::rules::minor_units::to_minor;

/// The catalog price of a unit, and the rules that led to it: the position of each and its discount, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatalogPrice {
    pub(crate) unit: i64,
    pub(crate) by: Vec<(u32, i64)>,
}

/// Catalog prices for one buyer at one time in one channel. Only rules that could match a line are examined, and the
/// conditions of each are evaluated once.
pub(crate) struct CatalogPricing<'a> {
    set: &'a RuleSet,
    cart: &'a Cart,
    context: &'a EvaluationContext,
    state: State<'a>,
    /// Whether each rule applies; `None` until it is known.
    applies: Vec<Cell<Option<bool>>>,
}

impl<'a> CatalogPricing<'a> {
    /// Catalog prices for the buyer, channel and time of a cart.
    pub(crate) fn new(set: &'a RuleSet, cart: &'a Cart, context: &'a EvaluationContext) -> Self {
        Self {
            set,
            cart,
            context,
            state: State::new(cart, context),
            applies: vec![Cell::new(None); set.catalog().len()],
        }
    }

    /// The catalog price of a line's unit. Flash sale lines keep their own price. A rule whose campaign cannot pay for
    /// one more unit does not apply, because no order could be placed at its price.
    pub(crate) fn price(&self, line: &Line) -> CatalogPrice {
        let mut best = CatalogPrice { unit: line.list, by: Vec::new() };
        if line.flash || !line.discountable || self.set.catalog().is_empty() {
            return best;
        }
        let positions = self.set.catalog_candidates(line, &self.context.customer.segments);
        let (alone, together): Split<'_> =
            self.applying(line, positions).into_iter().partition(|(_, rule)| rule.exclusive);
        let (alone_at_price, at_price): Split<'_> =
            self.at_price(line, line.list).into_iter().partition(|(_, rule)| rule.exclusive);
        if !(together.is_empty() && at_price.is_empty()) {
            best = self.in_sequence(line, &together, at_price);
        }
        let alone = in_order(&alone, alone_at_price);
        for (position, rule) in alone {
            let unit = price_after(rule, line, line.list);
            if unit < best.unit {
                best = CatalogPrice { unit, by: vec![(position, line.list - unit)] };
            }
        }
        best
    }

    /// Of the rules at these positions, those that apply and whose campaigns can pay for a unit of a line.
    fn applying(&self, line: &Line, positions: Vec<u32>) -> Vec<Placed<'a>> {
        let rules = positions.into_iter().filter_map(|position| Some((position, self.set.catalog_rule(position)?)));
        rules.filter(|placed| self.holds(*placed) && is_affordable(placed.1, self.cart, line, self.context)).collect()
    }

    fn holds(&self, (position, rule): Placed<'_>) -> bool {
        let evaluate = || {
            check_eligibility(rule, self.context).is_ok()
                && ConditionContext { rule, state: &self.state, context: self.context }.holds()
        };
        let Some(known) = usize::try_from(position).ok().and_then(|place| self.applies.get(place)) else {
            return evaluate();
        };
        let holds = known.get().unwrap_or_else(evaluate);
        known.set(Some(holds));
        holds
    }

    /// The rules for a range of prices that contains a line's current price, in order.
    fn at_price(&self, line: &Line, unit: i64) -> Vec<Placed<'a>> {
        self.applying(line, self.set.catalog_candidates_at(unit))
    }

    /// Applies stackable rules in sequence: `fixed`, which are candidates at any price, and those for ranges of prices, of
    /// which `at_price` are the ones at the list price. Of a group, only the rule with the largest discount is applied, in
    /// the place of the first rule with an effect. When the price falls, only the rules for ranges are determined again.
    fn in_sequence(&self, line: &Line, fixed: &[Placed<'a>], at_price: Vec<Placed<'a>>) -> CatalogPrice {
        let mut priced = CatalogPrice { unit: line.list, by: Vec::new() };
        let mut done: Vec<&str> = Vec::new();
        let mut rules = in_order(fixed, at_price);
        let mut next = 0;
        while let Some((position, rule)) = rules.get(rules.partition_point(|(place, _)| *place < next)).copied() {
            next = position + 1;
            let own = price_after(rule, line, priced.unit);
            let group_is_done = rule.group.as_deref().is_some_and(|group| done.contains(&group));
            if group_is_done || own >= priced.unit {
                continue;
            }
            let mut chosen = (position, own);
            if let Some(group) = &rule.group {
                done.push(group);
                let members = rules.iter().filter(|(_, it)| it.group.as_ref() == Some(group));
                let tried = members.map(|(place, it)| ((price_after(it, line, priced.unit), it.id), *place));
                chosen = tried.min().map_or(chosen, |((unit, _), place)| (place, unit));
            }
            priced.by.push((chosen.0, priced.unit - chosen.1));
            priced.unit = chosen.1;
            if self.set.catalog_depends_on_price() {
                let mut at_price = self.at_price(line, priced.unit);
                at_price.retain(|(_, rule)| !rule.exclusive);
                if !(at_price.is_empty() && rules.len() == fixed.len()) {
                    rules = in_order(fixed, at_price);
                }
            }
        }
        priced
    }
}

/// Exclusive rules, and those that stack.
type Split<'a> = (Vec<Placed<'a>>, Vec<Placed<'a>>);

/// Both lists of rules in order of application, without duplicates. `fixed` is in this order.
fn in_order<'a>(fixed: &[Placed<'a>], mut others: Vec<Placed<'a>>) -> Vec<Placed<'a>> {
    if others.is_empty() {
        return fixed.to_vec();
    }
    others.extend_from_slice(fixed);
    others.sort_unstable_by_key(|(position, _)| *position);
    others.dedup_by_key(|(position, _)| *position);
    others
}

/// A rule with its position in the order of application.
type Placed<'a> = (u32, &'a Arc<Rule>);

/// Whether a rule's campaign can pay for one unit of a line.
pub(crate) fn is_affordable(rule: &Rule, cart: &Cart, line: &Line, context: &EvaluationContext) -> bool {
    let left = rule.campaign.and_then(|id| context.campaigns.get(&id)?.left);
    let left = left.and_then(|left| to_minor(left, cart.currency));
    left.is_none_or(|left| line.list - price_after(rule, line, line.list) <= left)
}

/// The reason why a rule lowers no price in a cart, with details.
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

/// The price of a unit after a rule's actions, never below its floor price.
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
    pub fn apply_catalog_prices(&self, cart: &mut Cart, context: &EvaluationContext) {
        let prices = self.catalog_prices(cart, context);
        for (line, unit) in cart.lines.iter_mut().zip(prices).filter(|(line, _)| !line.flash) {
            line.reprice(unit);
        }
    }

    /// The catalog price of a unit of each line, in minor units of the cart's currency.
    pub fn catalog_prices(&self, cart: &Cart, context: &EvaluationContext) -> Vec<i64> {
        let catalog = CatalogPricing::new(self, cart, context);
        cart.lines.iter().map(|line| catalog.price(line).unit).collect()
    }
}
