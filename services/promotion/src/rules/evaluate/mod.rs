//! The evaluator: takes a cart, its buyer, the time and the promotions, and returns the discounts, with reasons for
//! promotions that do not apply.
//!
//! Stackable promotions are applied in order, each to the result of the earlier ones; of a group, only the one with the
//! largest discount is applied. Each exclusive promotion is tried alone. The buyer gets whichever is better: the best
//! exclusive promotion or all stackable ones, which win a tie. Equal inputs give equal results, because nothing here
//! uses a clock, a store or random numbers.

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

use crate::rules::actions::apply_actions;
use crate::rules::catalog::index::RuleSet;
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
    let mut run =
        Run { set, cart, context, detail, requested: Vec::new(), refused: Vec::new(), offers: Offers::default() };
    run.resolve(named);
    let (stackable, exclusive) = run.eligible();
    let mut state = State::new(cart, context);
    let alone = run.try_exclusive(&exclusive, &mut state);
    let stacked = run.apply_stackable(&stackable, &mut state);
    let winners = run.choose(alone, stacked, &mut state);
    report::report(set, cart, (context, detail), winners, run.refused, run.offers.best(&state))
}

/// An evaluation in progress.
struct Run<'a> {
    set: &'a RuleSet,
    cart: &'a Cart,
    context: &'a EvaluationContext,
    detail: Detail,
    /// The promotions that the buyer named by code, each with its position.
    requested: Vec<(u32, &'a NamedCode)>,
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
                (None, Some((position, _))) if self.requested.iter().any(|(known, _)| *known == position) => {
                    RejectReason::NotCombinable
                }
                (None, Some((position, _))) => {
                    self.requested.push((position, code));
                    continue;
                }
            };
            let rule = found.map(|(_, rule)| &**rule);
            self.refused.push(Rejected { rule, named: Some(code), reason, details: Vec::new() });
        }
    }

    /// The code by which the buyer named a promotion, if any.
    fn named(&self, position: u32) -> Option<&'a NamedCode> {
        self.requested.iter().find(|(known, _)| *known == position).map(|(_, code)| *code)
    }

    /// The eligible promotions, stackable and exclusive ones, each in order of application.
    fn eligible(&mut self) -> (Vec<Placed<'a>>, Vec<Placed<'a>>) {
        let mut positions = match self.detail {
            Detail::Named => {
                [self.set.candidates(self.cart, &self.context.customer.segments), self.set.near(self.cart)].concat()
            }
            Detail::Everything => (0..).take(self.set.cart().len()).collect(),
        };
        positions.extend(self.requested.iter().map(|(position, _)| *position));
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

    /// Whether the reason is reported if this promotion does not apply.
    fn is_reported(&self, position: u32) -> bool {
        self.detail == Detail::Everything || self.named(position).is_some()
    }

    fn refuse(&mut self, (position, rule): Placed<'a>, reason: RejectReason, details: Vec<RejectDetail>) {
        if self.is_reported(position) {
            self.refused.push(Rejected { rule: Some(rule), named: self.named(position), reason, details });
        }
    }

    /// Applies a promotion to the current state. Records the reason if it has no effect.
    fn attempt(&mut self, placed: Placed<'a>, state: &mut State<'a>) -> Option<Effect> {
        let (position, rule) = placed;
        let conditions = ConditionContext { rule, state, context: self.context };
        if !conditions.holds() {
            self.offers.consider(rule, conditions);
            if self.is_reported(position) {
                let (reason, details) = conditions.explain();
                self.refuse(placed, reason, details);
            }
            return None;
        }
        match apply_actions(rule, state, self.context) {
            Ok(effect) if effect.is_any() => return Some(effect),
            Ok(effect) => {
                state.undo(&effect);
                self.refuse(placed, RejectReason::NoMatchingItems, Vec::new());
            }
            Err(reason) => self.refuse(placed, reason, Vec::new()),
        }
        None
    }

    /// Tries each exclusive promotion alone and undoes it. Returns those with an effect, the largest discount first.
    fn try_exclusive(&mut self, exclusive: &[Placed<'a>], state: &mut State<'a>) -> Vec<(Placed<'a>, Effect)> {
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

    /// Applies all stackable promotions in order. Returns those with an effect.
    fn apply_stackable(&mut self, stackable: &[Placed<'a>], state: &mut State<'a>) -> Vec<(Placed<'a>, Effect)> {
        let mut applied = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for (i, placed) in stackable.iter().enumerate() {
            let group = placed.1.group.as_deref();
            if group.is_some_and(|group| done.contains(&group)) {
                continue;
            }
            let Some(effect) = self.attempt(*placed, state) else { continue };
            let mut winner = (*placed, effect);
            if let Some(group) = group {
                done.push(group);
                let rest = stackable.get(i + 1..).unwrap_or_default();
                let others = rest.iter().filter(|(_, rule)| rule.group.as_deref() == Some(group));
                winner = self.best_of_group(winner, others, state);
            }
            state.charge(winner.0.1, winner.1.amount(), self.context);
            applied.push(winner);
        }
        applied
    }

    /// Applies the promotion of a group that has the largest discount; of equal ones, the one with the lower id. It
    /// takes the place in the order of the first member that has an effect.
    fn best_of_group<'m>(
        &mut self,
        first: (Placed<'a>, Effect),
        others: impl Iterator<Item = &'m Placed<'a>>,
        state: &mut State<'a>,
    ) -> (Placed<'a>, Effect)
    where
        'a: 'm,
    {
        state.undo(&first.1);
        let mut best = first;
        for placed in others {
            let Some(effect) = self.attempt(*placed, state) else { continue };
            state.undo(&effect);
            let (amount, best_amount) = (effect.amount(), best.1.amount());
            let better = amount > best_amount || (amount == best_amount && placed.1.id < best.0.1.id);
            let loser = if better { std::mem::replace(&mut best, (*placed, effect)).0 } else { *placed };
            self.refuse(loser, RejectReason::NotCombinable, Vec::new());
        }
        let again = apply_actions(best.0.1, state, self.context);
        (best.0, again.unwrap_or_default())
    }

    /// Chooses the better of the best exclusive promotion and all stackable ones, and rejects the others.
    fn choose(
        &mut self,
        alone: Vec<(Placed<'a>, Effect)>,
        stacked: Vec<(Placed<'a>, Effect)>,
        state: &mut State<'a>,
    ) -> Vec<Applied<'a>> {
        let stacked_amount: i64 = stacked.iter().map(|(_, effect)| effect.amount()).sum();
        let best = alone.first().map(|(_, effect)| effect.amount());
        let exclusive = best.is_some_and(|best| best > stacked_amount || stacked.is_empty());
        let mut alone = alone.into_iter();
        let winners = if exclusive {
            let (placed, _) = alone.next().unzip();
            *state = State::new(self.cart, self.context);
            let effect = placed.and_then(|(_, rule): Placed<'a>| apply_actions(rule, state, self.context).ok());
            stacked.into_iter().for_each(|(loser, _)| self.refuse(loser, RejectReason::NotCombinable, Vec::new()));
            placed.zip(effect).into_iter().collect()
        } else {
            stacked
        };
        alone.for_each(|(loser, _)| self.refuse(loser, RejectReason::NotCombinable, Vec::new()));
        winners
            .into_iter()
            .map(|((position, rule), effect)| Applied { rule, effect, named: self.named(position) })
            .collect()
    }
}
