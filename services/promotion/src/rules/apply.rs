//! A promotion's turn: its actions in order, each on what the one before it left.

use promox_contract::promotion::RejectReason;
use promox_kernel::Sku;
use rust_decimal::Decimal;

use super::cart::Circumstances;
use super::compile::Rule;
use super::deeds::{Cut, Deed};
use super::filter::Filter;
use super::language::{Basis, Per, Scope};
use super::numbers::{FINE, fine_units, from_fine, half_up, narrow, share, to_minor};
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

/// The price of `part` of a line's units, rounded half-up.
pub(crate) fn price_of(left: i64, part: u32, quantity: u32) -> i64 {
    if part >= quantity { left } else { narrow(half_up(fine_units(left, part, quantity), FINE)) }
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
                    let whole = self.cost_of(&lines, *units);
                    self.give_shared(&lines, percent.of_fine(whole).min(*most));
                } else {
                    let each =
                        |i: usize| percent.of_units(self.left(i), u32::min(*units, self.quantity(i)), self.quantity(i));
                    let shares = lines.iter().map(|i| each(*i)).collect();
                    self.give_each(&lines, shares, *most);
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

    /// The lines that a filter means and that still cost something, in order.
    fn lines(&self, filter: &Filter) -> Vec<usize> {
        self.meant(filter).filter(|i| self.left(*i) > 0).collect()
    }

    /// The lines that a filter means, those that cost nothing any more among them.
    fn meant<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = usize> + 'a {
        self.state.matching(self.rule, filter).map(|(i, _)| i)
    }

    /// What at most so many units of each line still cost, in fine parts.
    fn cost_of(&self, lines: &[usize], units: u32) -> i128 {
        let cost = |i: &usize| fine_units(self.left(*i), u32::min(units, self.quantity(*i)), self.quantity(*i));
        lines.iter().map(cost).sum()
    }

    pub(crate) fn left(&self, i: usize) -> i64 {
        self.state.left_of(i)
    }

    pub(crate) fn quantity(&self, i: usize) -> u32 {
        self.state.cart.lines.get(i).map_or(0, |line| line.quantity)
    }

    fn rooms(&self, lines: &[usize]) -> Vec<i64> {
        let room = |i: &usize| self.state.cart.lines.get(*i).map_or(0, |line| line.room(self.left(*i)));
        lines.iter().map(room).collect()
    }

    /// Shares an amount over lines in proportion to what they still cost.
    fn give_shared(&mut self, lines: &[usize], total: i64) -> i64 {
        let shares = self.shared(lines, total);
        self.take(lines, shares)
    }

    /// Shares an amount over lines by weights.
    pub(crate) fn give_weighted(&mut self, lines: &[usize], total: i64, weights: &[i64]) -> i64 {
        let shares = share(total, weights, &self.rooms(lines));
        self.take(lines, shares)
    }

    /// Gives each line its own amount as far as it has room, at most `most` together.
    pub(crate) fn give_each(&mut self, lines: &[usize], wanted: Vec<i64>, most: i64) -> i64 {
        let mut shares = self.within_rooms(lines, wanted);
        if shares.iter().sum::<i64>() > most {
            shares = share(most, &self.costs(lines), &shares);
        }
        self.take(lines, shares)
    }

    fn costs(&self, lines: &[usize]) -> Vec<i64> {
        lines.iter().map(|i| self.left(*i)).collect()
    }

    fn shared(&self, lines: &[usize], total: i64) -> Vec<i64> {
        share(total, &self.costs(lines), &self.rooms(lines))
    }

    fn within_rooms(&self, lines: &[usize], wanted: Vec<i64>) -> Vec<i64> {
        wanted.into_iter().zip(self.rooms(lines)).map(|(wanted, room)| wanted.min(room).max(0)).collect()
    }

    fn take(&mut self, lines: &[usize], shares: Vec<i64>) -> i64 {
        let taken = self.state.take(&mut self.effect, lines, shares, self.purse);
        self.purse -= taken;
        taken
    }

    /// Lets units serve the application that just gave something.
    pub(crate) fn use_units(&mut self, i: usize, units: u32) {
        self.state.use_units(&mut self.effect, i, units);
    }

    fn ship_cheaper(&mut self, amount: i64) {
        self.purse -= self.state.take_shipping(&mut self.effect, amount, self.purse);
    }

    fn amount_off(&mut self, value: i64, scope: Scope, items: &Filter, per: Per, units: u32) {
        let lines = self.lines(items);
        if per == Per::Order {
            let most = from_fine(self.cost_of(&lines, units));
            self.give_shared(&lines, value.min(most));
            return;
        }
        let each = |i: usize| {
            let part = u32::min(units, self.quantity(i));
            let wanted = if per == Per::Unit { value.saturating_mul(i64::from(part)) } else { value };
            wanted.min(price_of(self.left(i), part, self.quantity(i)))
        };
        let shares: Vec<i64> = lines.iter().map(|i| each(*i)).collect();
        if scope == Scope::Order {
            self.give_shared(&lines, shares.iter().sum());
        } else {
            self.give_each(&lines, shares, i64::MAX);
        }
    }

    fn fixed_price(&mut self, value: i64, whole: bool, items: &Filter) {
        let lines = self.lines(items);
        if whole {
            let goods: i64 = lines.iter().map(|i| self.left(*i)).sum();
            self.give_shared(&lines, goods - value);
        } else {
            self.give_each(&lines, lines.iter().map(|i| self.over(*i, value)).collect(), i64::MAX);
        }
    }

    /// What a line costs beyond a price a unit.
    fn over(&self, i: usize, price: i64) -> i64 {
        self.left(i).saturating_sub(price.saturating_mul(i64::from(self.quantity(i))))
    }

    fn tiered(&mut self, basis: Basis, items: &Filter, once: bool, tiers: &[(i64, Cut)]) {
        let lines: Vec<usize> = self.meant(items).collect();
        let measure = |i: &usize| match basis {
            Basis::Subtotal | Basis::LineSubtotal => self.left(*i),
            Basis::Quantity | Basis::LineQuantity => i64::from(self.quantity(*i)),
        };
        let reached = |measure: i64| tiers.iter().rposition(|(from, _)| *from <= measure);
        let all = reached(lines.iter().map(measure).sum());
        let whole = matches!(basis, Basis::Subtotal | Basis::Quantity);
        let tier_of: Vec<Option<usize>> = lines.iter().map(|i| if whole { all } else { reached(measure(i)) }).collect();
        let mut shares = vec![0; lines.len()];
        for (tier, (_, cut)) in tiers.iter().enumerate() {
            let here = |(place, of): (usize, &Option<usize>)| (*of == Some(tier)).then_some(place);
            let places: Vec<usize> = tier_of.iter().enumerate().filter_map(here).collect();
            let of_tier: Vec<usize> = places.iter().filter_map(|place| lines.get(*place).copied()).collect();
            for (place, amount) in places.into_iter().zip(self.tier_shares(&of_tier, *cut, once)) {
                shares.get_mut(place).into_iter().for_each(|share| *share = amount);
            }
        }
        self.take(&lines, shares);
    }

    /// A tier's benefit on its lines: an amount or percentage once for them together, or for each.
    fn tier_shares(&self, lines: &[usize], cut: Cut, once: bool) -> Vec<i64> {
        let goods: i64 = lines.iter().map(|i| self.left(*i)).sum();
        let each = |amount: &dyn Fn(usize) -> i64| self.within_rooms(lines, lines.iter().map(|i| amount(*i)).collect());
        match (cut, once) {
            (Cut::Percent(percent), true) => self.shared(lines, percent.of(goods)),
            (Cut::Amount(amount), true) => self.shared(lines, amount),
            (Cut::Percent(percent), false) => each(&|i| percent.of(self.left(i))),
            (Cut::Amount(amount), false) => each(&|_| amount),
            (Cut::Price(price), _) => each(&|i| self.over(i, price)),
        }
    }

    /// One unit of the lowest price, be it nothing; of equals the earlier line's.
    fn cheapest(&mut self, items: &Filter, cut: Cut) {
        let costs = |i: usize| (i128::from(self.left(i)), i128::from(self.quantity(i).max(1)));
        let cheapest = self.meant(items).min_by(|a, b| {
            let ((left_a, units_a), (left_b, units_b)) = (costs(*a), costs(*b));
            (left_a * units_b).cmp(&(left_b * units_a)).then(a.cmp(b))
        });
        let Some(i) = cheapest else { return };
        let (left, quantity) = (self.left(i), self.quantity(i));
        let amount = match cut {
            Cut::Percent(percent) => percent.of_units(left, 1, quantity),
            Cut::Amount(amount) => amount.min(price_of(left, 1, quantity)),
            Cut::Price(price) => price_of(left, 1, quantity) - price,
        };
        self.give_each(&[i], vec![amount], i64::MAX);
    }

    /// Goods for free, whole or not at all: while in stock beside what the cart has of them, and within the budget.
    fn gift(&mut self, sku: &Sku, quantity: u32) {
        let Some(stock) = self.circumstances.gifts.get(sku) else { return };
        let price = to_minor(stock.price, self.state.cart.currency).unwrap_or(i64::MAX);
        let there = self.state.wanted_of(sku) + u64::from(quantity) <= u64::from(stock.available);
        if there && price.saturating_mul(i64::from(quantity)) <= self.purse {
            let goods = FreeGoods { sku: sku.clone(), quantity, price };
            self.purse -= self.state.give(&mut self.effect, goods);
        }
    }

    fn multiply_points(&mut self, factor: Decimal) {
        let product = self.effect.points.unwrap_or(Decimal::ONE).saturating_mul(factor);
        self.effect.points = Some(product).filter(|product| *product != Decimal::ONE);
    }
}
