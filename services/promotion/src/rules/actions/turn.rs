//! One application of a promotion to a cart: the units it discounts, and the discounts rounded to money.

use crate::rules::actions::action::Discount;
use crate::rules::compile::Rule;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::exact::{Exact, Ratio};
use crate::rules::evaluate::runs::{Portion, share_out};
use crate::rules::evaluate::state::{Effect, State};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::apportion;
use crate::rules::minor_units::share as share_money;

/// One application of a promotion to a cart.
pub(crate) struct Turn<'t, 's> {
    pub(super) rule: &'t Rule,
    pub(super) state: &'t mut State<'s>,
    pub(super) context: &'t EvaluationContext,
    pub(super) effect: Effect,
    /// The largest further discount that the budget allows.
    pub(super) budget: i64,
}

/// How exact discounts are rounded to money, half a unit up. An action that sets a price gives it here: if a whole line
/// or all goods reach this price, exactly that is paid, regardless of earlier rounding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// Each line is rounded on its own. The price is that of a unit.
    Line(Option<i64>),
    /// The sum is rounded once, then shared by largest remainder. The price is that of all the goods.
    Once(Option<i64>),
}

impl Turn<'_, '_> {
    /// The units of all lines that a filter matches, in line order; within a line, the most expensive first.
    pub(super) fn units(&self, items: &Filter) -> Vec<Portion> {
        let mut found = Vec::with_capacity(self.state.cart.lines.len());
        for (line, _) in self.state.matching(self.rule, items) {
            self.state.units_of(line).into_iter().for_each(|runs| runs.most_expensive_first(line, &mut found));
        }
        found
    }

    /// Sets the discount of each unit, as far as its floor price allows.
    pub(super) fn discount_each(&self, portions: &mut [Portion], wanted: impl Fn(&Portion) -> Exact) {
        for portion in portions {
            let (off, floor) = (wanted(portion), self.state.floor_of(portion.line));
            portion.off = if floor == 0 { off } else { off.min(portion.price.less(Exact::whole(floor))) };
        }
    }

    /// The discount on a unit with this price.
    pub(super) fn discount_on(discount: Discount, price: Exact) -> Exact {
        match discount {
            Discount::Percent(percent) => percent.of_exact(price),
            Discount::Amount(amount) => price.min(Exact::whole(amount)),
            Discount::Price(new_price) => price.less(Exact::whole(new_price)),
        }
    }

    /// Shares an amount over units in proportion to their prices.
    pub(super) fn share(&self, portions: &mut [Portion], amount: Exact) {
        self.discount_each(portions, |portion| portion.price);
        share_out(portions, amount);
    }

    /// Discounts units by an amount for all of them together.
    pub(super) fn apply_shared(&mut self, mut portions: Vec<Portion>, total: i64) {
        self.share(&mut portions, Exact::whole(total));
        self.apply(portions, Rounding::Once(None), false);
    }

    /// Applies the discounts of portions, which must be in line order. If `serve` is true and there is any discount,
    /// the units are marked as served.
    pub(super) fn apply(&mut self, portions: Vec<Portion>, rounding: Rounding, serve: bool) {
        let money = self.rounded_money(&portions, rounding);
        self.apply_money(portions, money, serve);
    }

    /// Applies discounts with given amounts of money per line, within the budget and the store's cap. If they exceed
    /// these, all are reduced in proportion.
    pub(super) fn apply_money(&mut self, mut portions: Vec<Portion>, mut money: Vec<i64>, serve: bool) {
        let (allowed, total) = (self.budget.min(self.state.cap).max(0), money.iter().sum::<i64>());
        if allowed == 0 || portions.iter().all(|portion| portion.off.is_zero()) {
            return;
        }
        if total > allowed {
            let whole: Exact = portions.iter().map(Portion::amount).sum();
            money = share_money(allowed, &money, &money);
            let ratio = Ratio::of(Exact::whole(allowed), whole);
            portions.iter_mut().for_each(|portion| portion.off = portion.off.scaled(ratio));
        }
        self.effect.lines.reserve(money.len());
        for (own, money) in by_line(&portions).zip(money) {
            // Because of earlier rounding, a line whose units are at their floor may still be paid above it.
            let changed = serve || money > 0 || own.iter().any(|item| !item.off.is_zero());
            let Some(first) = own.first().filter(|_| changed) else { continue };
            self.state.discount_line(&mut self.effect, first.line, money, own, serve);
            self.budget -= money;
        }
    }

    /// The discount of each line, rounded to money, in the order of the portions.
    pub(super) fn rounded_money(&self, portions: &[Portion], rounding: Rounding) -> Vec<i64> {
        let price = match rounding {
            Rounding::Line(price) => {
                let mut money = Vec::with_capacity(portions.len());
                money.extend(by_line(portions).map(|own| self.line_money(own, price)));
                return money;
            }
            Rounding::Once(price) => price,
        };
        let line = |own: &[Portion]| own.first().map_or(0, |portion| portion.line);
        let floor_of = |own| self.exact_discount_to(own, self.state.floor_of(line(own)));
        if by_line(portions).all(|own| floor_of(own).is_some()) {
            return by_line(portions).map(|own| self.state.room_of(line(own))).collect();
        }
        let mut parts = Vec::with_capacity(portions.len());
        parts.extend(by_line(portions).map(|own| (amount_of(own), self.state.room_of(line(own)))));
        let total: Exact = parts.iter().map(|(part, _)| *part).sum();
        let exact = price.and_then(|price| {
            let cost: Exact = by_line(portions).map(|own| self.state.cost_of(line(own))).sum();
            let paid = by_line(portions).map(|own| self.state.left_of(line(own))).sum::<i64>();
            (cost == Exact::whole(price).plus(total)).then(|| paid - price)
        });
        apportion(exact.unwrap_or_else(|| total.half_up()).max(0), &parts)
    }

    /// The discount of a line, rounded to money on its own.
    fn line_money(&self, own: &[Portion], price: Option<i64>) -> i64 {
        let Some(discounted) = own.iter().find(|portion| !portion.only_serves) else { return 0 };
        let at_floor = self.exact_discount_to(own, self.state.floor_of(discounted.line));
        let exact = at_floor.or_else(|| self.exact_discount_to(own, price?));
        exact.unwrap_or_else(|| amount_of(own).half_up()).clamp(0, self.state.room_of(discounted.line))
    }

    /// The discount that brings a line exactly to a unit price, regardless of earlier rounding; `None` if its units do
    /// not all reach this price.
    fn exact_discount_to(&self, own: &[Portion], price: i64) -> Option<i64> {
        let line = own.first()?.line;
        let quantity = self.state.cart.lines.get(line).map_or(0, |line| i64::from(line.quantity));
        let least = price.saturating_mul(quantity);
        let after = Exact::whole(least).plus(amount_of(own));
        (self.state.cost_of(line) == after).then(|| self.state.left_of(line) - least)
    }
}

/// Groups portions by line. They must be in line order.
pub(super) fn by_line(portions: &[Portion]) -> impl Iterator<Item = &[Portion]> {
    portions.chunk_by(same_line)
}

pub(super) fn same_line(a: &Portion, b: &Portion) -> bool {
    a.line == b.line
}

/// The discount on units together.
pub(super) fn amount_of(portions: &[Portion]) -> Exact {
    portions.iter().map(Portion::amount).sum()
}

/// The cost of units together.
pub(super) fn cost_of(portions: &[Portion]) -> Exact {
    portions.iter().map(Portion::cost).sum()
}

/// The cost of the most expensive units of each line, at most `most` per line.
pub(super) fn cost_of_most_expensive(portions: &[Portion], most: u32) -> Exact {
    if most == u32::MAX {
        return cost_of(portions);
    }
    cost_of(&most_expensive_per_line(portions.to_vec(), most))
}

/// The most expensive units of each line, at most `most` per line. The units of a line must be sorted with the most
/// expensive first.
pub(super) fn most_expensive_per_line(mut portions: Vec<Portion>, most: u32) -> Vec<Portion> {
    if most == u32::MAX {
        return portions;
    }
    for own in portions.chunk_by_mut(same_line) {
        let mut left = most;
        for portion in own {
            portion.units = portion.units.min(left);
            left -= portion.units;
        }
    }
    portions.retain(|portion| portion.units > 0);
    portions
}
