//! A promotion's turn on a cart: which units it discounts, and what that comes to in money.

use crate::rules::actions::action::Discount;
use crate::rules::compile::Rule;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::exact::{Exact, Ratio};
use crate::rules::evaluate::runs::{Portion, share_out};
use crate::rules::evaluate::state::{Effect, State};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::apportion;
use crate::rules::minor_units::share as share_money;

/// A promotion's turn on a cart.
pub(crate) struct Turn<'t, 's> {
    pub(super) rule: &'t Rule,
    pub(super) state: &'t mut State<'s>,
    pub(super) context: &'t EvaluationContext,
    pub(super) effect: Effect,
    /// The largest discount that is still allowed.
    pub(super) budget: i64,
}

/// How exact discounts are rounded to money, half a unit up. An action that sets a price names it here: if a whole line
/// or all goods reach it, exactly that is paid, regardless of earlier rounding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// For each line on its own; the price is that of a unit.
    Line(Option<i64>),
    /// Once for all lines, then shared by largest remainder; the price is that of the goods.
    Once(Option<i64>),
}

impl Turn<'_, '_> {
    /// The units of all lines that a filter matches: lines in order, in each the dearest units first.
    pub(super) fn units(&self, items: &Filter) -> Vec<Portion> {
        let mut found = Vec::with_capacity(self.state.cart.lines.len());
        for (line, _) in self.state.matching(self.rule, items) {
            self.state.units_of(line).into_iter().for_each(|runs| runs.dearest_first(line, &mut found));
        }
        found
    }

    /// Sets the discount of each unit, as far as its floor allows.
    pub(super) fn discount_each(&self, portions: &mut [Portion], wanted: impl Fn(&Portion) -> Exact) {
        for portion in portions {
            let (off, floor) = (wanted(portion), self.state.floor_of(portion.line));
            portion.off = if floor == 0 { off } else { off.min(portion.price.less(Exact::whole(floor))) };
        }
    }

    /// The discount on a unit of a price.
    pub(super) fn discount_on(discount: Discount, price: Exact) -> Exact {
        match discount {
            Discount::Percent(percent) => percent.of_exact(price),
            Discount::Amount(amount) => price.min(Exact::whole(amount)),
            Discount::Price(wanted) => price.less(Exact::whole(wanted)),
        }
    }

    /// Shares an amount over units in proportion to their prices.
    pub(super) fn share(&self, portions: &mut [Portion], amount: Exact) {
        self.discount_each(portions, |portion| portion.price);
        share_out(portions, amount);
    }

    /// Discounts units together by a whole amount.
    pub(super) fn give_shared(&mut self, mut portions: Vec<Portion>, total: i64) {
        self.share(&mut portions, Exact::whole(total));
        self.give(portions, Rounding::Once(None), false);
    }

    /// Applies the discounts of portions, which are in the order of lines. If there is any discount, the units serve an
    /// application, if requested.
    pub(super) fn give(&mut self, portions: Vec<Portion>, rounding: Rounding, serve: bool) {
        let money = self.in_money(&portions, rounding);
        self.give_money(portions, money, serve);
    }

    /// Applies discounts with given amounts of money per line, within the budget and the store's cap; an excess is
    /// deducted from all in proportion.
    pub(super) fn give_money(&mut self, mut portions: Vec<Portion>, mut money: Vec<i64>, serve: bool) {
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
            // A line at its floor can still be paid above it, by earlier rounding.
            let changed = serve || money > 0 || own.iter().any(|item| !item.off.is_zero());
            let Some(first) = own.first().filter(|_| changed) else { continue };
            self.state.take(&mut self.effect, first.line, money, own, serve);
            self.budget -= money;
        }
    }

    /// The discount of each line in money, in the order of the portions.
    pub(super) fn in_money(&self, portions: &[Portion], rounding: Rounding) -> Vec<i64> {
        let price = match rounding {
            Rounding::Line(price) => {
                let mut money = Vec::with_capacity(portions.len());
                money.extend(by_line(portions).map(|own| self.line_money(own, price)));
                return money;
            }
            Rounding::Once(price) => price,
        };
        let line = |own: &[Portion]| own.first().map_or(0, |portion| portion.line);
        let floor_of = |own| self.comes_to(own, self.state.floor_of(line(own)));
        if by_line(portions).all(|own| floor_of(own).is_some()) {
            return by_line(portions).map(|own| self.state.room_of(line(own))).collect();
        }
        let mut parts = Vec::with_capacity(portions.len());
        parts.extend(by_line(portions).map(|own| (amount_of(own), self.state.room_of(line(own)))));
        let total: Exact = parts.iter().map(|(part, _)| *part).sum();
        let landed = price.and_then(|price| {
            let cost: Exact = by_line(portions).map(|own| self.state.cost_of(line(own))).sum();
            let paid = by_line(portions).map(|own| self.state.left_of(line(own))).sum::<i64>();
            (cost == Exact::whole(price).plus(total)).then(|| paid - price)
        });
        apportion(landed.unwrap_or_else(|| total.half_up()).max(0), &parts)
    }

    /// The discount of a line in money when it is rounded on its own.
    fn line_money(&self, own: &[Portion], price: Option<i64>) -> i64 {
        let Some(discounted) = own.iter().find(|portion| !portion.only_serves) else { return 0 };
        let at_floor = self.comes_to(own, self.state.floor_of(discounted.line));
        let landed = at_floor.or_else(|| self.comes_to(own, price?));
        landed.unwrap_or_else(|| amount_of(own).half_up()).clamp(0, self.state.room_of(discounted.line))
    }

    /// The discount of a line if all its units reach the same price, regardless of earlier rounding; `None` if they do
    /// not.
    fn comes_to(&self, own: &[Portion], price: i64) -> Option<i64> {
        let line = own.first()?.line;
        let quantity = self.state.cart.lines.get(line).map_or(0, |line| i64::from(line.quantity));
        let least = price.saturating_mul(quantity);
        let after = Exact::whole(least).plus(amount_of(own));
        (self.state.cost_of(line) == after).then(|| self.state.left_of(line) - least)
    }
}

/// Portions by line. They must be in the order of lines.
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

/// The cost of the dearest units of each line, at most `most` of a line.
pub(super) fn cost_of_dearest(portions: &[Portion], most: u32) -> Exact {
    if most == u32::MAX {
        return cost_of(portions);
    }
    cost_of(&dearest_of_lines(portions.to_vec(), most))
}

/// The dearest units of each line, at most `most` of a line. The units of a line must be dearest first.
pub(super) fn dearest_of_lines(mut portions: Vec<Portion>, most: u32) -> Vec<Portion> {
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
