//! Validates a code for given items: first against the coupon's own state, then against its promotion.

use promox_contract::buyer::Buyer;
use promox_contract::codes;
use promox_contract::coupon::normal_code;
use promox_contract::product::DescribeSkus;
use promox_contract::promotion::{CartLine, EvaluateCart, Evaluation, RejectDetail, RejectReason, ResolvedCode};
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Amount, Currency, Cx, Error, FieldError, Principal};

use crate::api::{ValidateCoupon, Validation};
use crate::rules::eligibility::public_reason;
use crate::rules::person::Redeemer;
use crate::{Coupons, queries};

/// Maximum lines of a cart.
const MAX_ITEMS: usize = 1_000;

/// The validity of a code.
struct Verdict {
    reason: Option<RejectReason>,
    details: Vec<RejectDetail>,
    discount: Amount,
}

impl Verdict {
    fn refused(reason: RejectReason) -> Self {
        Self { reason: Some(reason), details: Vec::new(), discount: Amount::ZERO }
    }

    /// The validity regardless of the items, ignoring reasons that depend on them.
    fn without_cart_reasons(self) -> Self {
        use RejectReason::{ConditionsNotMet, NoMatchingItems, NotCombinable};
        let cart_reasons = [ConditionsNotMet, NoMatchingItems, NotCombinable];
        match self.reason.filter(|reason| !cart_reasons.contains(reason)) {
            Some(_) => self,
            None => Self { reason: None, details: Vec::new(), ..self },
        }
    }
}

impl Coupons {
    /// Validates a code, and counts wrong codes against the caller.
    pub(crate) async fn validate_code(&self, cx: &Cx, op: ValidateCoupon) -> Result<Validation, Error> {
        let code = op.code.clone();
        self.guesses.check(cx, std::slice::from_ref(&code)).await?;
        let currency = cx.call(GetStoreProfile {}).await?.currency;
        let verdict = self.verdict(cx, op, currency).await?;
        let anonymous = cx.principal == Principal::Anonymous;
        let unknown = verdict.reason.map(|reason| public_reason(reason, anonymous)) == Some(RejectReason::Unknown);
        let tried = [&code];
        if unknown {
            self.guesses.note(cx, &tried, &[]).await?;
        } else {
            self.guesses.note(cx, &[], &tried).await?;
        }
        Ok(Validation {
            valid: verdict.reason.is_none(),
            reason: verdict.reason.map(|reason| public_reason(reason, anonymous)),
            details: verdict.details,
            discount: currency.round(verdict.discount.0),
            currency,
        })
    }

    async fn verdict(&self, cx: &Cx, op: ValidateCoupon, currency: Currency) -> Result<Verdict, Error> {
        let buyer = Buyer::identify(cx, cx.principal.user(), op.email.clone()).await?;
        let (codes, redeemer) = ([op.code.clone()], Redeemer::new(&buyer));
        let found = self.db.read(|tx| queries::resolve(tx, &codes, &redeemer, cx.now)).await?.pop();
        if let Some(ResolvedCode { reason: Some(reason), .. }) = &found {
            return Ok(Verdict::refused(*reason));
        }
        let lines = lines(cx, &op).await?;
        let without_items = lines.is_empty();
        let cart = cart(op.code.clone(), buyer, found, currency);
        let verdict = verdict_of(cx.call(EvaluateCart { lines, ..cart }).await?, &op.code);
        Ok(if without_items { verdict.without_cart_reasons() } else { verdict })
    }

    /// The reason why the promotion of a valid coupon does not apply to this buyer now, regardless of items. The
    /// promotion's audience is not checked for an anonymous buyer.
    pub(crate) async fn promotion_reject_reason(
        &self,
        cx: &Cx,
        code: &str,
        buyer: Buyer,
    ) -> Result<Option<RejectReason>, Error> {
        let (codes, redeemer) = ([code.to_owned()], Redeemer::new(&buyer));
        let found = self.db.read(|tx| queries::resolve(tx, &codes, &redeemer, cx.now)).await?.pop();
        let Some(found) = found.filter(|found| found.reason.is_none()) else { return Ok(None) };
        let currency = cx.call(GetStoreProfile {}).await?.currency;
        let named = !redeemer.person.is_unknown();
        let cart = cart(code.to_owned(), buyer, Some(found), currency);
        let reason = verdict_of(cx.call(cart).await?, code).without_cart_reasons().reason;
        Ok(reason.filter(|reason| named || *reason != RejectReason::NotEligible))
    }
}

/// An empty cart with only this code.
fn cart(code: String, buyer: Buyer, coupon: Option<ResolvedCode>, currency: Currency) -> EvaluateCart {
    EvaluateCart {
        lines: Vec::new(),
        currency,
        buyer,
        codes: vec![code],
        coupons: coupon.into_iter().collect(),
        shipping: Amount::ZERO,
        shipping_method: None,
        country: None,
        payment_method: None,
        channel: None,
        attributes: std::collections::BTreeMap::new(),
        address_key: None,
    }
}

/// The items as cart lines, with one line per variant.
async fn lines(cx: &Cx, op: &ValidateCoupon) -> Result<Vec<CartLine>, Error> {
    if op.items.is_empty() {
        return Ok(Vec::new());
    }
    if op.items.len() > MAX_ITEMS {
        return Err(Error::field("/items", format!("must have at most {MAX_ITEMS} items")));
    }
    for (i, item) in op.items.iter().enumerate() {
        if item.quantity == 0 {
            return Err(Error::field(format!("/items/{i}/quantity"), "must be 1 or more"));
        }
    }
    let skus = op.items.iter().map(|item| item.sku.clone()).collect();
    let found = cx.call(DescribeSkus { skus }).await?.by_sku();
    let mut lines: Vec<CartLine> = Vec::new();
    for (i, requested) in op.items.iter().enumerate() {
        let unknown =
            || FieldError::coded(format!("/items/{i}/sku"), codes::UNKNOWN_SKU, "this SKU is not sold here".to_owned());
        let item = found.get(&requested.sku).ok_or_else(|| Error::invalid(vec![unknown()]))?;
        match lines.iter_mut().find(|line| line.item.variant_id == item.variant_id) {
            Some(line) => line.quantity = line.quantity.saturating_add(requested.quantity),
            None => lines.push(CartLine { item: item.clone(), quantity: requested.quantity, flash_sale_id: None }),
        }
    }
    Ok(lines)
}

/// The verdict of an evaluation on a code. Codes are compared in normal form.
fn verdict_of(evaluation: Evaluation, code: &str) -> Verdict {
    let normal = normal_code(code);
    let named = |given: &Option<String>| given.as_deref().map(normal_code).as_ref() == Some(&normal);
    let applied = evaluation.applied.iter().filter(|applied| named(&applied.coupon_code) || named(&applied.code));
    let amounts: Vec<Amount> = applied.map(|applied| applied.amount + applied.shipping_amount).collect();
    if !amounts.is_empty() {
        return Verdict { reason: None, details: Vec::new(), discount: amounts.into_iter().sum() };
    }
    match evaluation.rejected.into_iter().find(|rejected| named(&rejected.code)) {
        Some(rejected) => Verdict { details: rejected.details, ..Verdict::refused(rejected.reason) },
        None => Verdict::refused(RejectReason::Unknown),
    }
}
