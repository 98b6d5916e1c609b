//! An evaluation in the words of the contract.

use promox_contract::promotion::{
    AppliedPromotion, Evaluation, Gift, LineDiscount, Offer, PromotionUse, RejectedPromotion,
};
use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;

use super::cart::{Cart, Circumstances, Detail};
use super::compile::Rule;
use super::evaluate::{Given, Refused};
use super::index::RuleSet;
use super::numbers::to_amount;
use super::shelf;

/// Promotions without an effect that are told at most.
const MOST_REFUSED: usize = 200;

/// Puts together what was given and what was refused; the catalogue's price rules stand first where they gave, and last
/// where they did not and everything is to be told.
pub(crate) fn report<'a>(
    set: &'a RuleSet,
    cart: &Cart,
    (it, detail): (&Circumstances, Detail),
    given: Vec<Given<'_>>,
    mut refused: Vec<Refused<'a>>,
    offers: Vec<Offer>,
) -> Evaluation {
    let currency = cart.currency;
    let mut answer = Evaluation {
        line_discounts: vec![Vec::new(); cart.lines.len()],
        shipping_discount: currency.zero(),
        offers,
        ..Evaluation::default()
    };
    let without_effect = add_shelf(&mut answer, set, cart, it);
    if detail == Detail::Everything {
        let room = MOST_REFUSED.saturating_sub(refused.len());
        refused.extend(without_effect.into_iter().take(room).map(|rule| {
            let (reason, details) = shelf::refusal(rule, cart, it);
            Refused { rule: Some(rule), named: None, reason, details }
        }));
    }
    for one in given {
        add(&mut answer, &one, currency);
    }
    answer.rejected = refused.into_iter().take(MOST_REFUSED).map(rejected).collect();
    answer
}

/// What the catalogue's price rules took off, as far as the lines cost what the rules say. Answers those that took nothing.
fn add_shelf<'a>(answer: &mut Evaluation, set: &'a RuleSet, cart: &Cart, it: &Circumstances) -> Vec<&'a Rule> {
    if set.shelf().is_empty() {
        return Vec::new();
    }
    let mut sums: Vec<(&Rule, i64)> = set.shelf().iter().map(|rule| (&**rule, 0)).collect();
    for line in &cart.lines {
        let shelved = shelf::price(set, cart, line, it);
        if line.flash || shelved.unit != line.unit {
            continue;
        }
        for (rule, off) in shelved.by {
            if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| known.id == rule.id) {
                *sum += off.saturating_mul(i64::from(line.quantity));
            }
        }
    }
    let (gave, idle): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(_, sum)| *sum > 0);
    for (rule, sum) in gave {
        let amount = to_amount(sum, cart.currency);
        answer.applied.push(applied(rule, amount, cart.currency.zero()));
        answer.uses.push(use_of(rule, amount));
    }
    idle.into_iter().map(|(rule, _)| rule).collect()
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

fn add(answer: &mut Evaluation, one: &Given<'_>, currency: Currency) {
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

fn rejected(one: Refused<'_>) -> RejectedPromotion {
    RejectedPromotion {
        promotion_id: one.rule.map(|rule| rule.id).or(one.named.and_then(|named| named.promotion)),
        code: one.named.map(|named| named.code.clone()),
        reason: one.reason,
        details: one.details,
    }
}
