//! Converts the result of an evaluation to the types of the contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_contract::promotion::{
    AppliedPromotion, Evaluation, Gift, LineDiscount, Offer, PromotionUse, RejectDetail, RejectReason,
    RejectedPromotion,
};
use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;

use crate::rules::catalog::index::RuleSet;
use crate::rules::catalog::prices::{self, CatalogPricing};
use crate::rules::compile::Rule;
use crate::rules::evaluate::cart::Cart;
use crate::rules::evaluate::context::{Detail, EvaluationContext, NamedCode};
use crate::rules::evaluate::state::Effect;
use crate::rules::minor_units::to_amount;

/// A promotion with an effect, and the code that named it.
pub(crate) struct Applied<'a> {
    pub(crate) rule: &'a Arc<Rule>,
    pub(crate) effect: Effect,
    pub(crate) named: Option<&'a NamedCode>,
}

/// A promotion or code without an effect.
pub(crate) struct Rejected<'a> {
    pub(crate) rule: Option<&'a Rule>,
    pub(crate) named: Option<&'a NamedCode>,
    pub(crate) reason: RejectReason,
    pub(crate) details: Vec<RejectDetail>,
}

/// Maximum rejected promotions in an evaluation.
const MAX_REJECTED: usize = 200;

/// Combines granted and refused promotions. Price rules with an effect come first. Those without an effect come last,
/// and only if everything is reported.
pub(crate) fn report<'a>(
    set: &'a RuleSet,
    cart: &Cart,
    (context, detail): (&EvaluationContext, Detail),
    granted: Vec<Applied<'_>>,
    mut refused: Vec<Rejected<'a>>,
    offers: Vec<Offer>,
) -> Evaluation {
    let currency = cart.currency;
    let mut counts = vec![0; cart.lines.len()];
    for (i, _) in granted.iter().flat_map(|one| &one.effect.lines) {
        counts.get_mut(*i).into_iter().for_each(|count| *count += 1);
    }
    let mut answer = Evaluation {
        line_discounts: counts.into_iter().map(Vec::with_capacity).collect(),
        shipping_discount: currency.zero(),
        offers,
        ..Evaluation::default()
    };
    let effective = add_catalog(&mut answer, set, cart, context);
    if detail == Detail::Everything {
        let room = MAX_REJECTED.saturating_sub(refused.len());
        let idle = (0..).zip(set.catalog()).filter(|(position, _)| !effective.contains_key(position));
        refused.extend(idle.take(room).map(|(_, rule)| {
            let (reason, details) = prices::refusal(rule, cart, context);
            Rejected { rule: Some(rule), named: None, reason, details }
        }));
    }
    for one in granted {
        add(&mut answer, &one, currency);
    }
    answer.rejected = refused.into_iter().take(MAX_REJECTED).map(rejected).collect();
    answer
}

/// Adds the discounts of price rules on lines that have the price that the rules give. Returns the discount of each
/// rule with an effect, by its position.
fn add_catalog(answer: &mut Evaluation, set: &RuleSet, cart: &Cart, context: &EvaluationContext) -> BTreeMap<u32, i64> {
    let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
    if set.catalog().is_empty() {
        return sums;
    }
    let catalog = CatalogPricing::new(set, cart, context);
    for line in cart.lines.iter().filter(|line| !line.flash) {
        let priced = catalog.price(line);
        if priced.unit == line.unit {
            for (position, off) in priced.by {
                *sums.entry(position).or_default() += off.saturating_mul(i64::from(line.quantity));
            }
        }
    }
    sums.retain(|_, sum| *sum > 0);
    for (position, sum) in &sums {
        let Some(rule) = set.catalog_rule(*position) else { continue };
        let amount = to_amount(*sum, cart.currency);
        answer.applied.push(applied(rule, amount, cart.currency.zero()));
        answer.uses.push(use_of(rule, amount));
    }
    sums
}

fn applied(rule: &Rule, amount: Amount, shipping_amount: Amount) -> AppliedPromotion {
    AppliedPromotion {
        promotion_id: rule.id,
        name: rule.name.clone(),
        code: None,
        coupon_code: None,
        amount,
        shipping_amount,
    }
}

fn use_of(rule: &Rule, amount: Amount) -> PromotionUse {
    PromotionUse { promotion_id: rule.id, campaign_id: rule.campaign, coupon_code: None, named: false, amount }
}

fn add(answer: &mut Evaluation, one: &Applied<'_>, currency: Currency) {
    let (rule, effect) = (one.rule, &one.effect);
    let coupon_code = one.named.filter(|named| named.coupon).map(|named| named.code.clone());
    let code = one.named.filter(|named| !named.coupon).and(rule.code.clone());
    for (i, amount) in &effect.lines {
        let Some(discounts) = answer.line_discounts.get_mut(*i) else { continue };
        let amount = to_amount(*amount, currency);
        match discounts.last_mut().filter(|last| last.promotion_id == rule.id) {
            Some(last) => last.amount += amount,
            None => {
                discounts.push(LineDiscount { promotion_id: rule.id, coupon_code: coupon_code.clone(), amount });
            }
        }
    }
    let shipping = to_amount(effect.shipping, currency);
    answer.shipping_discount += shipping;
    for goods in &effect.gifts {
        let (sku, value) = (goods.sku.clone(), to_amount(goods.price, currency));
        answer.gifts.push(Gift { promotion_id: rule.id, sku, quantity: goods.quantity, value });
    }
    if let Some(factor) = effect.points {
        let product = answer.points_multiplier.map_or(Decimal::ONE, |product| product.0);
        answer.points_multiplier = Some(Amount(product.saturating_mul(factor)));
    }
    let line = applied(rule, to_amount(effect.goods, currency), shipping);
    answer.applied.push(AppliedPromotion { code, coupon_code: coupon_code.clone(), ..line });
    let used = use_of(rule, to_amount(effect.amount(), currency));
    answer.uses.push(PromotionUse { coupon_code, named: one.named.is_some(), ..used });
}

fn rejected(one: Rejected<'_>) -> RejectedPromotion {
    RejectedPromotion {
        promotion_id: one.rule.map(|rule| rule.id).or(one.named.and_then(|named| named.promotion)),
        code: one.named.map(|named| named.code.clone()),
        reason: one.reason,
        details: one.details,
    }
}
