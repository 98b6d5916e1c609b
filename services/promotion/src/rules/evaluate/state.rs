//! The state of a cart between promotions, and the effect of each, which can be undone.
//!
//! The buyer pays whole minor units for a line. In addition, each unit has an exact price of its own, which the next
//! promotion sees. Both start equal and differ only by rounding.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use promox_contract::ids::CampaignId;
use promox_kernel::Sku;
use rust_decimal::Decimal;

use crate::rules::compile::Rule;
use crate::rules::evaluate::cart::{Cart, Line};
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::runs::{Portion, Runs};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::{Percent, to_minor};

/// A cart after some promotions have been applied.
#[derive(Clone, Debug)]
pub(crate) struct State<'a> {
    pub(crate) cart: &'a Cart,
    lines: Vec<LineState>,
    /// The cost of the goods; cleared when a line changes.
    goods: Cell<Option<i64>>,
    pub(crate) shipping: i64,
    /// The discount on goods that the store's cap still allows.
    pub(crate) cap: i64,
    /// Remaining budgets of campaigns whose promotions have used some.
    campaigns: Vec<(CampaignId, i64)>,
    gifts: Vec<(Sku, u32)>,
    /// For each line, the first line with the same SKU; computed on first use.
    ranks: OnceCell<Vec<usize>>,
    /// The changed lines as they were before the latest effect, in the order of the changes.
    journal: Vec<(usize, LineState)>,
}

/// The current state of a line.
#[derive(Clone, Debug)]
struct LineState {
    /// What the buyer pays for the line, in minor units.
    left: i64,
    /// The exact prices of its units.
    units: Runs,
}

/// A free gift.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FreeGoods {
    pub(crate) sku: Sku,
    pub(crate) quantity: u32,
    /// The catalog price of a unit.
    pub(crate) price: i64,
}

/// The changes that a promotion made to a cart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// Discounts on lines, one entry per line and action.
    pub(crate) lines: Vec<(usize, i64)>,
    pub(crate) goods: i64,
    pub(crate) shipping: i64,
    pub(crate) gifts: Vec<FreeGoods>,
    gift_value: i64,
    pub(crate) points: Option<Decimal>,
}

impl Effect {
    /// Its value to the buyer, which is charged to budgets: discounts on goods and shipping, and gifts at their catalog
    /// price.
    pub(crate) fn amount(&self) -> i64 {
        self.goods.saturating_add(self.shipping).saturating_add(self.gift_value)
    }

    /// Whether anything changed.
    pub(crate) fn is_any(&self) -> bool {
        self.amount() > 0 || !self.gifts.is_empty() || self.points.is_some()
    }
}

impl<'a> State<'a> {
    /// The state of a cart before any promotion.
    pub(crate) fn new(cart: &'a Cart, context: &EvaluationContext) -> Self {
        let goods = cart.lines.iter().map(|line| line.subtotal).sum();
        let cap = match context.max_discount_percent {
            None => i64::MAX,
            Some(percent) => Percent::new(percent).map_or(0, |percent| percent.at_most(goods)),
        };
        let initial = |line: &Line| LineState { left: line.subtotal, units: Runs::of(line) };
        Self {
            cart,
            lines: cart.lines.iter().map(initial).collect(),
            goods: Cell::new(Some(goods)),
            shipping: cart.shipping,
            cap,
            campaigns: Vec::new(),
            gifts: Vec::new(),
            ranks: OnceCell::new(),
            journal: Vec::new(),
        }
    }

    /// The current cost of the goods, rounded once for all of them.
    pub(crate) fn goods(&self) -> i64 {
        let sum = || self.lines.iter().map(|line| line.units.cost()).sum::<Exact>().half_down();
        let goods = self.goods.get().unwrap_or_else(sum);
        self.goods.set(Some(goods));
        goods
    }

    /// What the buyer currently pays for a line.
    pub(crate) fn left_of(&self, i: usize) -> i64 {
        self.lines.get(i).map_or(0, |line| line.left)
    }

    /// The largest discount that a line's price and floor allow.
    pub(crate) fn room_of(&self, i: usize) -> i64 {
        self.cart.lines.get(i).map_or(0, |line| line.room(self.left_of(i)))
    }

    /// The units of a line.
    pub(crate) fn units_of(&self, i: usize) -> Option<&Runs> {
        self.lines.get(i).map(|line| &line.units)
    }

    /// The exact cost of a line's units.
    pub(crate) fn cost_of(&self, i: usize) -> Exact {
        self.units_of(i).map_or(Exact::ZERO, Runs::cost)
    }

    /// The floor price of a line's units.
    pub(crate) fn floor_of(&self, i: usize) -> i64 {
        self.cart.lines.get(i).map_or(0, |line| line.floor)
    }

    /// The sort key of a line's units among units with equal prices: by the first line of their SKU, with those of
    /// flash sales last.
    pub(crate) fn rank_of(&self, i: usize) -> (usize, bool) {
        let ranks = self.ranks.get_or_init(|| {
            let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.cart.lines.len());
            let place = |(i, line): (usize, &'a Line)| *first.entry(line.key.fold.as_str()).or_insert(i);
            self.cart.lines.iter().enumerate().map(place).collect()
        });
        (ranks.get(i).copied().unwrap_or(i), self.cart.lines.get(i).is_some_and(|line| line.flash))
    }

    /// The lines that a promotion may discount and a filter matches, in order.
    pub(crate) fn matching<'s>(
        &'s self,
        rule: &'s Rule,
        filter: &'s Filter,
    ) -> impl Iterator<Item = (usize, &'a Line)> + Clone + use<'a, 's> {
        let eligible = |line: &Line| line.discountable && (!line.flash || rule.include_flash);
        self.cart.lines.iter().enumerate().filter(move |(_, line)| eligible(line) && filter.matches(line))
    }

    /// The remaining budget of a promotion or its campaign, whichever is lower; `None` if neither has one.
    pub(crate) fn budget(&self, rule: &Rule, context: &EvaluationContext) -> Option<i64> {
        let currency = self.cart.currency;
        let own = context.allowances.get(&rule.id).and_then(|allowance| allowance.budget_left);
        let own = own.and_then(|left| to_minor(left, currency)).or(rule.budget);
        let campaigns = rule.campaign.and_then(|id| self.campaign(id, context));
        own.into_iter().chain(campaigns).min().map(|left| left.max(0))
    }

    fn campaign(&self, id: CampaignId, context: &EvaluationContext) -> Option<i64> {
        let known = self.campaigns.iter().find(|(known, _)| *known == id).map(|(_, left)| *left);
        let initial_budget = || context.campaigns.get(&id)?.left;
        known.or_else(|| initial_budget().and_then(|left| to_minor(left, self.cart.currency)))
    }

    /// Charges an amount to the budget of a promotion's campaign.
    pub(crate) fn charge(&mut self, rule: &Rule, amount: i64, context: &EvaluationContext) {
        let Some(id) = rule.campaign else { return };
        let Some(left) = self.campaign(id, context) else { return };
        self.campaigns.retain(|(known, _)| *known != id);
        self.campaigns.push((id, left - amount));
    }

    /// The number of units of a SKU in the cart and among its gifts.
    pub(crate) fn units_of_sku(&self, sku: &Sku) -> u64 {
        let bought = self.cart.lines.iter().filter(|line| line.sku == *sku).map(|line| u64::from(line.quantity));
        let given = self.gifts.iter().filter(|(known, _)| known == sku).map(|(_, quantity)| u64::from(*quantity));
        bought.chain(given).sum()
    }

    /// Discounts a line by an amount of money and its units by the exact discounts of `off`. Marks these units as
    /// served if `serve` is true.
    pub(crate) fn discount_line(&mut self, effect: &mut Effect, i: usize, money: i64, off: &[Portion], serve: bool) {
        let Some(line) = self.lines.get_mut(i) else { return };
        let before = LineState { left: line.left, units: line.units.discount(off, serve) };
        self.journal.push((i, before));
        line.left -= money;
        self.goods.set(None);
        self.cap -= money;
        effect.goods += money;
        if money > 0 {
            effect.lines.push((i, money));
        }
    }

    /// Discounts shipping by at most `most`. Returns the discount.
    pub(crate) fn discount_shipping(&mut self, effect: &mut Effect, amount: i64, most: i64) -> i64 {
        let taken = amount.min(most).min(self.shipping).max(0);
        self.shipping -= taken;
        effect.shipping += taken;
        taken
    }

    /// Adds a gift. Returns its value.
    pub(crate) fn add_gift(&mut self, effect: &mut Effect, goods: FreeGoods) -> i64 {
        let value = goods.price.saturating_mul(i64::from(goods.quantity));
        effect.gift_value = effect.gift_value.saturating_add(value);
        self.gifts.push((goods.sku.clone(), goods.quantity));
        effect.gifts.push(goods);
        value
    }

    /// Begins an effect; earlier ones can no longer be undone.
    pub(crate) fn begin_effect(&mut self) -> Effect {
        self.journal.clear();
        Effect::default()
    }

    /// Undoes the latest effect.
    pub(crate) fn undo(&mut self, effect: &Effect) {
        for (i, before) in self.journal.drain(..).rev() {
            if let Some(line) = self.lines.get_mut(i) {
                *line = before;
            }
        }
        self.goods.set(None);
        self.cap += effect.goods;
        self.shipping += effect.shipping;
        self.gifts.truncate(self.gifts.len() - effect.gifts.len());
    }
}
