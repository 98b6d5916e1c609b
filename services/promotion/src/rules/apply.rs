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
use super::numbers::{Percent, apportion, share, to_minor};
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
    let mut turn = Turn { rule, state, circumstances, effect: Effect::default(), purse };
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
            Deed::Percent { percent, scope, items, most, units } => {
                let lines = self.lines(items);
                if *scope == Scope::Order {
                    let amount = percent.of_exact(self.cost_of(&lines, *units)).half_up();
                    self.give_shared(&lines, amount.min(*most));
                } else {
                    self.percent_off_items(*percent, &lines, *most, *units);
                }
            }
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

    /// The lines that a filter means, in order.
    fn lines(&self, filter: &Filter) -> Vec<usize> {
        self.state.matching(self.rule, filter).map(|(i, _)| i).collect()
    }

    /// At most so many units of each line, the dearest.
    fn dearest(&self, lines: &[usize], units: u32) -> Vec<Portion> {
        let mut found = Vec::with_capacity(lines.len());
        for i in lines {
            self.state.units_of(*i).into_iter().for_each(|runs| runs.dearest(*i, units, &mut found));
        }
        found
    }

    /// What at most so many units of each line still cost, the dearest.
    fn cost_of(&self, lines: &[usize], units: u32) -> Exact {
        if units == u32::MAX {
            return lines.iter().map(|i| self.state.cost_of(*i)).sum();
        }
        self.dearest(lines, units).iter().map(Portion::cost).sum()
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

    /// An amount shared over all units of lines in proportion to what they still cost.
    fn shared(&self, lines: &[usize], amount: Exact) -> Vec<Portion> {
        let mut portions = self.dearest(lines, u32::MAX);
        self.cut_each(&mut portions, |portion| portion.price);
        share_out(&mut portions, amount);
        portions
    }

    /// Shares an amount over all units of lines.
    fn give_shared(&mut self, lines: &[usize], total: i64) {
        let portions = self.shared(lines, Exact::whole(total));
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
            money = share(allowed, &money, &money);
            if let Some(ratio) = Ratio::between(Exact::whole(allowed).min(whole), whole) {
                portions.iter_mut().for_each(|portion| portion.off = portion.off.scaled(ratio));
            }
        }
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
        let lines: Vec<(usize, Exact)> =
            by_line(portions).filter_map(|of| Some((of.first()?.line, of.iter().map(Portion::amount).sum()))).collect();
        let at_floor = |(line, part): &(usize, Exact)| self.comes_to(*line, *part, self.state.floor_of(*line));
        let whole = match rounding {
            Rounding::Line(price) => {
                let landed = |it: &(usize, Exact)| at_floor(it).or_else(|| self.comes_to(it.0, it.1, price?));
                let money = |it: &(usize, Exact)| landed(it).unwrap_or_else(|| it.1.half_up());
                return lines.iter().map(|it| money(it).clamp(0, self.state.room_of(it.0))).collect();
            }
            Rounding::Once(price) => price,
        };
        let rooms: Vec<i64> = lines.iter().map(|(line, _)| self.state.room_of(*line)).collect();
        if lines.iter().all(|it| at_floor(it).is_some()) {
            return rooms;
        }
        let total: Exact = lines.iter().map(|(_, part)| *part).sum();
        let comes_to = |price: &i64| {
            let cost: Exact = lines.iter().map(|(line, _)| self.state.cost_of(*line)).sum();
            cost == Exact::whole(*price).plus(total)
        };
        let paid: i64 = lines.iter().map(|(line, _)| self.state.left_of(*line)).sum();
        let landed = whole.filter(comes_to).map(|price| paid - price);
        let parts: Vec<Exact> = lines.into_iter().map(|(_, part)| part).collect();
        apportion(landed.unwrap_or_else(|| total.half_up()).max(0), &parts, &rooms)
    }

    /// What comes off a line when its units come to just a price each, whatever was rounded before; `None` when they do not.
    fn comes_to(&self, line: usize, part: Exact, price: i64) -> Option<i64> {
        let quantity = self.state.cart.lines.get(line).map_or(0, |line| i64::from(line.quantity));
        let least = price.saturating_mul(quantity);
        (self.state.cost_of(line) == Exact::whole(least).plus(part)).then(|| self.state.left_of(line) - least)
    }

    fn ship_cheaper(&mut self, amount: i64) {
        self.purse -= self.state.take_shipping(&mut self.effect, amount, self.purse);
    }

    /// A percentage of the dearest units of each line.
    fn percent_of(&self, percent: Percent, lines: &[usize], units: u32) -> Vec<Portion> {
        let mut portions = self.dearest(lines, units);
        self.cut_each(&mut portions, |portion| percent.of_exact(portion.price));
        portions
    }

    /// A percentage of each line, at most an amount for all of them.
    fn percent_off_items(&mut self, percent: Percent, lines: &[usize], most: i64, units: u32) {
        let mut portions = self.percent_of(percent, lines, units);
        let money = self.in_money(&portions, Rounding::Line(None));
        if money.iter().sum::<i64>() <= most {
            return self.give_money(portions, money, false);
        }
        share_out(&mut portions, Exact::whole(most));
        self.give(portions, Rounding::Once(None), false);
    }

    fn amount_off(&mut self, value: i64, scope: Scope, items: &Filter, per: Per, units: u32) {
        let lines = self.lines(items);
        let cost_of = |i: &usize| self.cost_of(&[*i], units);
        if per == Per::Order {
            let most = self.cost_of(&lines, units).half_up();
            return self.give_shared(&lines, value.min(most));
        }
        if scope == Scope::Items && per == Per::Unit {
            let mut portions = self.dearest(&lines, units);
            self.cut_each(&mut portions, |portion| Self::cut_of(Cut::Amount(value), portion.price));
            return self.give(portions, Rounding::Line(None), false);
        }
        if scope == Scope::Items {
            let amounts = lines.iter().map(|i| cost_of(i).min(Exact::whole(value)));
            let portions = self.for_each(&lines, amounts);
            return self.give(portions, Rounding::Line(None), false);
        }
        let amounts = lines.iter().map(|i| match per {
            Per::Unit => {
                let amount = |it: &Portion| Self::cut_of(Cut::Amount(value), it.price).times(it.units);
                self.dearest(&[*i], units).iter().map(amount).sum()
            }
            Per::Line | Per::Order => cost_of(i).min(Exact::whole(value)),
        });
        let total = amounts.sum::<Exact>().half_up();
        self.give_shared(&lines, total);
    }

    /// An amount for each line, shared over its units.
    fn for_each(&self, lines: &[usize], amounts: impl Iterator<Item = Exact>) -> Vec<Portion> {
        lines.iter().zip(amounts).flat_map(|(i, amount)| self.shared(&[*i], amount)).collect()
    }

    fn fixed_price(&mut self, value: i64, whole: bool, items: &Filter) {
        let lines = self.lines(items);
        if whole {
            let excess = self.cost_of(&lines, u32::MAX).less(Exact::whole(value));
            let portions = self.shared(&lines, excess);
            self.give(portions, Rounding::Once(Some(value)), false);
        } else {
            let portions = self.over_price(&lines, value);
            self.give(portions, Rounding::Line(Some(value)), false);
        }
    }

    /// What units cost beyond a price.
    fn over_price(&self, lines: &[usize], price: i64) -> Vec<Portion> {
        let mut portions = self.dearest(lines, u32::MAX);
        self.cut_each(&mut portions, |portion| Self::cut_of(Cut::Price(price), portion.price));
        portions
    }

    fn tiered(&mut self, basis: Basis, items: &Filter, once: bool, tiers: &[(i64, Cut)]) {
        let lines: Vec<usize> = self.lines(items);
        let quantity = |i: &usize| self.state.cart.lines.get(*i).map_or(0, |line| i64::from(line.quantity));
        let measure = |lines: &[usize]| match basis {
            Basis::Subtotal | Basis::LineSubtotal => self.cost_of(lines, u32::MAX).half_down(),
            Basis::Quantity | Basis::LineQuantity => lines.iter().map(quantity).sum(),
        };
        let reached = |lines: &[usize]| {
            let measure = measure(lines);
            tiers.iter().rposition(|(from, _)| *from <= measure)
        };
        let whole = matches!(basis, Basis::Subtotal | Basis::Quantity);
        let all = if whole { reached(&lines) } else { None };
        let tier_of: Vec<Option<usize>> = lines.iter().map(|i| if whole { all } else { reached(&[*i]) }).collect();
        let mut given: Vec<(Portion, Option<i64>)> = Vec::new();
        for (tier, (_, cut)) in tiers.iter().enumerate() {
            let here = |(i, of): (&usize, &Option<usize>)| (*of == Some(tier)).then_some(*i);
            let of_tier: Vec<usize> = lines.iter().zip(&tier_of).filter_map(here).collect();
            let (portions, rounding) = self.tier(&of_tier, *cut, once);
            let money = self.in_money(&portions, rounding);
            for (of, money) in by_line(&portions).zip(money) {
                given.extend(of.iter().enumerate().map(|(i, it)| (*it, (i == 0).then_some(money))));
            }
        }
        given.sort_by_key(|(portion, _)| portion.line);
        let money = given.iter().filter_map(|(_, money)| *money).collect();
        self.give_money(given.into_iter().map(|(portion, _)| portion).collect(), money, false);
    }

    /// A tier's benefit on its lines: an amount or percentage once for them together, or for each.
    fn tier(&self, lines: &[usize], cut: Cut, once: bool) -> (Vec<Portion>, Rounding) {
        match (cut, once) {
            (Cut::Percent(percent), true) => {
                let amount = percent.of_exact(self.cost_of(lines, u32::MAX)).half_up();
                (self.shared(lines, Exact::whole(amount)), Rounding::Once(None))
            }
            (Cut::Amount(amount), true) => (self.shared(lines, Exact::whole(amount)), Rounding::Once(None)),
            (Cut::Percent(percent), false) => (self.percent_of(percent, lines, u32::MAX), Rounding::Line(None)),
            (Cut::Amount(amount), false) => {
                (self.for_each(lines, std::iter::repeat(Exact::whole(amount))), Rounding::Line(None))
            }
            (Cut::Price(price), _) => (self.over_price(lines, price), Rounding::Line(Some(price))),
        }
    }

    /// One unit of the lowest price, be it nothing; of equals the earlier line's.
    fn cheapest(&mut self, items: &Filter, cut: Cut) {
        let units = self.dearest(&self.lines(items), u32::MAX);
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
    portions.chunk_by(|a, b| a.line == b.line)
}
