//! Quotes: prices that an order can use for 15 minutes.

use std::time::Duration;

use promox_kernel::{Cx, Email, Error};

use super::assess::{Assessment, assess};
use super::quotes::QuoteTerms;
use super::request::{PricingRequest, Strictness};
use crate::Orders;
use crate::api::{PlaceOrder, QuoteView};
use crate::rules::request;

/// How long a quote is valid.
const QUOTE_LIFETIME: Duration = Duration::from_mins(15);

impl Orders {
    /// Prices an order without placing it, and keeps the price for an order that names the quote.
    pub(crate) async fn quote(&self, cx: &Cx, mut body: PlaceOrder) -> Result<QuoteView, Error> {
        request::check(&body)?;
        let settings = self.settings.get(cx).await?;
        request::regions_to_codes(&mut body, &settings.taxes)?;
        let request = PricingRequest::from(&body);
        let assessment = assess(cx, &request, Strictness::Quote, &settings).await?;
        let expires_at = cx.now + QUOTE_LIFETIME;
        let quote_id = cx.node.entropy.token();
        let terms = quote_terms(cx, &request, &assessment, request.email.as_ref());
        self.quotes.remember(&quote_id, &terms, &assessment, (cx.now, expires_at)).await;
        let mut warnings = assessment.warnings;
        if assessment.needs_address && request.shipping_address.is_none() {
            warnings.push("Shipping and tax are not included: they depend on the shipping address.".to_owned());
        }
        let priced = assessment.priced;
        Ok(QuoteView {
            currency: priced.currency,
            prices_include_tax: priced.prices_include_tax,
            lines: priced.lines,
            applied_promotions: priced.applied,
            rejected_promotions: priced.rejected,
            offers: assessment.offers,
            shipping_options: assessment.options,
            totals: priced.totals,
            warnings,
            quote_id,
            expires_at,
        })
    }
}

/// The terms of a quote for this request. `email` is the e-mail address of the order.
pub(crate) fn quote_terms(
    cx: &Cx,
    request: &PricingRequest,
    assessment: &Assessment,
    email: Option<&Email>,
) -> QuoteTerms {
    // Gifts are not part of the terms: they are not requested, and depend on the stock at the time of the order.
    let mut items: Vec<String> =
        assessment.requested_lines().map(|line| format!("{:?}×{}", line.variant_id, line.quantity)).collect();
    items.sort();
    let mut codes: Vec<&str> = assessment.codes.iter().map(|named| named.code.as_str()).collect();
    codes.sort_unstable();
    let address = request.shipping_address.as_ref();
    let required = format!("{items:?} {codes:?} {address:?} {:?} {:?}", request.shipping_method, request.points);
    let optional = [
        cx.principal.user().map(|user| format!("user {user}")),
        email.map(|email| format!("email {}", email.normal())),
        request.payment_method.as_ref().map(|method| format!("payment {method:?}")),
        request.channel.as_ref().map(|channel| format!("channel {channel}")),
    ];
    let attributes = request.attributes.iter().map(|(name, value)| format!("attribute {name:?} {value:?}"));
    QuoteTerms { required, optional: optional.into_iter().flatten().chain(attributes).collect() }
}
