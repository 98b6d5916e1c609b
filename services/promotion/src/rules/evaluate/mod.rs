//! The evaluator: takes a cart, its buyer, the time and the promotions, and returns the discounts with reasons.
//!
//! Stackable promotions act one after the other, each on what the earlier ones left; of a group the one that gives the
//! most. Each exclusive one is tried alone. The buyer gets the better, of equals the stackable ones. The same inputs give
//! the same answer: nothing here knows a clock, a store or a random number.

pub(crate) mod cart;
pub(crate) mod conditions;
pub(crate) mod context;
pub(crate) mod eligibility;
pub(crate) mod exact;
pub(crate) mod limits;
mod offers;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod state;

use std::sync::Arc;

use promox_contract::promotion::{Evaluation, RejectDetail, RejectReason};

use crate::rules::actions::act;
use crate::rules::catalogue::index::RuleSet;
use crate::rules::compile::Rule;
use crate::rules::evaluate::cart::Cart;
use crate::rules::evaluate::conditions::ConditionContext;
use crate::rules::evaluate::context::{Detail, EvaluationContext, NamedCode};
use crate::rules::evaluate::eligibility::check_eligibility;
use crate::rules::evaluate::offers::Offers;
use crate::rules::evaluate::report::{Applied, Rejected};
use crate::rules::evaluate::state::{Effect, State};

/// Evaluates promotions on a cart.
pub fn evaluate(
    set: &RuleSet,
    cart: &Cart,
    context: &EvaluationContext,
    named: &[NamedCode],
    detail: Detail,
) -> Evaluation {
    let mut run = Run { set, cart, context, detail, asked: Vec::new(), refused: Vec::new(), offers: Offers::default() };
    run.resolve(named);
    let (stackable, exclusive) = run.eligible();
    let mut state = State::new(cart, context);
    let alone = run.best_alone(&exclusive, &mut state);
    let together = run.together(&stackable, &mut state);
    let given = run.better(alone, together, &mut state);
    report::report(set, cart, (context, detail), given, run.refused, run.offers.best(&state))
}

/// An evaluation in progress.
struct Run<'a> {
    set: &'a RuleSet,
    cart: &'a Cart,
    context: &'a EvaluationContext,
    detail: Detail,
    /// Promotions that the buyer named by code, by position.
    asked: Vec<(u32, &'a NamedCode)>,
    refused: Vec<Rejected<'a>>,
    offers: Offers<'a>,
}

/// A promotion with its position in the order of application.
type Placed<'a> = (u32, &'a Arc<Rule>);

impl<'a> Run<'a> {
    /// Resolves the codes. A promotion applies once: a second coupon for it is rejected.
    fn resolve(&mut self, named: &'a [NamedCode]) {
        for code in named {
            let found = code.promotion.and_then(|id| self.set.position(id));
            let found = found.and_then(|position| self.set.rule(position).map(|rule| (position, rule)));
            let usable = found.filter(|(_, rule)| code.coupon || !rule.coupon_only);
            let reason = match (code.refused, usable) {
                (Some(reason), _) => reason,
                (None, None) => RejectReason::Unknown,
                (None, Some((position, _))) if self.asked.iter().any(|(known, _)| *known == position) => {
                    RejectReason::NotCombinable
                }
                (None, Some((position, _))) => {
                    self.asked.push((position, code));
                    continue;
                }
            };
            let rule = found.map(|(_, rule)| &**rule);
            self.refused.push(Rejected { rule, named: Some(code), reason, details: Vec::new() });
        }
    }

    fn named(&self, position: u32) -> Option<&'a NamedCode> {
        self.asked.iter().find(|(known, _)| *known == position).map(|(_, code)| *code)
    }

    /// The eligible promotions, stackable and exclusive ones, each in order of application.
    fn eligible(&mut self) -> (Vec<Placed<'a>>, Vec<Placed<'a>>) {
        let mut positions = match self.detail {
            Detail::Named => {
                [self.set.candidates(self.cart, &self.context.customer.segments), self.set.near(self.cart)].concat()
            }
            Detail::Everything => (0..).take(self.set.cart().len()).collect(),
        };
        positions.extend(self.asked.iter().map(|(position, _)| *position));
        positions.sort_unstable();
        positions.dedup();
        let (mut stackable, mut exclusive) = (Vec::with_capacity(positions.len()), Vec::new());
        for position in positions {
            let Some(rule) = self.set.rule(position) else { continue };
            let on_request = rule.coupon_only || rule.code.is_some();
            if on_request && self.named(position).is_none() {
                continue;
            }
            match check_eligibility(rule, self.context) {
                Err(reason) => self.refuse((position, rule), reason, Vec::new()),
                Ok(()) if rule.exclusive => exclusive.push((position, rule)),
                Ok(()) => stackable.push((position, rule)),
            }
        }
        (stackable, exclusive)
    }

    fn is_told(&self, position: u32) -> bool {
        self.detail == Detail::Everything || self.named(position).is_some()
    }

    fn refuse(&mut self, (position, rule): Placed<'a>, reason: RejectReason, details: Vec<RejectDetail>) {
        if self.is_told(position) {
            self.refused.push(Rejected { rule: Some(rule), named: self.named(position), reason, details });
        }
    }

    /// Applies a promotion to the current state. Notes the reason when it has no effect.
    fn attempt(&mut self, placed: Placed<'a>, state: &mut State<'a>) -> Option<Effect> {
        let (position, rule) = placed;
        let conditions = ConditionContext { rule, state, context: self.context };
        if !conditions.holds() {
            self.offers.consider(rule, conditions);
            if self.is_told(position) {
                let (reason, details) = conditions.explain();
                self.refuse(placed, reason, details);
            }
            return None;
        }
        match act(rule, state, self.context) {
            Ok(effect) if effect.is_any() => return Some(effect),
            Ok(effect) => {
                state.undo(&effect);
                self.refuse(placed, RejectReason::NoMatchingItems, Vec::new());
            }
            Err(reason) => self.refuse(placed, reason, Vec::new()),
        }
        None
    }

    /// Tries each exclusive promotion alone. Returns those with an effect, the best first.
    fn best_alone(&mut self, exclusive: &[Placed<'a>], state: &mut State<'a>) -> Vec<(Placed<'a>, Effect)> {
        let mut tried = Vec::new();
        for placed in exclusive {
            if let Some(effect) = self.attempt(*placed, state) {
                state.undo(&effect);
                tried.push((*placed, effect));
            }
        }
        tried.sort_by_key(|(_, effect)| std::cmp::Reverse(effect.amount()));
        tried
    }

    /// Applies all stackable promotions in order.
    fn together(&mut self, stackable: &[Placed<'a>], state: &mut State<'a>) -> Vec<(Placed<'a>, Effect)> {
        let mut acted = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for (i, placed) in stackable.iter().enumerate() {
            let group = placed.1.group.as_deref();
            if group.is_some_and(|group| done.contains(&group)) {
                continue;
            }
            let Some(effect) = self.attempt(*placed, state) else { continue };
            let mut turn = (*placed, effect);
            if let Some(group) = group {
                done.push(group);
                let rest = stackable.get(i + 1..).unwrap_or_default();
                let others = rest.iter().filter(|(_, rule)| rule.group.as_deref() == Some(group));
                turn = self.best_of_group(turn, others, state);
            }
            state.charge(turn.0.1, turn.1.amount(), self.context);
            acted.push(turn);
        }
        acted
    }

    /// Of a group the one that gives the most, of equals the lower id. Its turn is that of the highest member that has an
    /// effect: one that does not apply changes nothing.
    fn best_of_group<'m>(
        &mut self,
        highest: (Placed<'a>, Effect),
        others: impl Iterator<Item = &'m Placed<'a>>,
        state: &mut State<'a>,
    ) -> (Placed<'a>, Effect)
    where
        'a: 'm,
    {
        state.undo(&highest.1);
        let mut best = highest;
        for placed in others {
            let Some(effect) = self.attempt(*placed, state) else { continue };
            state.undo(&effect);
            let (amount, least) = (effect.amount(), best.1.amount());
            let better = amount > least || (amount == least && placed.1.id < best.0.1.id);
            let loser = if better { std::mem::replace(&mut best, (*placed, effect)).0 } else { *placed };
            self.refuse(loser, RejectReason::NotCombinable, Vec::new());
        }
        let again = act(best.0.1, state, self.context);
        (best.0, again.unwrap_or_default())
    }

    /// Chooses the better of the best exclusive promotion and all stackable ones, and rejects the others.
    fn better(
        &mut self,
        alone: Vec<(Placed<'a>, Effect)>,
        together: Vec<(Placed<'a>, Effect)>,
        state: &mut State<'a>,
    ) -> Vec<Applied<'a>> {
        let stacked: i64 = together.iter().map(|(_, effect)| effect.amount()).sum();
        let best = alone.first().map(|(_, effect)| effect.amount());
        let exclusive = best.is_some_and(|best| best > stacked || together.is_empty());
        let mut alone = alone.into_iter();
        let winners = if exclusive {
            let (placed, _) = alone.next().unzip();
            *state = State::new(self.cart, self.context);
            let effect = placed.and_then(|(_, rule): Placed<'a>| act(rule, state, self.context).ok());
            together.into_iter().for_each(|(loser, _)| self.refuse(loser, RejectReason::NotCombinable, Vec::new()));
            placed.zip(effect).into_iter().collect()
        } else {
            together
        };
        alone.for_each(|(loser, _)| self.refuse(loser, RejectReason::NotCombinable, Vec::new()));
        winners
            .into_iter()
            .map(|((position, rule), effect)| Applied { rule, effect, named: self.named(position) })
            .collect()
    }
}
