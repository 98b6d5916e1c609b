//! Prepares the draft of an order: the request is validated and priced, and nothing is held yet.

use promox_contract::codes;
use promox_contract::payment::{CheckPaymentChoice, PaymentChoice};
use promox_contract::promotion::RejectReason;
use promox_contract::reward::EstimatePoints;
use promox_kernel::{Amount, Cx, Error, FieldError};

use crate::Orders;
use crate::api::PlaceOrder;
use crate::checkout::draft::{Draft, NewOrder, OrderedCart, StoredClaim};
use crate::checkout::validation::validate;
use crate::pricing::{NamedCode, PricingRequest, Strictness, assess, quote_terms};
use crate::reject;
use crate::rules::price::Priced;
use crate::rules::request;

impl Orders {
    /// Prepares the draft of the requested order. Returns it with the cart that is ordered, if any.
    pub(crate) async fn prepare(&self, cx: &Cx, body: &mut PlaceOrder) -> Result<(Draft, Option<OrderedCart>), Error> {
        request::check(body)?;
        let settings = self.settings.get(cx).await?;
        request::regions_to_codes(body, &settings.taxes)?;
        require_email(cx, body)?;
        let request = PricingRequest::from(&*body);
        let assessment = assess(cx, &request, Strictness::Order, &settings).await?;
        let email = assessment.email.clone().ok_or_else(|| Error::not_found("user"))?;
        let (priced, entitlements) = match &body.quote_id {
            Some(id) => {
                let terms = quote_terms(cx, &request, &assessment, Some(&email));
                self.quotes.redeem(id, &terms, assessment.entitlements, cx.now).await?
            }
            None => (assessment.priced, assessment.entitlements),
        };
        refuse_inapplicable_codes(&priced, &assessment.codes)?;
        if assessment.needs_address && body.shipping_address.is_none() {
            return Err(missing("/shippingAddress", "the shipping address determines shipping and tax"));
        }
        let choice = payment_choice(cx, body, priced.totals.total).await?;
        let guest = cx.principal.user().is_none();
        let points_earned = points_earned(cx, &priced, entitlements.points_multiplier).await?;
        let mut order = NewOrder {
            number: new_number(cx),
            user_id: cx.principal.user(),
            email,
            priced,
            shipping_address: body.shipping_address.clone(),
            billing_address: body.billing_address.clone(),
            channel: body.channel.clone(),
            note: body.note.clone(),
            attributes: body.attributes.clone(),
            entitlements,
            points_earned,
            languages: cx.languages(),
        };
        let method = choice.as_ref().map(|choice| choice.method.as_str());
        Box::pin(validate(cx, &settings, &mut order, (&assessment.tax_classes, method))).await?;
        let draft = Draft {
            order: Some(Box::new(order)),
            choice,
            capture_at: settings.payments.capture_at,
            claim: cx.claim.as_deref().map(StoredClaim::of),
            token: guest.then(|| cx.node.entropy.token()),
            actor: cx.principal.name(),
            undo: None,
        };
        let cart = assessment.cart.map(|cart| OrderedCart { id: cart.cart_id, version: cart.version });
        Ok((draft, cart))
    }
}

/// The requested payment method, accepted by the payment service; `None` if nothing is due.
async fn payment_choice(cx: &Cx, body: &PlaceOrder, total: Amount) -> Result<Option<PaymentChoice>, Error> {
    if total.is_zero() {
        return Ok(None);
    }
    let Some(choice) = body.payment.clone() else {
        return Err(missing("/payment", &format!("a payment method is required for the total of {total}")));
    };
    cx.call(CheckPaymentChoice { choice: choice.clone() }).await?;
    Ok(Some(choice))
}

/// 422: a required member is missing.
fn missing(pointer: &str, detail: &str) -> Error {
    Error::invalid(vec![FieldError::coded(pointer, codes::MISSING, detail)])
}

/// A new order number: 50 random bits, so that it cannot be guessed from another one, in a form that can be read aloud.
fn new_number(cx: &Cx) -> String {
    let code = cx.node.entropy.code(10);
    let (left, right) = code.split_at(code.len() / 2);
    format!("{left}-{right}")
}

/// The points that the order will earn; zero for guests.
async fn points_earned(cx: &Cx, priced: &Priced, multiplier: Option<Amount>) -> Result<i64, Error> {
    let Some(user_id) = cx.principal.user() else { return Ok(0) };
    let totals = &priced.totals;
    let included_tax: Amount =
        if priced.prices_include_tax { priced.lines.iter().map(|line| line.tax).sum() } else { Amount::ZERO };
    let base = totals.subtotal - totals.discount - totals.points_value - included_tax;
    let multiplier = multiplier.unwrap_or(Amount(rust_decimal::Decimal::ONE));
    Ok(cx.call(EstimatePoints { user_id, base, multiplier }).await?.points)
}

/// Refuses an order with a code that does not apply, unless the code only gave way to a better discount.
fn refuse_inapplicable_codes(priced: &Priced, codes: &[NamedCode]) -> Result<(), Error> {
    let inapplicable = priced.rejected.iter().filter(|rejected| rejected.reason != RejectReason::NotCombinable);
    for rejected in inapplicable {
        if let Some(named) = codes.iter().find(|named| rejected.code.as_ref() == Some(&named.code)) {
            return Err(reject::code_refused(rejected, named.is_coupon));
        }
    }
    Ok(())
}

/// Refuses a guest's order without an e-mail address. An account's order defaults to the account's.
fn require_email(cx: &Cx, body: &PlaceOrder) -> Result<(), Error> {
    if body.email.is_some() || cx.principal.user().is_some() {
        return Ok(());
    }
    Err(missing("/email", "an e-mail address is required for guests"))
}
