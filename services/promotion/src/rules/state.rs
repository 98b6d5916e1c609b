//! A cart as promotions leave it, and what each of them did: an effect that can be taken back.

use promox_contract::ids::CampaignId;
use promox_kernel::Sku;
use rust_decimal::Decimal;

use super::cart::{Cart, Circumstances, Line};
use super::compile::Rule;
use super::filter::Filter;
use super::numbers::{Percent, share, to_minor};

/// A cart as it stands after some promotions.
#[derive(Clone, Debug)]
pub(crate) struct State<'a> {
    pub(crate) cart: &'a Cart,
    /// What each line still costs.
    left: Vec<i64>,
    /// Units of each line that served no application yet.
    free: Vec<u32>,
    pub(crate) shipping: i64,
    /// What may still be taken off the goods under the store's cap.
    cap: i64,
    /// What is left of campaigns' budgets, once a promotion of theirs took some.
    campaigns: Vec<(CampaignId, i64)>,
    gifts: Vec<(Sku, u32)>,
}

/// Goods that come free.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FreeGoods {
    pub(crate) sku: Sku,
    pub(crate) quantity: u32,
    /// The catalogue's price of one.
    pub(crate) price: i64,
}

/// What a promotion did to a cart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// What came off lines, each line once an action.
    pub(crate) lines: Vec<(usize, i64)>,
    used: Vec<(usize, u32)>,
    pub(crate) goods: i64,
    pub(crate) shipping: i64,
    pub(crate) gifts: Vec<FreeGoods>,
    gift_value: i64,
    pub(crate) points: Option<Decimal>,
}

impl Effect {
    /// What it is worth to the buyer, and takes out of budgets: goods, shipping, and gifts at their catalogue price.
    pub(crate) fn amount(&self) -> i64 {
        self.goods.saturating_add(self.shipping).saturating_add(self.gift_value)
    }

    /// Whether it did anything.
    pub(crate) fn is_any(&self) -> bool {
        self.amount() > 0 || !self.gifts.is_empty() || self.points.is_some()
    }
}

impl<'a> State<'a> {
    /// A cart before any promotion.
    pub(crate) fn new(cart: &'a Cart, circumstances: &Circumstances) -> Self {
        let left: Vec<i64> = cart.lines.iter().map(|line| line.subtotal).collect();
        let cap = match circumstances.max_discount_percent {
            None => i64::MAX,
            Some(percent) => Percent::new(percent).map_or(0, |percent| percent.at_most(left.iter().sum())),
        };
        Self {
            cart,
            free: cart.lines.iter().map(|line| line.quantity).collect(),
            left,
            shipping: cart.shipping,
            cap,
            campaigns: Vec::new(),
            gifts: Vec::new(),
        }
    }

    /// What the goods still cost.
    pub(crate) fn goods(&self) -> i64 {
        self.left.iter().sum()
    }

    /// What a line still costs.
    pub(crate) fn left_of(&self, i: usize) -> i64 {
        self.left.get(i).copied().unwrap_or(0)
    }

    /// Units of a line that served no application yet.
    pub(crate) fn free_of(&self, i: usize) -> u32 {
        self.free.get(i).copied().unwrap_or(0)
    }

    /// The lines that a promotion sees through a filter, in order.
    pub(crate) fn matching<'s>(
        &'s self,
        rule: &'s Rule,
        filter: &'s Filter,
    ) -> impl Iterator<Item = (usize, &'a Line)> + Clone + use<'a, 's> {
        let seen = |line: &Line| line.discountable && (!line.flash || rule.include_flash);
        self.cart.lines.iter().enumerate().filter(move |(_, line)| seen(line) && filter.matches(line))
    }

    /// What is left of a promotion's budget and its campaign's; `None` without either.
    pub(crate) fn budget(&self, rule: &Rule, circumstances: &Circumstances) -> Option<i64> {
        let currency = self.cart.currency;
        let own = circumstances.allowances.get(&rule.id).and_then(|allowance| allowance.budget_left);
        let own = own.and_then(|left| to_minor(left, currency)).or(rule.budget);
        let campaigns = rule.campaign.and_then(|id| self.campaign(id, circumstances));
        own.into_iter().chain(campaigns).min().map(|left| left.max(0))
    }

    fn campaign(&self, id: CampaignId, circumstances: &Circumstances) -> Option<i64> {
        let known = self.campaigns.iter().find(|(known, _)| *known == id).map(|(_, left)| *left);
        let told = || circumstances.campaigns.get(&id)?.left;
        known.or_else(|| told().and_then(|left| to_minor(left, self.cart.currency)))
    }

    /// Settles an effect's amount with its campaign's budget.
    pub(crate) fn charge(&mut self, rule: &Rule, amount: i64, circumstances: &Circumstances) {
        let Some(id) = rule.campaign else { return };
        let Some(left) = self.campaign(id, circumstances) else { return };
        self.campaigns.retain(|(known, _)| *known != id);
        self.campaigns.push((id, left - amount));
    }

    /// Units of a SKU in the cart and among its gifts.
    pub(crate) fn wanted_of(&self, sku: &Sku) -> u64 {
        let bought = self.cart.lines.iter().filter(|line| line.sku == *sku).map(|line| u64::from(line.quantity));
        let given = self.gifts.iter().filter(|(known, _)| known == sku).map(|(_, quantity)| u64::from(*quantity));
        bought.chain(given).sum()
    }

    /// Takes shares off lines, at most `most` and the store's cap in all; what is over comes off the shares in
    /// proportion. Answers what was taken.
    pub(crate) fn take(&mut self, effect: &mut Effect, lines: &[usize], shares: Vec<i64>, most: i64) -> i64 {
        let total: i64 = shares.iter().sum();
        let allowed = most.min(self.cap).max(0);
        let shares = if total > allowed { share(allowed, &shares, &shares) } else { shares };
        let mut taken = 0;
        for (i, amount) in lines.iter().zip(shares).filter(|(_, amount)| *amount > 0) {
            if let Some(left) = self.left.get_mut(*i) {
                *left -= amount;
                effect.lines.push((*i, amount));
                taken += amount;
            }
        }
        effect.goods += taken;
        self.cap -= taken;
        taken
    }

    /// Takes an amount off shipping. Answers what was taken.
    pub(crate) fn take_shipping(&mut self, effect: &mut Effect, amount: i64, most: i64) -> i64 {
        let taken = amount.min(most).min(self.shipping).max(0);
        self.shipping -= taken;
        effect.shipping += taken;
        taken
    }

    /// Lets units serve an application.
    pub(crate) fn use_units(&mut self, effect: &mut Effect, i: usize, units: u32) {
        if let Some(free) = self.free.get_mut(i).filter(|_| units > 0) {
            *free = free.saturating_sub(units);
            effect.used.push((i, units));
        }
    }

    /// Gives goods. Answers what they are worth.
    pub(crate) fn give(&mut self, effect: &mut Effect, goods: FreeGoods) -> i64 {
        let value = goods.price.saturating_mul(i64::from(goods.quantity));
        effect.gift_value = effect.gift_value.saturating_add(value);
        self.gifts.push((goods.sku.clone(), goods.quantity));
        effect.gifts.push(goods);
        value
    }

    /// Takes an effect back, as if its promotion had never been tried. Effects come back in reverse order.
    pub(crate) fn undo(&mut self, effect: &Effect) {
        for (i, amount) in &effect.lines {
            if let Some(left) = self.left.get_mut(*i) {
                *left += amount;
            }
        }
        for (i, units) in &effect.used {
            if let Some(free) = self.free.get_mut(*i) {
                *free += units;
            }
        }
        self.cap += effect.goods;
        self.shipping += effect.shipping;
        self.gifts.truncate(self.gifts.len() - effect.gifts.len());
    }
}
