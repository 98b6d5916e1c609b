//! Whether a code is good for these goods: the coupon's own state first, then the promotion's word on the cart.

use std::collections::HashMap;

use promox_contract::coupon::ResolvedCode;
use promox_contract::order::StoreProfile;
use promox_contract::product::{DescribeSkus, SkuDescription};
use promox_contract::promotion::{CartLine, EvaluateCart, Evaluation, RejectDetail, RejectReason};
use promox_contract::user::DescribeUsers;
use promox_kernel::{Amount, Currency, Cx, Email, Error, FieldError, Principal};

use crate::api::{ValidateCoupon, Validation};
use crate::rules::person::Person;
use crate::rules::standing::veiled;
use crate::{Coupons, queries};

/// Lines of a cart at most.
const MOST_ITEMS: usize = 1_000;

/// What is found of a code.
struct Verdict {
    reason: Option<RejectReason>,
    details: Vec<RejectDetail>,
    discount: Amount,
}

impl Verdict {
    fn refused(reason: RejectReason) -> Self {
        Self { reason: Some(reason), details: Vec::new(), discount: Amount::ZERO }
    }
}

impl Coupons {
    /// Judges a code, and counts wrong ones.
    pub(crate) async fn judge(&self, cx: &Cx, asked: ValidateCoupon) -> Result<Validation, Error> {
        let code = asked.code.clone();
        self.guesses.admit(cx, std::slice::from_ref(&code))?;
        let currency = cx.call(StoreProfile {}).await?.currency;
        let verdict = self.verdict(cx, asked, currency).await?;
        let anonymous = cx.principal == Principal::Anonymous;
        let unknown = verdict.reason.map(|reason| veiled(reason, anonymous)) == Some(RejectReason::Unknown);
        let tried = [&code];
        if unknown {
            self.guesses.note(cx, &tried, &[]);
        } else {
            self.guesses.note(cx, &[], &tried);
        }
        Ok(Validation {
            valid: verdict.reason.is_none(),
            reason: verdict.reason.map(|reason| veiled(reason, anonymous)),
            details: verdict.details,
            discount: currency.round(verdict.discount.0),
            currency,
        })
    }

    async fn verdict(&self, cx: &Cx, asked: ValidateCoupon, currency: Currency) -> Result<Verdict, Error> {
        let email = buyer_email(cx, asked.email.clone()).await?;
        let person = Person::new(cx.principal.user(), email.as_ref());
        let codes = [asked.code.clone()];
        let found = self.db.read(|tx| queries::resolve(tx, &codes, &person, cx.now)).await?.pop();
        match (&found, asked.items.is_empty()) {
            (Some(ResolvedCode { reason: Some(reason), .. }), _) => Ok(Verdict::refused(*reason)),
            (None, true) => Ok(Verdict::refused(RejectReason::Unknown)),
            (Some(_), true) => Ok(Verdict { reason: None, details: Vec::new(), discount: Amount::ZERO }),
            (_, false) => {
                let code = asked.code.clone();
                let cart = cart(cx, asked, email, found, currency).await?;
                Ok(read(cx.call(cart).await?, &code))
            }
        }
    }
}

async fn buyer_email(cx: &Cx, given: Option<Email>) -> Result<Option<Email>, Error> {
    match (given, cx.principal.user()) {
        (None, Some(user)) => {
            let found = cx.call(DescribeUsers { ids: vec![user] }).await?;
            Ok(found.items.into_iter().next().map(|user| user.email))
        }
        (given, _) => Ok(given),
    }
}

/// The goods as a cart with nothing but this code.
async fn cart(
    cx: &Cx,
    asked: ValidateCoupon,
    email: Option<Email>,
    coupon: Option<ResolvedCode>,
    currency: Currency,
) -> Result<EvaluateCart, Error> {
    Ok(EvaluateCart {
        lines: lines(cx, &asked).await?,
        currency,
        user_id: cx.principal.user(),
        email,
        codes: vec![asked.code],
        coupons: coupon.into_iter().collect(),
        shipping: Amount::ZERO,
        shipping_method: None,
        country: None,
        payment_method: None,
        channel: None,
        attributes: std::collections::BTreeMap::new(),
        address_key: None,
    })
}

async fn lines(cx: &Cx, asked: &ValidateCoupon) -> Result<Vec<CartLine>, Error> {
    if asked.items.len() > MOST_ITEMS {
        return Err(Error::field("/items", format!("at most {MOST_ITEMS} items are taken")));
    }
    let mut quantities: Vec<(String, u32, usize)> = Vec::new();
    for (i, item) in asked.items.iter().enumerate() {
        if item.quantity == 0 {
            return Err(Error::field(format!("/items/{i}/quantity"), "a quantity is 1 or more"));
        }
        let fold = item.sku.fold();
        match quantities.iter_mut().find(|(known, ..)| *known == fold) {
            Some((_, quantity, _)) => *quantity = quantity.saturating_add(item.quantity),
            None => quantities.push((fold, item.quantity, i)),
        }
    }
    let skus = asked.items.iter().map(|item| item.sku.clone()).collect();
    let found = cx.call(DescribeSkus { skus }).await?.items;
    let mut found: HashMap<String, SkuDescription> = found.into_iter().map(|item| (item.sku.fold(), item)).collect();
    let line = |(fold, quantity, i): (String, u32, usize)| match found.remove(&fold) {
        Some(item) => Ok(CartLine { item, quantity, flash_sale_id: None }),
        None => Err(Error::invalid(vec![FieldError {
            pointer: format!("/items/{i}/sku"),
            code: "UNKNOWN_SKU".into(),
            detail: "this is not sold here".to_owned(),
        }])),
    };
    quantities.into_iter().map(line).collect()
}

/// What the evaluation says of the one code.
fn read(evaluation: Evaluation, code: &str) -> Verdict {
    let named = |given: &Option<String>| given.as_deref() == Some(code);
    let applied = evaluation.applied.iter().filter(|it| named(&it.coupon_code) || named(&it.code));
    let amounts: Vec<Amount> = applied.map(|it| it.amount + it.shipping_amount).collect();
    if !amounts.is_empty() {
        return Verdict { reason: None, details: Vec::new(), discount: amounts.into_iter().sum() };
    }
    match evaluation.rejected.into_iter().find(|it| named(&it.code)) {
        Some(rejected) => Verdict { details: rejected.details, ..Verdict::refused(rejected.reason) },
        None => Verdict::refused(RejectReason::Unknown),
    }
}
