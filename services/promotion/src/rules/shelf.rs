//! The catalogue stage: what a unit costs on the shelf. The lowest of every exclusive price rule alone and all stackable
//! ones in sequence.

use std::sync::Arc;

use promox_contract::promotion::{RejectDetail, RejectReason};

use super::ask::Ask;
use super::cart::{Cart, Circumstances, Line};
use super::compile::Rule;
use super::deeds::Deed;
use super::gate::admits;
use super::index::RuleSet;
use super::numbers::to_minor;
use super::state::State;

/// A price on the shelf, and which rules made it: what each took off a unit, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelved {
    pub(crate) unit: i64,
    pub(crate) by: Vec<(Arc<Rule>, i64)>,
}

/// What a unit of a line costs by the rules that hold for the buyer, the channel and the time. Flash lines have their own
/// price. A rule whose campaign cannot pay for one unit any more does not hold: no order could be placed at its price.
pub(crate) fn price(set: &RuleSet, cart: &Cart, line: &Line, it: &Circumstances) -> Shelved {
    let none = Shelved { unit: line.list, by: Vec::new() };
    if line.flash || !line.discountable || set.shelf().is_empty() {
        return none;
    }
    let state = State::new(cart, it);
    let holds = |rule: &&&Arc<Rule>| admits(rule, it).is_ok() && Ask { rule, state: &state, circumstances: it }.holds();
    let candidates = set.shelf_candidates(line, &it.customer.segments);
    let affordable = |rule: &&&Arc<Rule>| is_affordable(rule, cart, line, it);
    let (alone, together): (Vec<&Arc<Rule>>, Vec<&Arc<Rule>>) =
        candidates.iter().filter(holds).filter(affordable).copied().partition(|rule| rule.exclusive);
    let mut best = in_sequence(line, &together);
    for rule in alone {
        let shelved = in_sequence(line, &[rule]);
        if shelved.unit < best.unit {
            best = shelved;
        }
    }
    if best.by.is_empty() { none } else { best }
}

/// Whether a rule's campaign can pay for one unit of a line.
fn is_affordable(rule: &Rule, cart: &Cart, line: &Line, it: &Circumstances) -> bool {
    let left = rule.campaign.and_then(|id| it.campaigns.get(&id)?.left);
    let left = left.and_then(|left| to_minor(left, cart.currency));
    left.is_none_or(|left| line.list - cut(rule, line, line.list) <= left)
}

/// Why a rule lowers no price of a cart.
pub(crate) fn refusal(rule: &Rule, cart: &Cart, it: &Circumstances) -> (RejectReason, Vec<RejectDetail>) {
    if let Err(reason) = admits(rule, it) {
        return (reason, Vec::new());
    }
    let state = State::new(cart, it);
    let ask = Ask { rule, state: &state, circumstances: it };
    if !ask.holds() {
        return ask.explain();
    }
    let on_shelf = cart.lines.iter().filter(|line| !line.flash && line.discountable);
    let mut lowered = on_shelf.filter(|line| cut(rule, line, line.list) < line.list).peekable();
    let reason = if lowered.peek().is_none() {
        RejectReason::NoMatchingItems
    } else if lowered.any(|line| is_affordable(rule, cart, line, it)) {
        RejectReason::NotCombinable
    } else {
        RejectReason::BudgetExhausted
    };
    (reason, Vec::new())
}

/// Rules one after the other, of a group the one that gives the most at the turn of the first that gives anything.
fn in_sequence(line: &Line, rules: &[&Arc<Rule>]) -> Shelved {
    let mut shelved = Shelved { unit: line.list, by: Vec::new() };
    let mut done: Vec<&str> = Vec::new();
    for rule in rules {
        let own = cut(rule, line, shelved.unit);
        let spent = rule.group.as_deref().is_some_and(|group| done.contains(&group));
        if spent || own >= shelved.unit {
            continue;
        }
        let mut turn: (&Arc<Rule>, i64) = (*rule, own);
        if let Some(group) = &rule.group {
            done.push(group);
            let members = rules.iter().filter(|it| it.group.as_ref() == Some(group));
            let tried = members.map(|it| (*it, cut(it, line, shelved.unit)));
            turn = tried.min_by_key(|(it, unit)| (*unit, it.id)).unwrap_or(turn);
        }
        shelved.by.push((turn.0.clone(), shelved.unit - turn.1));
        shelved.unit = turn.1;
    }
    shelved
}

/// What a unit costs after a rule's actions, never below the product's floor.
fn cut(rule: &Rule, line: &Line, price: i64) -> i64 {
    let mut standing = line.clone();
    standing.unit = price;
    for deed in &rule.deeds {
        let unit = standing.unit;
        let lower = match deed {
            Deed::Percent { percent, items, most, .. } if items.matches(&standing) => {
                percent.off(unit).max(unit.saturating_sub(*most))
            }
            Deed::Amount { value, items, .. } if items.matches(&standing) => unit.saturating_sub(*value).max(0),
            Deed::FixedPrice { value, items, .. } if items.matches(&standing) => *value,
            _ => unit,
        };
        standing.unit = lower.max(line.floor).min(unit);
    }
    standing.unit
}

impl RuleSet {
    /// Puts the prices of the catalogue's rules on a cart whose lines have list prices only.
    pub fn put_on_shelf(&self, cart: &mut Cart, it: &Circumstances) {
        let prices: Vec<i64> = cart.lines.iter().map(|line| price(self, cart, line, it).unit).collect();
        for (line, unit) in cart.lines.iter_mut().zip(prices).filter(|(line, _)| !line.flash) {
            line.reprice(unit);
        }
    }

    /// What a unit of each line costs on the shelf, in minor units of the cart's currency.
    pub(crate) fn shelf_prices(&self, cart: &Cart, it: &Circumstances) -> Vec<i64> {
        cart.lines.iter().map(|line| price(self, cart, line, it).unit).collect()
    }
}
