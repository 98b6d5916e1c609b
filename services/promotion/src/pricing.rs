//! Evaluates a cart with everything that the result depends on: active promotions, the buyer, remaining limits.

use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::promotion::{Customer, EvaluateCart, Evaluation, GetPricingTerms, RejectReason, ResolvedCode};
use promox_kernel::{Cx, Error, Principal};
use promox_storage::{StoreError, Tx};

use crate::compiled::Compiled;
use crate::rules::{Cart, Detail, EvaluationContext, Line, LineInput, NamedCode, Needs, Rule, evaluate, normal_code};
use crate::{Promotions, digest, facts, queries};

/// From this number of lines times exclusive promotions on, an evaluation takes longer than a millisecond.
const MANY_TRIALS: usize = 10_000;

/// A request to evaluate a cart.
pub(crate) struct PricingRequest {
    pub(crate) cart: Cart,
    pub(crate) buyer: Buyer,
    pub(crate) address_key: Option<String>,
    pub(crate) codes: Vec<String>,
    pub(crate) coupons: Vec<ResolvedCode>,
    /// The facts about the buyer, if the caller supplied them; otherwise they are queried.
    pub(crate) customer: Option<Customer>,
    pub(crate) detail: Detail,
}

impl Promotions {
    /// Evaluates the active promotions on a cart.
    pub(crate) async fn evaluate_cart(&self, cx: &Cx, request: PricingRequest) -> Result<Evaluation, Error> {
        let compiled = self.compiled(&request.cart).await?;
        if compiled.set.is_empty() && request.codes.is_empty() {
            return Ok(empty_evaluation(&request.cart));
        }
        let named = self.resolve_codes(&compiled, &request.codes, &request.coupons).await?;
        let (context, unchecked) = self.evaluation_context(cx, &compiled, &request, &named).await?;
        let (_, mut answer) = evaluated(cx, compiled, request.cart, (context, named), request.detail).await?;
        if unchecked {
            answer.warnings.push("Without an e-mail address, limits per user are not checked.".to_owned());
        }
        conceal(cx, &mut answer);
        Ok(answer)
    }

    /// Applies price rules to a cart whose lines have list prices only, then evaluates the active promotions. Returns
    /// the cart at catalog prices and its evaluation.
    pub(crate) async fn evaluate_at_list_prices(
        &self,
        cx: &Cx,
        mut request: PricingRequest,
    ) -> Result<(Cart, Evaluation), Error> {
        let compiled = self.compiled(&request.cart).await?;
        let named = self.resolve_codes(&compiled, &request.codes, &request.coupons).await?;
        let (context, unchecked) = self.evaluation_context(cx, &compiled, &request, &named).await?;
        compiled.set.apply_catalog_prices(&mut request.cart, &context);
        let (cart, mut answer) = evaluated(cx, compiled, request.cart, (context, named), request.detail).await?;
        if unchecked {
            answer.warnings.push("Without an e-mail address, limits per user are not checked.".to_owned());
        }
        conceal(cx, &mut answer);
        Ok((cart, answer))
    }

    async fn compiled(&self, cart: &Cart) -> Result<Arc<Compiled>, StoreError> {
        let currency = cart.currency();
        self.db.read(|tx| self.compiler.at(tx, currency)).await
    }

    /// Resolves codes to promotions: the promotion of a coupon, an active promotion, or one that does not apply now.
    /// Repeated codes are dropped.
    async fn resolve_codes(
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
                    named.push(resolve_code(tx, compiled, code, &normal, coupon)?);
                    seen.push(normal);
                }
                Ok(named)
            })
            .await
    }

    /// Builds the evaluation context, and tells whether some limit could not be checked.
    async fn evaluation_context(
        &self,
        cx: &Cx,
        compiled: &Compiled,
        request: &PricingRequest,
        named: &[NamedCode],
    ) -> Result<(EvaluationContext, bool), Error> {
        let (set, cart) = (&compiled.set, &request.cart);
        let relevant = |segments: &[String]| -> Vec<Arc<Rule>> {
            if request.detail == Detail::Everything {
                return compiled.rules().cloned().collect();
            }
            let ids = named.iter().filter_map(|named| named.promotion);
            set.relevant(cart, segments, ids).into_iter().cloned().collect()
        };
        let needed = |rules: &[Arc<Rule>]| {
            let mut needs = needs_of(rules);
            needs.add(set.catalog_needs());
            needs
        };
        let mut rules = relevant(&[]);
        let mut needs = needed(&rules);
        needs.segments |= set.needs_segments();
        let customer = match &request.customer {
            Some(customer) => customer.clone(),
            None => facts::customer(cx, &request.buyer, &needs).await?,
        };
        if set.needs_segments() && !customer.segments.is_empty() {
            rules = relevant(&customer.segments);
            needs = needed(&rules);
        }
        let cart_campaigns = rules.iter().filter_map(|rule| rule.campaign());
        let campaigns = cart_campaigns.chain(set.catalog_campaigns().iter().copied()).collect();
        let campaigns = facts::campaigns(cx, campaigns, &customer).await?;
        let gifts = facts::gifts(cx, needs.gifts).await?;
        let max_discount_percent =
            if rules.is_empty() { None } else { cx.call(GetPricingTerms::default()).await?.max_discount_percent };
        let buyer = digest::counted_buyer(&request.buyer, request.address_key.as_deref());
        let (allowances, unchecked) = self.db.read(|tx| queries::allowances(tx, &rules, &buyer, cx.now)).await?;
        let now = cx.now;
        let ignore_dates = false;
        let context =
            EvaluationContext { now, customer, allowances, campaigns, gifts, max_discount_percent, ignore_dates };
        Ok((context, unchecked))
    }
}

/// A cart and its evaluation, which is computed where it holds up nothing if many lines meet many exclusive promotions.
async fn evaluated(
    cx: &Cx,
    compiled: Arc<Compiled>,
    cart: Cart,
    (context, named): (EvaluationContext, Vec<NamedCode>),
    detail: Detail,
) -> Result<(Cart, Evaluation), Error> {
    let trials = cart.lines.len() * (1 + compiled.set.exclusive());
    let work = async move {
        let answer = evaluate(&compiled.set, &cart, &context, &named, detail);
        Ok((cart, answer))
    };
    if trials < MANY_TRIALS { work.await } else { cx.node.compute.run(cx, work).await }
}

/// Resolves one code, given also in normal form.
fn resolve_code(
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
            named.refused = Some(queries::inactive_reason(tx.get(&coupon.promotion_id)?));
        }
        return Ok(named);
    }
    named.promotion = compiled.set.by_code(normal);
    if named.promotion.is_none() {
        let row = queries::by_code(tx, normal)?;
        let id = row.as_ref().map(|row| row.id);
        let refused = queries::inactive_reason(row);
        // A promotion reported as unknown is not identified, because drafts are confidential.
        named.promotion = id.filter(|_| refused != RejectReason::Unknown);
        named.refused = Some(refused);
    }
    Ok(named)
}

/// The combined needs of rules.
pub(crate) fn needs_of(rules: &[Arc<Rule>]) -> Needs {
    let mut needs = Needs::default();
    rules.iter().for_each(|rule| needs.add(rule.needs()));
    needs
}

fn empty_evaluation(cart: &Cart) -> Evaluation {
    Evaluation {
        line_discounts: vec![Vec::new(); cart.len()],
        shipping_discount: cart.currency().zero(),
        ..Evaluation::default()
    }
}

/// Hides what a caller may not know about codes and automatic promotions. An anonymous caller only learns that a code
/// is unknown. A caller without `promotion:read` does not see promotions that are for other buyers or other times.
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

impl PricingRequest {
    /// Converts the internal operation.
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
