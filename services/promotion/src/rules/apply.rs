//! A promotion's turn: its actions in order, each on what the one before it left.

use promox_contract::promotion::RejectReason;
use promox_kernel::Sku;
use rust_decimal::Decimal;

use super::cart::Circumstances;
use super::compile::Rule;
use super::deeds::{Cut, Deed};
use super::exact::{Exact, Ratio};
use super::filter::Filter;
use super::language::{Basis, Per, Scope};
use super::numbers::{Percent, apportion, share as share_money, to_minor};
use super::runs::{Portion, share_out};
use super::state::{Effect, FreeGoods, State};

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

/// A promotion's turn on a cart.
pub(crate) struct Turn<'t, 's> {
    pub(crate) rule: &'t Rule,
    pub(crate) state: &'t mut State<'s>,
    circumstances: &'t Circumstances,
    effect: Effect,
    /// What it may still give.
    purse: i64,
}

/// How what comes off units exactly becomes money, half a unit rounded up. An action that gives units a price names it: where
/// all of a line or of the goods come to it, just that is paid, whatever was rounded before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// For each line by itself; the price is a unit's.
    Line(Option<i64>),
    /// Once for all lines, then shared by largest remainder; the price is that of the goods.
    Once(Option<i64>),
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

    /// The units of all lines that a filter matches: lines in order, in each the dearest units first.
    fn units(&self, items: &Filter) -> Vec<Portion> {
        let mut found = Vec::with_capacity(self.state.cart.lines.len());
        for (line, _) in self.state.matching(self.rule, items) {
            self.state.units_of(line).into_iter().for_each(|runs| runs.dearest_first(line, &mut found));
        }
        found
    }

    /// Lets so much come off each unit, as far as its floor allows.
    pub(crate) fn cut_each(&self, portions: &mut [Portion], wanted: impl Fn(&Portion) -> Exact) {
        for portion in portions {
            let (off, floor) = (wanted(portion), self.state.floor_of(portion.line));
            portion.off = if floor == 0 { off } else { off.min(portion.price.less(Exact::whole(floor))) };
        }
    }

    /// What comes off a unit of a price.
    pub(crate) fn cut_of(cut: Cut, price: Exact) -> Exact {
        match cut {
            Cut::Percent(percent) => percent.of_exact(price),
            Cut::Amount(amount) => price.min(Exact::whole(amount)),
            Cut::Price(wanted) => price.less(Exact::whole(wanted)),
        }
    }

    /// Lets an amount come off units in proportion to what they cost.
    fn share(&self, portions: &mut [Portion], amount: Exact) {
        self.cut_each(portions, |portion| portion.price);
        share_out(portions, amount);
    }

    /// Gives an amount on units together.
    fn give_shared(&mut self, mut portions: Vec<Portion>, total: i64) {
        self.share(&mut portions, Exact::whole(total));
        self.give(portions, Rounding::Once(None), false);
    }

    /// Takes off units what portions say, which come in the order of lines. If it is anything, the units serve an
    /// application if told.
    pub(crate) fn give(&mut self, portions: Vec<Portion>, rounding: Rounding, serve: bool) {
        let money = self.in_money(&portions, rounding);
        self.give_money(portions, money, serve);
    }

    /// The same with what comes off each line in money, within the purse and the store's cap; what is over comes off all in
    /// proportion.
    fn give_money(&mut self, mut portions: Vec<Portion>, mut money: Vec<i64>, serve: bool) {
        let (allowed, total) = (self.purse.min(self.state.cap).max(0), money.iter().sum::<i64>());
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
            // A line at its floor can still be paid above it, by what was rounded before.
            let changed = serve || money > 0 || own.iter().any(|it| !it.off.is_zero());
            let Some(first) = own.first().filter(|_| changed) else { continue };
            self.state.take(&mut self.effect, first.line, money, own, serve);
            self.purse -= money;
        }
    }

    /// What comes off each line in money, of lines in the order of portions.
    fn in_money(&self, portions: &[Portion], rounding: Rounding) -> Vec<i64> {
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

    /// What comes off a line in money when it is rounded by itself.
    fn line_money(&self, own: &[Portion], price: Option<i64>) -> i64 {
        let Some(discounted) = own.iter().find(|portion| !portion.only_serves) else { return 0 };
        let at_floor = self.comes_to(own, self.state.floor_of(discounted.line));
        let landed = at_floor.or_else(|| self.comes_to(own, price?));
        landed.unwrap_or_else(|| amount_of(own).half_up()).clamp(0, self.state.room_of(discounted.line))
    }

    /// What comes off a line when all its units come to just a price each, whatever was rounded before; `None` when they do
    /// not.
    fn comes_to(&self, own: &[Portion], price: i64) -> Option<i64> {
        let line = own.first()?.line;
        let quantity = self.state.cart.lines.get(line).map_or(0, |line| i64::from(line.quantity));
        let least = price.saturating_mul(quantity);
        let after = Exact::whole(least).plus(amount_of(own));
        (self.state.cost_of(line) == after).then(|| self.state.left_of(line) - least)
    }

    fn ship_cheaper(&mut self, amount: i64) {
        self.purse -= self.state.take_shipping(&mut self.effect, amount, self.purse);
    }

    /// A percentage of the dearest units of each line, at most an amount for all of them.
    fn percent_off_items(&mut self, percent: Percent, items: &Filter, most: i64, units: u32) {
        let mut portions = dearest_of_lines(self.units(items), units);
        self.cut_each(&mut portions, |portion| percent.of_exact(portion.price));
        let money = self.in_money(&portions, Rounding::Line(None));
        if money.iter().sum::<i64>() <= most {
            return self.give_money(portions, money, false);
        }
        share_out(&mut portions, Exact::whole(most));
        self.give(portions, Rounding::Once(None), false);
    }

    fn amount_off(&mut self, value: i64, scope: Scope, items: &Filter, per: Per, units: u32) {
        let mut portions = self.units(items);
        let off_unit = |portion: &Portion| Self::cut_of(Cut::Amount(value), portion.price);
        match (scope, per) {
            (_, Per::Order) => {
                let most = cost_of_dearest(&portions, units).half_up();
                self.give_shared(portions, value.min(most));
            }
            (Scope::Items, Per::Unit) => {
                let mut counted = dearest_of_lines(portions, units);
                self.cut_each(&mut counted, off_unit);
                self.give(counted, Rounding::Line(None), false);
            }
            (Scope::Items, Per::Line) => {
                for own in portions.chunk_by_mut(same_line) {
                    let amount = cost_of_dearest(own, units).min(Exact::whole(value));
                    self.share(own, amount);
                }
                self.give(portions, Rounding::Line(None), false);
            }
            (_, Per::Unit) => {
                let counted = dearest_of_lines(portions.clone(), units);
                let total: Exact = counted.iter().map(|portion| off_unit(portion).times(portion.units)).sum();
                self.give_shared(portions, total.half_up());
            }
            (_, Per::Line) => {
                let of_line = |own: &[Portion]| cost_of_dearest(own, units).min(Exact::whole(value));
                let total: Exact = by_line(&portions).map(of_line).sum();
                self.give_shared(portions, total.half_up());
            }
        }
    }

    fn fixed_price(&mut self, value: i64, whole: bool, items: &Filter) {
        let mut portions = self.units(items);
        if whole {
            let excess = cost_of(&portions).less(Exact::whole(value));
            self.share(&mut portions, excess);
            self.give(portions, Rounding::Once(Some(value)), false);
        } else {
            self.cut_each(&mut portions, |portion| Self::cut_of(Cut::Price(value), portion.price));
            self.give(portions, Rounding::Line(Some(value)), false);
        }
    }

    fn tiered(&mut self, basis: Basis, items: &Filter, once: bool, tiers: &[(i64, Cut)]) {
        let portions = self.units(items);
        let measure = |own: &[Portion]| match basis {
            Basis::Subtotal | Basis::LineSubtotal => cost_of(own).half_down(),
            Basis::Quantity | Basis::LineQuantity => own.iter().map(|portion| i64::from(portion.units)).sum(),
        };
        let reached = |own: &[Portion]| {
            let measure = measure(own);
            tiers.iter().rposition(|(from, _)| *from <= measure)
        };
        if matches!(basis, Basis::Subtotal | Basis::Quantity) {
            let Some((_, cut)) = reached(&portions).and_then(|tier| tiers.get(tier)) else { return };
            let (portions, rounding) = self.tier(portions, *cut, once);
            return self.give(portions, rounding, false);
        }
        // Lines at different tiers: each tier is shared and rounded by itself, and all are given at once.
        let tier_of: Vec<Option<usize>> = by_line(&portions).map(reached).collect();
        let mut given: Vec<(Vec<Portion>, i64)> = Vec::with_capacity(tier_of.len());
        for (tier, (_, cut)) in tiers.iter().enumerate() {
            let here = by_line(&portions).zip(&tier_of).filter(|(_, reached)| **reached == Some(tier));
            let own: Vec<Portion> = here.flat_map(|(own, _)| own).copied().collect();
            let (own, rounding) = self.tier(own, *cut, once);
            if own.iter().all(|portion| portion.off.is_zero()) {
                continue;
            }
            let money = self.in_money(&own, rounding);
            given.extend(by_line(&own).map(<[Portion]>::to_vec).zip(money));
        }
        given.sort_by_key(|(own, _)| own.first().map(|portion| portion.line));
        let (portions, money): (Vec<Vec<Portion>>, Vec<i64>) = given.into_iter().unzip();
        self.give_money(portions.concat(), money, false);
    }

    /// A tier's benefit on its lines: an amount or percentage once for them together, or for each.
    fn tier(&self, mut portions: Vec<Portion>, cut: Cut, once: bool) -> (Vec<Portion>, Rounding) {
        let rounding = match (cut, once) {
            (Cut::Percent(percent), true) => {
                let amount = percent.of_exact(cost_of(&portions)).half_up();
                self.share(&mut portions, Exact::whole(amount));
                Rounding::Once(None)
            }
            (Cut::Amount(amount), true) => {
                self.share(&mut portions, Exact::whole(amount));
                Rounding::Once(None)
            }
            (Cut::Amount(amount), false) => {
                portions.chunk_by_mut(same_line).for_each(|own| self.share(own, Exact::whole(amount)));
                Rounding::Line(None)
            }
            (Cut::Percent(_), false) => {
                self.cut_each(&mut portions, |portion| Self::cut_of(cut, portion.price));
                Rounding::Line(None)
            }
            (Cut::Price(price), _) => {
                self.cut_each(&mut portions, |portion| Self::cut_of(cut, portion.price));
                Rounding::Line(Some(price))
            }
        };
        (portions, rounding)
    }

    /// One unit of the lowest price, be it nothing; of equals the earlier line's.
    fn cheapest(&mut self, items: &Filter, cut: Cut) {
        let units = self.units(items);
        let place = |it: &Portion| {
            let served =
                self.state.units_of(it.line).and_then(|runs| runs.as_slice().get(it.run)).map(|run| run.served);
            (self.state.rank_of(it.line), served, it.line)
        };
        let cheapest = units.into_iter().min_by(|a, b| a.price.cmp(&b.price).then_with(|| place(a).cmp(&place(b))));
        let Some(unit) = cheapest else { return };
        let mut portions = vec![Portion { units: 1, ..unit }];
        self.cut_each(&mut portions, |portion| Self::cut_of(cut, portion.price));
        self.give(portions, Rounding::Line(None), false);
    }

    /// Goods for free, whole or not at all: while in stock beside what the cart has of them, and within the budget.
    fn gift(&mut self, sku: &Sku, quantity: u32) {
        let Some(stock) = self.circumstances.gifts.get(sku) else { return };
        let price = to_minor(stock.price, self.state.cart.currency).unwrap_or(i64::MAX);
        let there = self.state.wanted_of(&stock.sku) + u64::from(quantity) <= u64::from(stock.available);
        if there && price.saturating_mul(i64::from(quantity)) <= self.purse {
            let goods = FreeGoods { sku: stock.sku.clone(), quantity, price };
            self.purse -= self.state.give(&mut self.effect, goods);
        }
    }

    fn multiply_points(&mut self, factor: Decimal) {
        let product = self.effect.points.unwrap_or(Decimal::ONE).saturating_mul(factor);
        self.effect.points = Some(product).filter(|product| *product != Decimal::ONE);
    }
}

/// Portions by their lines; they come in the order of lines.
fn by_line(portions: &[Portion]) -> impl Iterator<Item = &[Portion]> {
    portions.chunk_by(same_line)
}

fn same_line(a: &Portion, b: &Portion) -> bool {
    a.line == b.line
}

/// What comes off units together.
fn amount_of(portions: &[Portion]) -> Exact {
    portions.iter().map(Portion::amount).sum()
}

/// What units cost together.
fn cost_of(portions: &[Portion]) -> Exact {
    portions.iter().map(Portion::cost).sum()
}

/// What the dearest units of each line cost, at most so many of a line.
fn cost_of_dearest(portions: &[Portion], most: u32) -> Exact {
    if most == u32::MAX {
        return cost_of(portions);
    }
    cost_of(&dearest_of_lines(portions.to_vec(), most))
}

/// The dearest units of each line, at most so many of a line; they come dearest first.
fn dearest_of_lines(mut portions: Vec<Portion>, most: u32) -> Vec<Portion> {
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
