//! Evaluates a cart with everything that it depends on: active promotions, the buyer, remaining limits.

use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::promotion::{Customer, EvaluateCart, Evaluation, GetPricingTerms, RejectReason, ResolvedCode};
use promox_kernel::{Cx, Error, Principal};
use promox_storage::{StoreError, Tx};

use crate::compiled::Compiled;
use crate::rules::{Cart, Detail, EvaluationContext, Line, LineInput, NamedCode, Needs, Rule, evaluate, normal_code};
use crate::{Promotions, digest, facts, queries};

/// A cart and its caller.
pub(crate) struct Question {
    pub(crate) cart: Cart,
    pub(crate) buyer: Buyer,
    pub(crate) address_key: Option<String>,
    pub(crate) codes: Vec<String>,
    pub(crate) coupons: Vec<ResolvedCode>,
    /// A buyer whose facts are given, so that they are not queried.
    pub(crate) customer: Option<Customer>,
    pub(crate) detail: Detail,
}

impl Promotions {
    /// Evaluates the active promotions on a cart.
    pub(crate) async fn answer(&self, cx: &Cx, question: Question) -> Result<Evaluation, Error> {
        let compiled = self.compiled(&question.cart).await?;
        if compiled.set.is_empty() && question.codes.is_empty() {
            return Ok(nothing(&question.cart));
        }
        let named = self.name_codes(&compiled, &question.codes, &question.coupons).await?;
        let (context, unchecked) = self.evaluation_context(cx, &compiled, &question, &named).await?;
        let cart = &question.cart;
        let mut answer = evaluate(&compiled.set, cart, &context, &named, question.detail);
        if unchecked {
            answer.warnings.push("Without an e-mail address, limits per user are not checked.".to_owned());
        }
        conceal(cx, &mut answer);
        Ok(answer)
    }

    /// Evaluates the active promotions on a cart whose lines have list prices only, after applying price rules.
    pub(crate) async fn answer_from_list(&self, cx: &Cx, mut question: Question) -> Result<(Cart, Evaluation), Error> {
        let compiled = self.compiled(&question.cart).await?;
        let named = self.name_codes(&compiled, &question.codes, &question.coupons).await?;
        let (context, unchecked) = self.evaluation_context(cx, &compiled, &question, &named).await?;
        compiled.set.apply_catalogue_prices(&mut question.cart, &context);
        let mut answer = evaluate(&compiled.set, &question.cart, &context, &named, question.detail);
        if unchecked {
            answer.warnings.push("Without an e-mail address, limits per user are not checked.".to_owned());
        }
        conceal(cx, &mut answer);
        Ok((question.cart, answer))
    }

    async fn compiled(&self, cart: &Cart) -> Result<Arc<Compiled>, StoreError> {
        let currency = cart.currency();
        self.db.read(|tx| self.compiler.at(tx, currency)).await
    }

    /// The promotion of each code: a coupon's promotion, an active promotion, or one that does not apply now.
    async fn name_codes(
        &self,
        compiled: &Compiled,
        codes: &[String],
        coupons: &[ResolvedCode],
    ) -> Result<Vec<NamedCode>, StoreError> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        self.db
            .read(|tx| {
                let mut named: Vec<NamedCode> = Vec::with_capacity(codes.len());
                let mut seen: Vec<String> = Vec::new();
                for code in codes {
                    let normal = normal_code(code);
                    if seen.contains(&normal) {
                        continue;
                    }
                    let coupon = coupons.iter().find(|coupon| normal_code(&coupon.code) == normal);
                    named.push(name_code(tx, compiled, code, &normal, coupon)?);
                    seen.push(normal);
                }
                Ok(named)
            })
            .await
    }

    /// Everything else that the result depends on, and whether some limit is not checked.
    async fn evaluation_context(
        &self,
        cx: &Cx,
        compiled: &Compiled,
        question: &Question,
        named: &[NamedCode],
    ) -> Result<(EvaluationContext, bool), Error> {
        let (set, cart) = (&compiled.set, &question.cart);
        let relevant = |segments: &[String]| -> Vec<Arc<Rule>> {
            if question.detail == Detail::Everything {
                return compiled.rules().cloned().collect();
            }
            let ids = named.iter().filter_map(|named| named.promotion);
            set.relevant(cart, segments, ids).into_iter().cloned().collect()
        };
        let needed = |rules: &[Arc<Rule>]| {
            let mut needs = needs_of(rules);
            needs.add(set.catalogue_needs());
            needs
        };
        let mut rules = relevant(&[]);
        let mut needs = needed(&rules);
        needs.segments |= set.asks_for_segments();
        let customer = match &question.customer {
            Some(customer) => customer.clone(),
            None => facts::customer(cx, &question.buyer, &needs).await?,
        };
        if set.asks_for_segments() && !customer.segments.is_empty() {
            rules = relevant(&customer.segments);
            needs = needed(&rules);
        }
        let of_cart = rules.iter().filter_map(|rule| rule.campaign());
        let campaigns = of_cart.chain(set.catalogue_campaigns().iter().copied()).collect();
        let campaigns = facts::campaigns(cx, campaigns, &customer).await?;
        let gifts = facts::gifts(cx, needs.gifts).await?;
        let max_discount_percent =
            if rules.is_empty() { None } else { cx.call(GetPricingTerms::default()).await?.max_discount_percent };
        let buyer = digest::counted(&question.buyer, question.address_key.as_deref());
        let (allowances, unchecked) = self.db.read(|tx| queries::allowances(tx, &rules, &buyer, cx.now)).await?;
        let now = cx.now;
        let ignore_dates = false;
        let context =
            EvaluationContext { now, customer, allowances, campaigns, gifts, max_discount_percent, ignore_dates };
        Ok((context, unchecked))
    }
}

fn name_code(
    tx: &Tx<'_>,
    compiled: &Compiled,
    code: &str,
    normal: &str,
    coupon: Option<&ResolvedCode>,
) -> Result<NamedCode, StoreError> {
    let mut named = NamedCode { code: code.to_owned(), promotion: None, coupon: coupon.is_some(), refused: None };
    if let Some(coupon) = coupon {
        named.promotion = Some(coupon.promotion_id);
        named.refused = coupon.reason;
        if named.refused.is_none() && compiled.rule(coupon.promotion_id).is_none() {
            named.refused = Some(queries::standing(tx.get(&coupon.promotion_id)?));
        }
        return Ok(named);
    }
    named.promotion = compiled.set.by_code(normal);
    if named.promotion.is_none() {
        let row = queries::by_code(tx, normal)?;
        let id = row.as_ref().map(|row| row.id);
        let refused = queries::standing(row);
        // Promotions reported as unknown are not identified: drafts are confidential.
        named.promotion = id.filter(|_| refused != RejectReason::Unknown);
        named.refused = Some(refused);
    }
    Ok(named)
}

pub(crate) fn needs_of(rules: &[Arc<Rule>]) -> Needs {
    let mut needs = Needs::default();
    rules.iter().for_each(|rule| needs.add(rule.needs()));
    needs
}

fn nothing(cart: &Cart) -> Evaluation {
    Evaluation {
        line_discounts: vec![Vec::new(); cart.len()],
        shipping_discount: cart.currency().zero(),
        ..Evaluation::default()
    }
}

/// Hides what a caller may not know about codes and automatic promotions: an anonymous caller only learns that a code
/// is unknown, and callers without the permission see no promotions that are not for them or not for now.
pub(crate) fn conceal(cx: &Cx, answer: &mut Evaluation) {
    let hidden = |reason| {
        matches!(
            reason,
            RejectReason::Unknown
                | RejectReason::NotStarted
                | RejectReason::Expired
                | RejectReason::Paused
                | RejectReason::NotEligible
        )
    };
    if !cx.principal.allows("promotion:read") {
        answer.rejected.retain(|rejected| rejected.code.is_some() || !hidden(rejected.reason));
    }
    if cx.principal == Principal::Anonymous {
        for rejected in answer.rejected.iter_mut().filter(|rejected| hidden(rejected.reason)) {
            rejected.reason = RejectReason::Unknown;
            rejected.promotion_id = None;
            rejected.details.clear();
        }
    }
}

impl Question {
    /// The request to the order service.
    pub(crate) fn of(op: EvaluateCart) -> Result<Self, Error> {
        let currency = op.currency;
        let line = |it: promox_contract::promotion::CartLine| {
            Line::new(LineInput::of(it.item, it.quantity, it.flash_sale_id), currency)
        };
        let lines: Option<Vec<Line>> = op.lines.into_iter().map(line).collect();
        let lines = lines.ok_or_else(|| Error::field("/items", "the line's total is too large"))?;
        let mut cart = Cart::new(currency, lines, op.shipping)?;
        cart.shipping_method = op.shipping_method;
        cart.country = op.country;
        cart.payment_method = op.payment_method;
        cart.channel = op.channel.unwrap_or(cart.channel);
        cart.attributes = op.attributes;
        Ok(Self {
            cart,
            buyer: op.buyer,
            address_key: op.address_key,
            codes: op.codes,
            coupons: op.coupons,
            customer: None,
            detail: Detail::Named,
        })
    }
}
